"""A challenger's shares against the champion's, where subjects bring their variants and policies only share traffic.

Here: the paired difference in value of two policies on the subjects of a turn that neither has seen.
Not here: policies that choose recipes (comparison), how shares are set (competition), what is proven (paired_estimate).

Every variant of a subject was met at random, so what a policy's shares would have earned is known without a model of
the outcome: its shares times the variants' observed rates, the Horvitz-Thompson estimate of a stratified experiment.
The challenger that is judged was made before the turn; a subject counts once, in its first turn, before anything was
known of it; and one whose texts stand nearly word for word in an earlier turn does not count. So increments are a
martingale around the true differences, as in `comparison`.
"""

from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import polars as pl

from orchestration.learning.policies.policy import Policy
from orchestration.learning.proof.leakage import near_identical_pairs
from orchestration.learning.proof.paired_estimate import Increment
from orchestration.learning.traffic.allocation import Allocation
from orchestration.learning.traffic.competition import allocated

Embed = Callable[[Sequence[str]], np.ndarray]
NOTHING_MET = pl.DataFrame(
    schema={
        "subject_id": pl.String,
        "variant_id": pl.String,
        "units": pl.Float64,
        "reward": pl.Float64,
        "turns": pl.Int64,
    }
)


def fresh_subjects(evidence: pl.DataFrame, turn: date | str) -> pl.DataFrame:
    """Rows of the turn's subjects that a policy of the turns before cannot have seen, itself or under another name.

    `evidence` has the columns of `flywheel.evidence`, up to the turn.
    """
    day = turn if isinstance(turn, date) else date.fromisoformat(turn)
    past, now = evidence.filter(pl.col("turn") < day), evidence.filter(pl.col("turn") == day)
    new = now.join(past.select("subject_id").unique(), on="subject_id", how="anti")
    met = past["text"].unique(maintain_order=True).to_list()
    known = [index for _, index, _ in near_identical_pairs(met, new["text"].to_list())]
    return new.join(new[known].select("subject_id").unique(), on="subject_id", how="anti")


def increment_of_traffic(
    fresh: pl.DataFrame, challenger: Policy, champion: Policy, turn: date | str, allocation: Allocation, embed: Embed
) -> Increment | None:
    """The evidence of one turn; None when no fresh subject has two variants that were met.

    `fresh` as `fresh_subjects` gives it. Both policies share a subject's traffic as they would in its first turn.
    """
    day = turn if isinstance(turn, date) else date.fromisoformat(turn)
    arms = (
        fresh.filter(pl.col("units").min().over("subject_id") > 0, pl.len().over("subject_id") > 1)
        .sort("subject_id", pl.col("is_control").not_(), "variant_id")
        .with_columns(rate=pl.col("reward") / pl.col("units"))
    )
    if arms.is_empty():
        return None
    values = arms.group_by("subject_id", maintain_order=True).agg(pl.col("units").sum())
    for name, policy in (("challenger", challenger), ("champion", champion)):
        shares = allocated(arms.drop("units", "reward", "share"), NOTHING_MET, policy, allocation, embed)
        earned = shares.group_by("subject_id").agg((pl.col("share") * pl.col("rate")).sum().alias(name))
        values = values.join(earned, on="subject_id", maintain_order="left")
    units = values["units"].to_numpy().astype(float)
    difference = units * (values["challenger"] - values["champion"]).to_numpy()
    return Increment.of(day, units, difference, values["champion"].to_numpy(), units)
