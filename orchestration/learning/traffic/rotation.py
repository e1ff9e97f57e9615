"""Whose turn it is: which subjects a turn takes where more are alive than it has places for.

Here: the choice among the living, how many wait, and what stays in force for those that wait.
Not here: who is alive (loops.lives, graph.assets.subjects) and how traffic is shared within a subject (allocation).

Half of the places are a queue: they go to the subjects that have waited longest, so that every one is taken within a
bounded number of turns, however many land later: with d such places, n alive and m landing within HEAD_START turns,
those before it need (n + m) / d turns. A subject that was never taken stands in the
queue as if it had waited for HEAD_START turns more. The other half go where most is to be gained: the units that a
subject meets in a turn, times what is still open about it, times a factor that grows with its waiting, so that equals
alternate. With a single place there is only the queue.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


HEAD_START = 8


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """What a turn takes of the `alive`: the identifiers `taken`, first landed first, and those that wait.

    `longest` is the most turns, this one included, for which one of the waiting has not been taken: since it was
    last taken, or since it could first have been.
    """

    taken: tuple[str, ...]
    waiting: tuple[str, ...]
    longest: int

    @property
    def message(self) -> str:
        """One line for the log."""
        alive = len(self.taken) + len(self.waiting)
        if not self.waiting:
            return f"All {alive} subjects."
        waits = "waits" if len(self.waiting) == 1 else "wait"
        turns = "turn" if self.longest == 1 else "turns"
        taken = f"{len(self.taken)} of {alive} subjects"
        return f"{taken}; {len(self.waiting)} {waits}, the longest for {self.longest} {turns}"


def rotation(alive: "pl.DataFrame", limit: int) -> Rotation:
    """The at most `limit` subjects that a turn takes.

    `alive`: one row a subject, with `subject_id`; `first_landed`, its place in the order of landing; `turns_since`,
    turns from the one that last took it to this one (1 after the last turn), null when none ever did; `turns_alive`,
    turns in which it could have been taken, this one included; `traffic`, units met a turn so far, and `headroom`,
    what is expected of it (such as the spread of the belief about its best text), both null where unknown and then
    taken for the mean of the others. The order of rows does not matter. Nothing is drawn: the same rows give the same
    choice. Raises ValueError for a limit below 1 or a subject that stands there twice.
    """
    import polars as pl

    if limit < 1:
        raise ValueError(f"A turn needs at least one place, not {limit}: raise FLYWHEEL_SUBJECTS_PER_TURN.")
    if alive["subject_id"].n_unique() < alive.height:
        raise ValueError("A subject stands twice among the living: give one row for each, its newest version.")
    rows = alive.sort("first_landed", "subject_id")
    if rows.height <= limit:
        return Rotation(taken=tuple(rows["subject_id"]), waiting=(), longest=0)
    rows = rows.with_columns(
        never=pl.col("turns_since").is_null(),
        waited=pl.coalesce("turns_since", "turns_alive").clip(1).cast(pl.Int64),
        gain=_known("traffic") * _known("headroom"),
    ).with_columns(worth=pl.col("gain") * pl.col("waited") / (pl.col("waited") + 1))
    queue = pl.col("waited") + HEAD_START * pl.col("never").cast(pl.Int64)
    longest_first = rows.sort(queue, descending=True, maintain_order=True)
    due = longest_first.head(limit - limit // 2)
    others = rows.join(due, on="subject_id", how="anti", maintain_order="left")
    worth = others.sort("worth", "never", "waited", descending=True, maintain_order=True).head(limit // 2)
    chosen = {*due["subject_id"], *worth["subject_id"]}
    waiting = rows.filter(~pl.col("subject_id").is_in(list(chosen)))
    return Rotation(
        taken=tuple(subject for subject in rows["subject_id"] if subject in chosen),
        waiting=tuple(waiting["subject_id"]),
        longest=int(waiting["waited"].max()),  # type: ignore[arg-type]
    )


def staying(
    last: "pl.DataFrame", waiting: Collection[str], turn: str, rejected: Collection[str] = ()
) -> "pl.DataFrame":
    """What stays in force in `turn` for subjects that it did not take: their rows of the last release, unchanged.

    `last`: rows of `flywheel.releases` of the turn before. Texts, shares, the holdout and the policy that allocated
    stay; the turn becomes this one, and the caller gives the rows their identity. Of the candidates `rejected` since,
    nothing stays: their share goes to the control. No brief is written, nothing is asked and nothing is learned anew,
    so that a subject that waits costs nothing, and its next release starts from all that it has met meanwhile.
    """
    import polars as pl

    rows = last.filter(pl.col("subject_id").is_in(list(waiting))).with_columns(turn=pl.lit(date.fromisoformat(turn)))
    gone = pl.col("candidate_id").is_in(list(rejected)).fill_null(False)
    freed = pl.col("share").filter(gone).sum().over("subject_id")
    return rows.with_columns(share=pl.when("is_control").then(pl.col("share") + freed).otherwise("share")).filter(~gone)


def _known(name: str) -> "pl.Expr":
    """A column with the mean of what is known in the place of nulls; 1 when nothing is."""
    import polars as pl

    return pl.col(name).cast(pl.Float64).fill_null(pl.col(name).mean()).fill_null(1.0)
