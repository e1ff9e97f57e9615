"""A way of generation: steps in their order, rounds of trial where there are any, and who is not asked at all.

Here: composing steps with `>>` and `|`, the options that they leave a policy, the brief of one option, and the answers
to a turn's briefs.
Not here: what each step adds (chosen, given, grounded, written), rounds, and which option a subject gets (delivery).
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel

from orchestration.generation.answers import AnswerInvalid, canonical, rendered, text_field, validated, without_fields
from orchestration.generation.calls import Answer, Request
from orchestration.learning.policies.choice import Option
from orchestration.learning.policies.price_bounds import PriceBounds
from orchestration.loops.recipes import Example, Recipe, Recipes, as_json

if TYPE_CHECKING:
    from orchestration.generation.best import BestOf
    from orchestration.generation.escalated import Escalation
    from orchestration.generation.rounds import Rounds
    from orchestration.generation.tested import RunsTrials

Ask = Callable[[Sequence[Request], type[BaseModel], str], list[Answer]]
"""Asks a model: requests, what an answer must look like, and the field that a plain text fills."""


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A part of a document that an answer may rest on."""

    document_id: str
    title: str
    text: str


Find = Callable[[str, str, int], Sequence[Passage]]
"""Finds passages: corpus, what is looked for, and how many."""


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What generation is handed: who asks a model, and who runs trials where a loop has any.

    `best_of` is how many drafts of one answer may be asked for, where the loop says which is best.
    """

    ask: Ask
    best_of: int = 1
    trials: "RunsTrials | None" = None
    tell: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is generated for, as a step sees it. `in_force` are the fields of the answer that was in force last,
    `language` is the one to write in."""

    subject_id: str
    pool: str
    format: str
    facts: Mapping[str, str]
    in_force: Mapping[str, Any] = field(default_factory=dict)
    language: str = "en"


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """What one step may do for a subject: its name, what a policy learns about it, and the fields that it fills."""

    name: str
    parts: Mapping[str, str | float]
    fields: Mapping[str, Any] = field(default_factory=dict)


