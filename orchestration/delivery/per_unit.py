"""Per unit: one answer for one unit, drawn by the policy and logged as a decision.

Here: who is left alone, what a unit gets instead, and the form of the outbox.
Not here: drawing and rows (decisions), what is proven (decision_learning), the identifier that a unit is answered by
(landing.addressees).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from orchestration.delivery.decision_learning import LearnsFromDecisions
from orchestration.delivery.decisions import (
    decision_rows,
    drawn,
    is_held_out,
    late_rows,
    measures,
    result_rows,
    without_answers,
)
from orchestration.delivery.protocol import Deciding, Draw, Releasing
from orchestration.delivery.shared_traffic import provenance
from orchestration.delivery.withdrawn import Withdrawn
from orchestration.generation.pipeline import Draft, Workshop

if TYPE_CHECKING:
    import polars as pl

    from orchestration.loops.declaration import Loop


@dataclass(frozen=True, kw_only=True)
class Instead:
    """What a unit gets where no answer is delivered: fields of an answer, or its original when there are none."""

    answer: Mapping[str, Any] | None = field(default=None, hash=False)
    to: str = "original"


def original() -> Instead:
    """What the subject's original says."""
    return Instead()


def to_a_person(**answer: Any) -> Instead:
    """A person takes over; fields of the answer may say so to the unit."""
    return Instead(answer=MappingProxyType(answer), to="person")


@dataclass(frozen=True, kw_only=True)
class PerUnit(LearnsFromDecisions):
    """One answer for one unit, drawn and logged; answers are compared within the pool, since a unit meets one alone.

    `holdout` is the share of units that are left alone: they get what they would have got anyway, `instead`.
    """

    unit: str
    holdout: float = 0.10
    instead: Instead = Instead()
    audience = True
    grace = timedelta()  # what is met says which decision it is of

    def __post_init__(self) -> None:
        if not 0 < self.holdout < 1 or not self.unit:
            raise ValueError(f"A unit needs a name, and a holdout between 0 and 1, not {self.unit!r}, {self.holdout}.")

    def fits(self, loop: "Loop") -> None:
        if loop.generation.rounds is not None:
            raise ValueError(f"Loop {loop.name!r} answers units in rounds of trial: deliver it with Trial.")
        if unknown := sorted(set(self.instead.answer or ()) - set(loop.answer.model_fields)):
            raise ValueError(f"{loop.answer.__name__} has no field {unknown}, which units are to get instead.")

    def draws(self, deciding: Deciding) -> list[Draw]:
        """One option; none for a unit that is held out, so that nothing is paid for it."""
        loop = deciding.loop
        if is_held_out(deciding.holdout_point, self.holdout, loop, deciding.subject.subject_id):
            return []
        return drawn(deciding, deciding.policy.choice)

    def tried(self, drafts: Sequence[Draft], briefs: Sequence[Mapping[str, Any]], workshop: Workshop) -> list[Draft]:  # noqa: ARG002
        return [*drafts]

    def released(self, releasing: Releasing) -> dict[str, "pl.DataFrame"]:
        rows = decision_rows(releasing, self.holdout, self.instead.answer, tried_at=None)
        return {
            "releases": rows,
            "results": result_rows(rows, releasing, measures(releasing)),
            "deliveries": late_rows(releasing, rows),
        }

    def without(self, rows: "pl.DataFrame", withdrawn: Withdrawn, loop: "Loop") -> "pl.DataFrame":
        return without_answers(rows, withdrawn, loop, self.instead.answer)

    def outbox(self, rows: "pl.DataFrame", loop: "Loop", turn: str) -> Iterator[dict[str, Any]]:
        """One item for each unit, held out or not: whom to answer, with what, and under which decision to log it.

        An answer that a person approved after its turn stands there again, `late`, under the decision of that turn.
        """
        import polars as pl

        for row in rows.with_columns(pl.col("written_in").cast(pl.String)).to_dicts():
            yield {
                "loop": loop.name,
                "turn": turn,
                "decision_id": row["decision_id"],
                "unit": self.unit,
                "subject_id": row["subject_id"],
                "variant_id": row["variant_id"],
                "in_holdout": row["in_holdout"],
                "deliver": self._delivers(row),
                "text": row["text"],
                "answer": json.loads(row["answer"]),
                "option": row["option"],
                "propensity": row["propensity"],
                "decided_in": str(row["decided_in"]),
                "late": row["late"],
                **provenance({**row, "is_control": not row["delivered"]}, asked=row["model"] is not None),
            }

    def _delivers(self, row: Mapping[str, Any]) -> str:
        """What the unit gets. Whom the generation sent to a person gets one, whatever stands in for an answer."""
        if row["delivered"]:
            return "answer"
        return "person" if row["escalation"] else self.instead.to
