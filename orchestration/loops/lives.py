"""How long a subject of a loop lives: in which turns something is made for it, and when that ends.

Here: the five lives that a declaration can name, as values that say what a stage must ask of the facts.
Not here: reading who is alive (graph.assets.subjects) and whose turn it is among them (learning.traffic.rotation).

No stage asks which life it deals with: all of them answer the same questions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from math import ceil
from typing import Protocol


class Life(Protocol):
    """When a subject is alive, and what of it outlasts a turn.

    `starts` and `ends` name facts that hold days: alive in turns that begin on or after the one and before the other.
    `single` subjects live until they were released or decided on for the first time, others until the outcome
    `until` was counted for them. Whether what was in force stays so in turns that do not take the subject, and
    competes again in those that do, says `keeps`.
    """

    @property
    def starts(self) -> str | None: ...

    @property
    def ends(self) -> str | None: ...

    @property
    def single(self) -> bool: ...

    @property
    def until(self) -> str | None: ...

    @property
    def keeps(self) -> bool: ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs among the facts."""
        ...

    def turns_left(self, facts: Mapping[str, str], first_day: date, days: int) -> int | None:
        """Turns in which the subject is in force, the one that begins on `first_day` included; None where unknown.

        `facts` are those of the subject, `days` the length of a turn. Raises ValueError naming the fact when it holds
        no day.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class _Life:
    """What holds for a life that says nothing else."""

    @property
    def starts(self) -> str | None:
        return None

    @property
    def ends(self) -> str | None:
        return None

    @property
    def single(self) -> bool:
        return False

    @property
    def until(self) -> str | None:
        return None

    @property
    def keeps(self) -> bool:
        return True

    @property
    def columns(self) -> tuple[str, ...]:
        return ()

    def turns_left(self, facts: Mapping[str, str], first_day: date, days: int) -> int | None:  # noqa: ARG002
        return None


@dataclass(frozen=True, kw_only=True)
class Stays(_Life):
    """In force in every turn from landing on: a product, a document."""


@dataclass(frozen=True, kw_only=True)
class Between(_Life):
    """In force in the turns inside its days: a campaign, a logged test."""

    first: str
    after_last: str

    def __post_init__(self) -> None:
        if not self.first or not self.after_last or self.first == self.after_last:
            raise ValueError(
                f"between({self.first!r}, {self.after_last!r}): name two columns of days, the first day of a subject "
                "and the day after its last."
            )

    @property
    def starts(self) -> str:
        return self.first

    @property
    def ends(self) -> str:
        return self.after_last

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.first, self.after_last)

    def turns_left(self, facts: Mapping[str, str], first_day: date, days: int) -> int:
        held = facts.get(self.after_last)
        try:
            end = date.fromisoformat(held or "")
        except ValueError:
            raise ValueError(
                f"The fact {self.after_last!r} must be a day such as 2026-01-31, not {held!r}: mend it where it is "
                "made, and land the subject again."
            ) from None
        return max(1, ceil((end - first_day).days / days))


@dataclass(frozen=True, kw_only=True)
class EachTurn(_Life):
    """Anew in every turn, nothing of the last one staying: what a customer gets this week."""

    @property
    def keeps(self) -> bool:
        return False

    def turns_left(self, facts: Mapping[str, str], first_day: date, days: int) -> int:  # noqa: ARG002
        return 1


@dataclass(frozen=True, kw_only=True)
class Once(_Life):
    """Until something was released or decided for it once: a ticket, a lead in one stage."""

    @property
    def single(self) -> bool:
        return True

    @property
    def keeps(self) -> bool:
        return False

    def turns_left(self, facts: Mapping[str, str], first_day: date, days: int) -> int:  # noqa: ARG002
        return 1


@dataclass(frozen=True, kw_only=True)
class UntilMet(_Life):
    """Until an outcome was counted for it: a specification, until something made for it has passed."""

    outcome: str

    def __post_init__(self) -> None:
        if not self.outcome.strip():
            raise ValueError("until_met needs the name of an outcome that the loop declares, such as 'passed'.")

    @property
    def until(self) -> str:
        return self.outcome


def stays() -> Stays:
    """In force in every turn from landing on."""
    return Stays()


def between(starts: str, ends: str) -> Between:
    """In force in turns that begin on or after the day in the column `starts` and before that in `ends`."""
    return Between(first=starts, after_last=ends)


def each_turn() -> EachTurn:
    """Every subject anew in each turn."""
    return EachTurn()


def once() -> Once:
    """Until the subject has been released or decided once."""
    return Once()


def until_met(outcome: str) -> UntilMet:
    """Until `outcome` has been counted for the subject."""
    return UntilMet(outcome=outcome)
