"""What a guard sees and what it answers.

Here: the draft, the verdict, and the protocol that every guard follows.
Not here: any one guard (its own module) and who decides after a verdict (graph.assets.reviews).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

Decision = Literal["pass", "flag", "block"]


@dataclass(frozen=True)
class Draft:
    """One candidate as a guard sees it.

    `facts` are what the brief allowed it to say, `original` the text in force, `language` an ISO 639-1 code, and
    `others` the texts of the same subject that stand already, released or earlier in this turn.
    """

    text: str
    facts: Mapping[str, str]
    original: str
    language: str = "en"
    format: str = ""
    others: tuple[str, ...] = ()
    answer: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """One guard's judgement: `pass`, `flag` (a person decides) or `block` (never leaves), with its reason."""

    guard: str
    decision: Decision
    reason: str


class Guard(Protocol):
    """A named judge. Implementations are frozen dataclasses, so that a declaration stays a value."""

    @property
    def name(self) -> str: ...

    def __call__(self, draft: Draft) -> Verdict: ...


@dataclass(frozen=True)
class Addressed:
    """A guard that judges one field of the answer instead of all that is shown."""

    field: str
    guard: Guard

    @property
    def name(self) -> str:
        return f"{self.guard.name}_{self.field}"

    def __call__(self, draft: Draft) -> Verdict:
        """Raises KeyError when the answer has no such field."""
        value = draft.answer[self.field]
        verdict = self.guard(replace(draft, text=value if isinstance(value, str) else json.dumps(value)))
        return replace(verdict, guard=self.name)


def on(field: str, guard: Guard) -> Addressed:
    """`guard`, addressed to `field`: a subject line and a body have different limits."""
    return Addressed(field, guard)
