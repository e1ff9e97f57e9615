"""Recipes: prompt templates with their parameters, one Markdown file a template.

Here: reading the files, expanding parameters, and laying out the chat that a brief sends.
Not here: which recipe a subject gets (learning.policies.recipe_policy) and where versions are kept (registry.tracking).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.guards.fact_values import as_prompt_line

if TYPE_CHECKING:
    import frontmatter

FOLDER = Path(__file__).parent
_SECTION = re.compile(r"^## (system|user|assistant)[ \t]*$", re.MULTILINE)
_PLACE = re.compile(r"\{\{ *(\w+) *\}\}")


@dataclass(frozen=True)
class Message:
    """One message of a chat."""

    role: str
    content: str


@dataclass(frozen=True)
class Example:
    """What worked for another subject: its facts and the text that won."""

    variant_id: str
    facts: Mapping[str, str]
    text: str


@dataclass(frozen=True)
class Trade:
    """What the examples of a folder's templates are of: subjects whose facts hold, in each of the columns, one of the
    values. Whoever is of another trade must not be shown them, lest their words turn up in his copy."""

    values: Mapping[str, frozenset[str]]

    def holds(self, facts: Mapping[str, str]) -> bool:
        return all(facts.get(name, "").strip().casefold() in known for name, known in self.values.items())


@dataclass(frozen=True)
class Recipe:
    """One template with one choice of parameters; what a policy chooses between."""

    recipe_id: str
    prompt_name: str
    format: str
    style: str
    language: str
    template: tuple[Message, ...]
    max_tokens: int
    temperature: float
    neutral: tuple[Message, ...] = ()
    trade: "Trade | None" = None

    @property
    def prompt(self) -> list[dict[str, str]]:
        """The template as the prompt registry keeps it, followed by that for subjects of another trade."""
        return [{"role": message.role, "content": message.content} for message in (*self.template, *self.neutral)]

    def shows_trade_of(self, facts: Mapping[str, str]) -> bool:
        """Whether the examples of the template are of the trade that a subject with these facts is of."""
        return self.trade is not None and self.trade.holds(facts)

    def suited_to(self, facts: Mapping[str, str], *, has_examples: bool = False) -> "Recipe":
        """The recipe for a subject with these facts: of another trade than its own examples it has the neutral ones,
        and none at all once there are examples of what won here."""
        if not self.neutral or self.shows_trade_of(facts):
            return self
        shared = [message for message in self.neutral[:-1] if not has_examples or message.role == "system"]
        return replace(self, template=(*shared, self.neutral[-1]))

    def messages(self, facts: Mapping[str, str], examples: Sequence[Example] = ()) -> list[dict[str, str]]:
        """The chat for one subject: the template, then what won before as further shots, then its own facts.

        The shared part comes first and is the same for every subject, so an endpoint's prompt cache can serve it.
        Raises KeyError naming a place of the template that is not filled.
        """
        *shared, last = self.template
        shots = [
            message
            for example in examples
            for message in (
                Message("user", _fill(last.content, example.facts, self)),
                Message("assistant", example.text),
            )
        ]
        mine = Message(last.role, _fill(last.content, facts, self))
        return [
            {
                "role": message.role,
                "content": _fill(message.content, {}, self) if message in shared else message.content,
            }
            for message in (*shared, *shots, mine)
        ]


@dataclass(frozen=True)
class Recipes:
    """The recipes of a loop, for the languages that are set; none at all without a folder."""

    folder: Path | None = None

    @classmethod
    def in_folder(cls, name: str) -> "Recipes":
        return cls(FOLDER / name)

    @cached_property
    def formats(self) -> frozenset[str]:
        """What the templates write."""
        return frozenset(head["format"] for _, head, _ in self._templates)

    @cached_property
    def _trade(self) -> Trade | None:
        """What the templates' examples are of, where the folder says so and has others for everybody else."""
        import tomllib

        file = (self.folder or FOLDER) / "trade.toml"
        if self.folder is None or not file.is_file():
            return None
        listed = tomllib.loads(file.read_text(encoding="utf-8"))["examples"]
        return Trade({name: frozenset(value.casefold() for value in values) for name, values in listed.items()})

    def _neutral(self, stem: str) -> tuple[Message, ...]:
        """The template for subjects of another trade, in the folder `neutral`; none where a recipe has only one."""
        file = (self.folder or FOLDER) / "neutral" / f"{stem}.md"
        if self._trade is None or not file.is_file():
            return ()
        return _messages(file.read_text(encoding="utf-8"), file)

    @cached_property
    def _templates(self) -> tuple[tuple[str, dict, tuple[Message, ...]], ...]:
        import frontmatter

        if self.folder is None:
            return ()
        files = sorted(self.folder.glob("*.md"))
        if not files:
            raise FileNotFoundError(f"No recipe in {self.folder}: add one Markdown file a template.")
        return tuple((path.stem, *_parsed(frontmatter.load(str(path)), path)) for path in files)

    def for_languages(self, languages: Sequence[str]) -> tuple[Recipe, ...]:
        """Every template in every language asked for that it can be written in.

        Raises ValueError when a language has no recipe at all, naming what there is.
        """
        if self.folder is None:
            return ()
        recipes = tuple(
            Recipe(
                recipe_id=f"{stem}-{language}",
                prompt_name=f"{self.folder.name}-{stem}",
                format=head["format"],
                style=head["style"],
                language=language,
                template=template,
                max_tokens=int(head["max_tokens"]),
                temperature=float(head["temperature"]),
                neutral=self._neutral(stem),
                trade=self._trade,
            )
            for stem, head, template in self._templates
            for language in languages
            if language in head["languages"]
        )
        missing = set(languages) - {recipe.language for recipe in recipes}
        if missing:
            raise ValueError(
                f"No recipe in {self.folder.name!r} is written for {sorted(missing)}: name the language in one."
            )
        return recipes


def recipes_by_format(recipes: Sequence[Recipe]) -> dict[str, tuple[str, ...]]:
    """Identities of the recipes that compete with one another, by what they write."""
    formats = dict.fromkeys(recipe.format for recipe in recipes)
    return {form: tuple(recipe.recipe_id for recipe in recipes if recipe.format == form) for form in formats}


def facts_as_text(facts: Mapping[str, str]) -> str:
    """Facts as one line a fact, the form in which every prompt shows them; what is more than plain words is quoted."""
    return "\n".join(as_prompt_line(name, value) for name, value in facts.items() if value)


def _parsed(page: "frontmatter.Post", path: Path) -> tuple[dict, tuple[Message, ...]]:
    missing = {"format", "style", "languages", "max_tokens", "temperature"} - set(page.metadata)
    if missing:
        raise ValueError(f"{path.name} lacks {sorted(missing)} in its front matter.")
    return dict(page.metadata), _messages(page.content, path)


def _messages(text: str, path: Path) -> tuple[Message, ...]:
    parts = _SECTION.split(text)[1:]
    template = tuple(Message(role, said.strip()) for role, said in zip(parts[::2], parts[1::2], strict=True))
    if not template or template[-1].role != "user":
        raise ValueError(f"{path.name} must end with a '## user' section: the one that the subject's facts fill.")
    return template


def _fill(text: str, facts: Mapping[str, str], recipe: Recipe) -> str:
    places = {"facts": facts_as_text(facts), "language": recipe.language, "style": recipe.style}
    return _PLACE.sub(lambda place: places[place.group(1)], text)


def as_json(messages: Sequence[Mapping[str, str]]) -> str:
    """Messages as canonical JSON: the same chat gives the same bytes, and so the same hash."""
    return json.dumps(list(messages), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
