"""What a guard sees and what it answers.

Here: the draft, the verdict, and the protocol that every guard follows.
Not here: any one guard (its own module) and who decides after a verdict (graph.assets.reviews).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
