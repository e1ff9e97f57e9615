"""What the stages ask of a way of delivery.

Here: the protocol, and the values that pass through it. A stage reads the rows that a way of delivery names, hands
them over, and keeps what comes back: no stage asks which way it is.
Not here: the ways themselves (shared_traffic, per_unit, trial).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from orchestration.delivery.withdrawn import Withdrawn
from orchestration.generation.pipeline import Draft, Offer, Subject, Workshop
from orchestration.learning.policies.choice import Context
from orchestration.learning.policies.policy import Policy
from orchestration.learning.proof.evidence import Condition
from orchestration.learning.proof.paired_estimate import Increment

if TYPE_CHECKING:
    import polars as pl

    from orchestration.loops.declaration import Loop

Embed = Callable[[Sequence[str]], np.ndarray]
Formats = Mapping[str, Sequence[str]]
Frames = Mapping[str, "pl.DataFrame"]
Statements = Mapping[str, str]
"""Queries by name, over `$loop` and `$turn`, in the warehouse's dialect."""


@dataclass(frozen=True, kw_only=True)
class When:
    """A turn as strategies see it: its key, its first day, its length in days, and the seed of every random choice."""

    turn: str
    days: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Draw:
    """An option drawn for a subject, with the probability of that. `probabilities` are those of a single draw."""

    offer: Offer
    propensity: float
    probabilities: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """What a draw is made from: the offers for a subject, what chooses, and what chose before anything was learned."""

    loop: str
    subject: Subject
    holdout_point: float | None
    offers: Sequence[Offer]
    decides: bool
    policy: Policy
    first: Policy
    context: Context
    when: When


@dataclass(frozen=True, kw_only=True)
class Releasing:
    """What a release is made from: the turn's stages, what the way of delivery asked to read, and who embeds texts."""

    loop: "Loop"
    when: When
    policy: Policy
    policy_version: str
    subjects: "pl.DataFrame"
    waiting: "pl.DataFrame"
    briefs: "pl.DataFrame"
    candidates: "pl.DataFrame"
    reviews: "pl.DataFrame"
    read: Frames
    embed: Embed
    now: datetime
    withdrawn: Withdrawn = Withdrawn()


@dataclass(frozen=True, kw_only=True)
class Learning:
    """What is learned from: evidence and whatever else the way of delivery asked to read, up to `when`."""

    loop: "Loop"
    when: When
    read: Frames
    by_format: Formats
    embed: Embed


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Challenger against champion in one turn: the increment, and what else is worth seeing about it."""

    increment: Increment
    figures: Mapping[str, float | str] = field(default_factory=dict)


class Delivery(Protocol):
    """How answers go out, and within what they are compared. Implementations are frozen dataclasses."""

    @property
    def unit(self) -> str:
        """What meets an answer, such as `visitor`."""

    @property
    def holdout(self) -> float:
        """Share of units that always get what they would have got anyway."""

    @property
    def grace(self) -> timedelta:
        """How long after a turn has begun applications may still serve what the turn before released."""

    @property
    def outputs(self) -> Mapping[str, str]:
        """Stages that a release fills, each with its table; `releases` is one of them."""

    @property
    def audience(self) -> bool:
        """Whether events from outside say what an answer did."""

    def fits(self, loop: "Loop") -> None:
        """Raises ValueError, naming the remedy, when a declaration cannot be delivered this way."""

    def draws(self, deciding: Deciding) -> list[Draw]:
        """The options that a subject's briefs are written for; none for one that is left alone."""

    def tried(self, drafts: Sequence[Draft], briefs: Sequence[Mapping[str, Any]], workshop: Workshop) -> list[Draft]:
        """The drafts with what a trial measured, where answers meet no audience."""

    @property
    def release_reads(self) -> Statements:
        """What `released` wants to see."""

    def released(self, releasing: Releasing) -> dict[str, "pl.DataFrame"]:
        """Rows for each of `outputs`."""

    @property
    def outbox_read(self) -> str:
        """What `outbox` wants to see, over $loop and $turn."""

    def without(self, rows: "pl.DataFrame", withdrawn: Withdrawn, loop: "Loop") -> "pl.DataFrame":
        """The rows of `outbox_read` with what may not go out replaced by what would have been met anyway."""

    def in_their_place(self, rows: "pl.DataFrame", kept: "pl.DataFrame", turn: str, now: datetime) -> "pl.DataFrame":
        """Rows of `flywheel.deliveries`: what goes out in the place of withdrawn answers under the same decisions.

        `kept` are `rows` as `without` left them.
        """

    def outbox(self, rows: "pl.DataFrame", loop: "Loop", turn: str) -> Iterator[dict[str, Any]]:
        """What an application needs, an item a subject or unit."""

    def first(self, loop: "Loop", by_format: Formats) -> Policy:
        """The policy before anything was learned."""

    def understood(self, policy: str, by_format: Formats) -> Policy:
        """A policy from its JSON, for the recipes there are now."""

    @property
    def evidence(self) -> str:
        """The SELECT of the turn's evidence, over $loop and $turn."""

    @property
    def learning_reads(self) -> Statements:
        """What `fitted` and `compared` want to see, up to $turn."""

    @property
    def learns_from(self) -> str:
        """Which of `learning_reads` are the rows that teach."""

    def fitted(self, learning: Learning) -> Policy:
        """The policy that all turns so far teach."""

    def parameters(self, policy: Policy) -> Mapping[str, float | int | str]:
        """What a training run records of how this policy came about."""

    def compared(self, learning: Learning, champion: Policy) -> Compared | None:
        """What this turn says of challengers against the champion; None when it says nothing."""

    @property
    def condition_reads(self) -> Statements:
        """What `trusted` and `places` want to see."""

    def trusted(self, loop: "Loop", read: Frames, when: When) -> list[Condition]:
        """The conditions without which no figure of the turn can be believed: sample ratio, leaks."""

    def trust_checks(self, loop: "Loop") -> Mapping[str, str]:
        """Names of these conditions, each with what it says."""

    @property
    def unwanted(self) -> str:
        """Counts of $outcome among treated and untreated units by turn, up to $turn."""

    def places(self, read: Frames) -> list[tuple[Context, float]]:
        """The contexts in which the turn's choices were made, with their weights: what costs are taken over."""
