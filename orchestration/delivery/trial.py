"""Trial: no audience; a test says what an answer is worth.

Here: what the holdout is, running the test where the generation has not, and the form of the outbox.
Not here: drawing and rows (decisions), what is proven (decision_learning), rounds of trial (generation.rounds).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
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
from orchestration.generation.tested import Test

if TYPE_CHECKING:
    import polars as pl

    from orchestration.loops.declaration import Loop


@dataclass(frozen=True, kw_only=True)
class Trial(LearnsFromDecisions):
    """A test says what an answer is worth; answers are compared within the pool.

    `holdout` is the share of subjects that get what they would have got without learning: an option by the first
    policy, even over all of them, whatever has been learned since. `test` may be left out where the generation runs
    rounds of one.
    """

    test: Test | None = None
    unit: str = "trial"
    holdout: float = 0.10
    audience = False
    grace = timedelta()

    def __post_init__(self) -> None:
        if not 0 < self.holdout < 1:
            raise ValueError(f"The holdout is a share between 0 and 1, not {self.holdout}.")

    def fits(self, loop: "Loop") -> None:
        test = self.test or (loop.generation.rounds and loop.generation.rounds.test)
        if not test:
            raise ValueError(f"Loop {loop.name!r} is delivered to a trial, and names no test: Trial(test=...).")
        if missing := set(test.columns) - set(loop.subjects.facts):
            raise ValueError(f"Loop {loop.name!r} is tried on {sorted(missing)}: name them among the facts.")

    def draws(self, deciding: Deciding) -> list[Draw]:
        """One option, by the champion, or by the first policy for a subject that is held out."""
        held_out = is_held_out(deciding.holdout_point, self.holdout, deciding.loop, deciding.subject.subject_id)
        return drawn(deciding, (deciding.first if held_out else deciding.policy).choice)

    def tried(self, drafts: Sequence[Draft], briefs: Sequence[Mapping[str, Any]], workshop: Workshop) -> list[Draft]:
        """The drafts with what the test measured; those tried in rounds already know."""
        if self.test is None:
            return [*drafts]
        facts = [dict(json.loads(brief["facts"])) for brief in briefs]
        answers = [(draft.answer.answer, known) for draft, known in zip(drafts, facts, strict=True)]
        verdicts = self.test.tried(answers, workshop)
        return [
            draft if draft.measured is not None or verdict is None else replace(draft, measured=dict(verdict.measured))
            for draft, verdict in zip(drafts, verdicts, strict=True)
        ]

    def released(self, releasing: Releasing) -> dict[str, "pl.DataFrame"]:
        rows = decision_rows(releasing, self.holdout, None, tried_at=releasing.now)
        return {
            "releases": rows,
            "results": result_rows(rows, releasing, measures(releasing)),
            "deliveries": late_rows(releasing, rows),
        }

    def without(self, rows: "pl.DataFrame", withdrawn: Withdrawn, loop: "Loop") -> "pl.DataFrame":
        return without_answers(rows, withdrawn, loop, None)

    def outbox(self, rows: "pl.DataFrame", loop: "Loop", turn: str) -> Iterator[dict[str, Any]]:
        """One item for each subject: the answer that was tried, for whoever uses it."""
        import polars as pl

        for row in rows.with_columns(pl.col("written_in").cast(pl.String)).to_dicts():
            if row["delivered"]:
                yield {
                    "loop": loop.name,
                    "turn": turn,
                    "decision_id": row["decision_id"],
                    "subject_id": row["subject_id"],
                    "variant_id": row["variant_id"],
                    "in_holdout": row["in_holdout"],
                    "text": row["text"],
                    "answer": json.loads(row["answer"]),
                    "option": row["option"],
                    "propensity": row["propensity"],
                    "decided_in": str(row["decided_in"]),
                    "late": row["late"],
                    **provenance({**row, "is_control": False}, asked=row["model"] is not None),
                }
