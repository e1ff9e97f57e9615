"""What has been withdrawn of a loop: answers that never go out again, and subjects for which nothing does.

Here: the statement that reads it, and the value by which ways of delivery obey it.
Not here: how each way obeys (shared_traffic, per_unit, trial), and landing a withdrawal (landing.rules.withdrawals).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

IN_FORCE = """
    select withdrawal_id, loop, target, target_id, reason, withdrawn_at from flywheel.withdrawals
    where undoes is null and withdrawal_id not in (
        select undoes from flywheel.withdrawals where undoes is not null)
    order by withdrawn_at, withdrawal_id
"""
"""Withdrawals that nothing has taken back, of all loops."""

# A variant is known by its subject and its answer: what comes down with a candidate or a release stays down under
# whatever candidate the same answer returns.
COMES_DOWN = """
    with in_force as (
        select withdrawal_id, target, target_id from flywheel.withdrawals
        where loop = $loop and undoes is null and withdrawal_id not in (
            select undoes from flywheel.withdrawals where undoes is not null)
    ), known as (
        select subject_id, variant_id, candidate_id, release_id from flywheel.releases
        where loop = $loop and not is_control
        union
        select subject_id, variant_id, candidate_id, decision_id from flywheel.decisions
        where loop = $loop and delivered
        union
        select subject_id, variant_id, candidate_id, decision_id from flywheel.deliveries
        where loop = $loop and delivered
    )
    select w.withdrawal_id, w.target, w.target_id, k.variant_id
    from in_force as w
    left join known as k
        on (w.target = 'variant' and k.variant_id = w.target_id)
        or (w.target = 'candidate' and k.candidate_id = w.target_id)
        or (w.target = 'release' and k.release_id = w.target_id)
        or (w.target = 'subject' and k.subject_id = w.target_id)
    order by w.withdrawal_id, k.variant_id
"""


@dataclass(frozen=True, kw_only=True)
class Withdrawn:
    """Identities of what may not go out, of one loop. Originals are never among the variants."""

    variants: frozenset[str] = frozenset()
    candidates: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rows: "pl.DataFrame") -> "Withdrawn":
        """From the rows of COMES_DOWN."""
        return cls(
            variants=frozenset(rows["variant_id"].drop_nulls()),
            candidates=frozenset(rows.filter(rows["target"] == "candidate")["target_id"]),
            subjects=frozenset(rows.filter(rows["target"] == "subject")["target_id"]),
        )

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a row (subject_id, variant_id, candidate_id) is of an answer that may not go out."""
        return (
            row["variant_id"] in self.variants
            or row["candidate_id"] in self.candidates
            or row["subject_id"] in self.subjects
        )

    def among(self, rows: "pl.DataFrame") -> "pl.Series":
        """For each row (subject_id, variant_id, candidate_id) whether its answer may not go out."""
        import polars as pl

        return pl.Series([self.holds(row) for row in rows.iter_rows(named=True)], dtype=pl.Boolean)