class Step(Protocol):
    """One step of a generation. Implementations are frozen dataclasses, so that a declaration stays a value."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Facts that it reads from a subject."""

    @property
    def decides(self) -> bool:
        """Whether a policy chooses among its alternatives; if not, all of them are taken."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the answer that it fills, so that no model is asked for them."""

    @property
    def recipes(self) -> Recipes:
        """Recipes that it writes by; none where it does not write."""

    @property
    def corpus(self) -> str | None:
        """Corpus that it finds passages in."""

    @property
    def only_price(self) -> PriceBounds | None:
        """Bounds of the price, where it chooses that and nothing else."""

    def known_of(self, subject: Subject) -> Mapping[str, float]:
        """What it knows of a subject that a policy may choose by, such as the price in force."""

    def alternatives(self, subject: Subject, recipes: Sequence[Recipe]) -> tuple[Alternative, ...]:
        """What it may do for a subject; empty where it leaves nothing to choose."""

    def passages(self, subject: Subject, find: Find | None) -> tuple[Passage, ...]:
        """What an answer may rest on beside the subject's facts."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a turn's briefs came to, in their order: the answer, the rounds it took and what its trial measured."""

    answer: Answer
    rounds: int = 1
    measured: Mapping[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Generation:
    """Steps in their order. `a >> b` is both, `a | escalated(...)` goes to a person instead where that says so."""

    steps: tuple[Step, ...]
    rounds: "Rounds | None" = None
    escalation: "Escalation | None" = None
    best: "BestOf | None" = None

    def __post_init__(self) -> None:
        filled = [name for step in self.steps for name in step.fields]
        if len(set(filled)) < len(filled):
            raise ValueError(f"Two steps fill the same field of the answer: {sorted(filled)}. Let one of them do it.")
        if sum(step.recipes.folder is not None for step in self.steps) > 1:
            raise ValueError("Two steps write the answer: a brief is asked once, so put all recipes into one folder.")

    def __rshift__(self, other: "Generation") -> "Generation":
        return Generation(
            steps=(*self.steps, *other.steps),
            rounds=other.rounds or self.rounds,
            escalation=other.escalation or self.escalation,
            best=other.best or self.best,
        )

    def __or__(self, escalation: "Escalation") -> "Generation":
        return replace(self, escalation=escalation)

    @property
    def columns(self) -> tuple[str, ...]:
        """Facts that the steps read: a subject must bring them."""
        rounds = self.rounds.columns if self.rounds else ()
        escalation = self.escalation.columns if self.escalation else ()
        return tuple(dict.fromkeys((*(name for step in self.steps for name in step.columns), *rounds, *escalation)))

    @property
    def decides(self) -> bool:
        """Whether a policy chooses anything; if not, every alternative competes."""
        return any(step.decides for step in self.steps)

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(name for step in self.steps for name in step.fields)

    @property
    def recipes(self) -> Recipes:
        """The recipes that compete; none where no model is asked."""
        return next((step.recipes for step in self.steps if step.recipes.folder), Recipes())

    @property
    def corpora(self) -> tuple[str, ...]:
        """Corpora of documents that answers rest on."""
        return tuple(dict.fromkeys(step.corpus for step in self.steps if step.corpus))

    @property
    def price_bounds(self) -> PriceBounds | None:
        """The bounds of the price, where it is all that a policy chooses."""
        deciding = [step for step in self.steps if step.decides]
        return deciding[0].only_price if len(deciding) == 1 else None

    def known_of(self, subject: Subject) -> dict[str, float]:
        """What its steps know of a subject that a policy may choose by, beside the subject's features."""
        return {name: value for step in self.steps for name, value in step.known_of(subject).items()}

    def asks(self, answer: type[BaseModel]) -> bool:
        """Whether a model is asked: some field of the answer is filled by no step."""
        return bool(set(answer.model_fields) - set(self.fields))

    def offers(self, subject: Subject, recipes: Sequence[Recipe]) -> "tuple[Offer, ...]":
        """What may be done for a subject: every combination of its steps' alternatives.

        None where a step that decides has nothing that it may do.
        """
        by_step = [(step, step.alternatives(subject, recipes)) for step in self.steps]
        if any(step.decides and not found for step, found in by_step):
            return ()
        lists = [found for _, found in by_step if found]
        return tuple(Offer.of(combination) for combination in product(*lists)) if lists else ()

    def passages(self, subject: Subject, find: Find | None) -> tuple[Passage, ...]:
        return tuple(passage for step in self.steps for passage in step.passages(subject, find))

    def answers(self, briefs: Sequence[Mapping[str, Any]], answer: type[BaseModel], workshop: Workshop) -> list[Draft]:
        """One draft for each brief, in their order."""
        if self.rounds is not None:
            return self.rounds.answers(briefs, answer, self, workshop)
        if self.best is not None and workshop.best_of > 1:
            return self.best.answers(briefs, answer, self, workshop)
        return [Draft(answer=found) for found in self.asked(briefs, answer, workshop)]

    def asked(self, briefs: Sequence[Mapping[str, Any]], answer: type[BaseModel], workshop: Workshop) -> list[Answer]:
        """The answers to briefs: what the steps filled, completed by the model where a field is left."""
        filled = {brief["brief_id"]: json.loads(brief["fields"]) for brief in briefs}
        waiting = [brief for brief in briefs if brief["escalation"] is None]
        found: dict[str, Answer] = {}
        if waiting and self.asks(answer):
            wanted = without_fields(answer, tuple(sorted(set(self.fields))))
            for reply in workshop.ask([request_of(brief) for brief in waiting], wanted, text_field(wanted)):
                found[reply.brief_id] = _completed(reply, filled[reply.brief_id], answer)
        for brief in briefs:
            if brief["brief_id"] in found:
                continue
            if brief["escalation"] is None:
                plain = Answer(brief["brief_id"], "ok", "", {}, None, ())
                found[brief["brief_id"]] = _completed(plain, filled[brief["brief_id"]], answer)
            else:
                found[brief["brief_id"]] = Answer(brief["brief_id"], "escalated", None, None, brief["escalation"], ())
        return [found[brief["brief_id"]] for brief in briefs]


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One combination of alternatives: the option that a policy chooses, and the fields that it fills."""

    option: Option
    fields: Mapping[str, Any]
    recipe_id: str | None

    @classmethod
    def of(cls, alternatives: Sequence[Alternative]) -> "Offer":
        parts: dict[str, str | float] = {}
        for place, one in enumerate(alternatives, start=1):  # two steps of a kind are two parts
            parts |= {f"{name} {place}" if name in parts else name: value for name, value in one.parts.items()}
        fields = {name: value for one in alternatives for name, value in one.fields.items()}
        option = Option(option_id=" | ".join(one.name for one in alternatives), parts=parts)
        return cls(option=option, fields=fields, recipe_id=str(parts["recipe"]) if "recipe" in parts else None)


def request_of(brief: Mapping[str, Any]) -> Request:
    """A brief as a model is asked."""
    return Request(
        brief_id=brief["brief_id"],
        messages=tuple(json.loads(brief["messages"])),
        seed=brief["seed"],
        max_tokens=brief["max_tokens"],
        temperature=brief["temperature"],
        prompt_name=brief["prompt_name"],
        prompt_version=brief["prompt_version"],
    )


def messages_of(
    subject: Subject,
    offer: Offer,
    recipe: Recipe | None,
    passages: Sequence[Passage],
    examples: Sequence[Example],
    answer: type[BaseModel],
) -> str:
    """What is sent, as canonical JSON. Where nobody is asked, the answer is its own message."""
    if recipe is None:
        text = (
            str(offer.fields.get(text_field(answer), "")) if len(offer.fields) == 1 else canonical(dict(offer.fields))
        )
        return as_json([{"role": "assistant", "content": text}])
    chosen = {name: str(value) for name, value in offer.fields.items()}
    return as_json(recipe.messages({**subject.facts, **chosen, **dict(cited(passages))}, examples))


def cited(passages: Sequence[Passage]) -> Iterator[tuple[str, str]]:
    """Passages as facts, each under its document's name."""
    for passage in passages:
        yield f"[{passage.document_id}] {passage.title}".strip(), passage.text


def _completed(reply: Answer, filled: Mapping[str, Any], answer: type[BaseModel]) -> Answer:
    if reply.status != "ok":
        return reply
    try:
        value = validated(answer, {**(reply.answer or {}), **filled})
    except AnswerInvalid as fault:
        return replace(reply, status="parse_failed", text=None, answer=None, error=str(fault))
    return replace(reply, text=rendered(answer, value), answer=value)
