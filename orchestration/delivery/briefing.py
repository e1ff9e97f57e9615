"""Briefs: what is asked for each subject, in rows.

Here: what is known of a subject when a choice is made for it, and the row of each option that is drawn.
Not here: who draws how many options (shared_traffic, decisions), what an option is (generation), what a prompt says
(loops.recipes).
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestration.delivery.protocol import Deciding, Draw, When
from orchestration.delivery.withdrawn import Withdrawn
from orchestration.generation.answers import canonical
from orchestration.generation.pipeline import Find, Passage, Subject, messages_of
from orchestration.learning.policies.choice import Context
from orchestration.learning.policies.exemplars import shown_to
from orchestration.learning.policies.policy import Policy
from orchestration.loops.recipes import Example, Recipe
from orchestration.tables import TABLES

if TYPE_CHECKING:
    import polars as pl

    from orchestration.loops.declaration import Loop


Row = Mapping[str, Any]
"""A row of `flywheel.subjects`."""


@dataclass(frozen=True, kw_only=True)
class Briefing:
    """What a turn's briefs are made from. `in_force` are answers by subject, `prompt_versions` by prompt; `language` is
    that of subjects which have none of their own."""

    loop: "Loop"
    when: When
    recipes: Sequence[Recipe]
    prompt_versions: Mapping[str, int]
    policy: Policy
    first: Policy
    policy_version: str
    in_force: Mapping[str, Mapping[str, Any]]
    find: Find | None
    language: str = "en"
    withdrawn: Withdrawn = Withdrawn()

    def writes(self, form: str, language: str) -> bool:
        """Whether what recipes write in some language is written in this one too."""
        written = {recipe.language for recipe in self.recipes if recipe.format == form}
        return not written or language in written


def brief_rows(subjects: "pl.DataFrame", briefing: Briefing) -> "pl.DataFrame":
    """One row for each subject and option drawn. Same input, same rows: seeds and identities are hashes."""
    by_id = {row["subject_id"]: row for row in subjects.to_dicts()}
    rows = [row for subject in subjects.to_dicts() for row in _briefs_of(subject, briefing, by_id)]
    return TABLES["briefs"].frame(rows)


def unwritten(subjects: "pl.DataFrame", briefing: Briefing) -> dict[str, int]:
    """How many subjects have a language that no recipe writes, by language: they get no brief."""
    spoken = ((row["format"], row["language"] or briefing.language) for row in subjects.to_dicts())
    return dict(Counter(language for form, language in sorted(spoken) if not briefing.writes(form, language)))


def subject_of(row: Mapping[str, Any], in_force: Mapping[str, Mapping[str, Any]], language: str) -> Subject:
    """A row of `flywheel.subjects` as generation sees it; it is written for in `language` where it names none."""
    return Subject(
        subject_id=row["subject_id"],
        pool=row["category"],
        format=row["format"],
        facts=json.loads(row["facts"]),
        in_force=in_force.get(row["subject_id"], {}),
        language=row["language"] or language,
    )


def features_of(loop: "Loop", facts: Mapping[str, str]) -> dict[str, str | float]:
    """What a policy may choose by: numbers where a fact reads as one, else the fact; what is empty is left out."""
    return {name: _number_or_text(facts[name]) for name in loop.subjects.features if facts.get(name)}


def _briefs_of(row: Mapping[str, Any], briefing: Briefing, by_id: Mapping[str, Row]) -> Iterator[dict[str, Any]]:
    loop = briefing.loop
    subject = subject_of(row, briefing.in_force, briefing.language)
    if not briefing.writes(subject.format, subject.language):
        return
    reason = loop.generation.escalation.reason(subject) if loop.generation.escalation else None
    offers = loop.generation.offers(subject, briefing.recipes)
    context = Context(
        pool=subject.pool,
        format=subject.format,
        features={**features_of(loop, subject.facts), **loop.generation.known_of(subject)},
        options=tuple(offer.option for offer in offers),
    )
    draws = loop.delivery.draws(
        Deciding(
            loop=loop.name,
            subject=subject,
            holdout_point=row["holdout_point"],
            offers=offers,
            decides=loop.generation.decides,
            policy=briefing.policy,
            first=briefing.first,
            context=context,
            when=briefing.when,
        )
    )
    passages = loop.generation.passages(subject, briefing.find) if draws and reason is None else ()
    for draw in draws:
        yield _row(row, subject, draw, context, passages, reason, briefing, by_id)


def _row(
    row: Mapping[str, Any],
    subject: Subject,
    draw: Draw,
    context: Context,
    passages: Sequence[Passage],
    reason: str | None,
    briefing: Briefing,
    by_id: Mapping[str, Row],
) -> dict[str, Any]:
    loop, when, offer = briefing.loop, briefing.when, draw.offer
    recipe = next((each for each in briefing.recipes if each.recipe_id == offer.recipe_id), None)
    examples = _examples(subject.subject_id, recipe, briefing, by_id)
    asked = recipe.suited_to(subject.facts, has_examples=bool(examples)) if recipe else None
    asked = asked if loop.generation.asks(loop.answer) else None
    told = replace(subject, facts=_told(row, recipe, loop))
    option = offer.option.option_id
    seed = int(_hash(when.seed, when.turn, subject.subject_id, option)[:8], 16) & 0x7FFFFFFF if asked else 0
    messages = messages_of(told, offer, asked, passages, examples, loop.answer)
    identity = (option, messages, seed) if asked else (messages,)
    logged = draw.probabilities
    parts = {each.option_id: dict(each.parts) for each in context.options} if logged else {}
    return {
        "turn": row["turn"],
        "loop": loop.name,
        "brief_id": _hash(loop.name, when.turn, subject.subject_id, *identity)[:20],
        "subject_id": subject.subject_id,
        "recipe_id": offer.recipe_id or option,
        "option_id": option,
        "options": canonical(dict(logged)),
        "option_parts": canonical(parts),
        "context": canonical(dict(context.features)),
        "fields": canonical(dict(offer.fields)),
        "sources": canonical([vars(passage) for passage in passages]),
        "escalation": reason,
        "style": recipe.style if recipe else "given",
        "language": recipe.language if recipe else subject.language,
        "prompt_name": recipe.prompt_name if recipe else "given",
        "prompt_version": briefing.prompt_versions[recipe.prompt_name] if recipe else 0,
        "messages": messages,
        "exemplars": json.dumps([example.variant_id for example in examples]),
        "max_tokens": recipe.max_tokens if recipe else 0,
        "temperature": recipe.temperature if recipe else 0.0,
        "seed": seed,
        "propensity": draw.propensity,
        "policy_version": briefing.policy_version,
    }


def _examples(subject_id: str, recipe: Recipe | None, briefing: Briefing, by_id: Mapping[str, Row]) -> list[Example]:
    """What won before with this recipe, for other subjects of the turn; nothing that was withdrawn since."""
    if recipe is None:
        return []
    down = briefing.withdrawn
    won = [
        winner
        for winner in briefing.policy.exemplars.get(recipe.recipe_id, ())
        if winner.variant_id not in down.variants and winner.subject_id not in down.subjects
    ]
    shown = shown_to(subject_id, won, {named: row["facts"] for named, row in by_id.items()})
    return [
        Example(winner.variant_id, _told(by_id[winner.subject_id], recipe, briefing.loop), winner.text)
        for winner in shown
        if winner.subject_id in by_id
    ]


def _told(row: Row, recipe: Recipe | None, loop: "Loop") -> dict[str, str]:
    """What a model is told of a subject. Examples of a trade show no text in force beside their facts, and a small
    model takes their form for a rule: among them one that only repeats the facts is left out."""
    facts = json.loads(row["facts"])
    tersely = recipe is not None and recipe.shows_trade_of(facts)
    return loop.subjects.told(facts, row["original"], tersely=tersely)


def _number_or_text(value: str) -> str | float:
    try:
        number = float(value)
    except ValueError:
        return value
    return number if abs(number) < float("inf") else value


def _hash(*parts: object) -> str:
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()
