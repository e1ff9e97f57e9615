"""Who competes for a subject's traffic, and with what share.

Here: the priors and records of the texts that may be released, and each one's share.
Not here: the mathematics of shares (allocation), which texts those are (delivery.arms), the row of a release.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from orchestration.learning.policies.policy import Policy, recipes_of
from orchestration.learning.policies.training import predictions
from orchestration.learning.texts.text_features import text_features
from orchestration.learning.traffic.allocation import Allocation, Posterior, allocate_all, posterior

if TYPE_CHECKING:
    import polars as pl

UNITS_AHEAD = 500.0  # units a subject is expected to meet in a turn, before there has been one


def allocated(
    arms: "pl.DataFrame",
    met: "pl.DataFrame",
    policy: Policy,
    allocation: Allocation,
    embed: Callable[[Sequence[str]], np.ndarray],
) -> "pl.DataFrame":
    """`arms` with `share` and `predicted` (log ratio to the control); arms beyond the most allowed are left out.

    `met` holds each variant's totals over earlier turns. Those with the best upper end of belief stay in. What is
    learned of a subject pays for its `turns_left`, or for the allocation's horizon where that is shorter or not known.
    """
    import polars as pl

    rows = arms.join(met.drop("turns"), on=["subject_id", "variant_id"], how="left", maintain_order="left")
    rows = rows.with_columns(pl.col("units", "reward").fill_null(0.0))
    texts = rows["text"].to_list()
    guesses = predictions(
        rows["subject_id"].to_list(),
        rows["is_control"].to_list(),
        rows["category"].to_list(),
        rows["recipe_id"].to_list(),
        policy.reward_model.predict(embed(texts), text_features(texts)),
        recipes_of(policy),
    )
    rows = rows.with_columns(prior=pl.Series(policy.variant_prior.mean(guesses)))
    grid = _Grid.of(rows)
    belief = grid.belief(policy)
    deviation = np.sqrt(np.diagonal(belief.covariance, axis1=1, axis2=2))
    hope = np.where(grid.present, belief.mean + deviation, -np.inf)
    hope[:, 0] = np.inf  # the control always competes
    order = np.argsort(-hope, axis=1, kind="stable").argsort(axis=1, kind="stable")
    kept = rows.with_columns(order=pl.Series(grid.flat(order))).filter(pl.col("order") <= allocation.variants)

    grid = _Grid.of(kept)
    belief = grid.belief(policy)
    seen = met.group_by("subject_id").agg(pl.col("units").sum(), pl.col("turns").max())
    a_turn = float((seen["units"] / seen["turns"]).mean()) if len(seen) else UNITS_AHEAD  # type: ignore[arg-type]
    horizon = np.full(len(grid.units), allocation.horizon)
    if "turns_left" in kept.columns:
        horizon = np.minimum(horizon, kept["turns_left"].to_numpy()[grid.column == 0])
    shares = np.zeros(grid.present.shape)
    for turns in np.unique(horizon):
        alike = horizon == turns
        shares[alike] = allocate_all(
            belief.of(alike),
            units_ahead=max(a_turn, 1.0),
            batches_left=int(turns),
            floor=allocation.floor,
            control=np.zeros(int(alike.sum()), dtype=int),
            control_share=allocation.control,
        )
    shares = np.where(grid.present.sum(axis=1, keepdims=True) == 1, grid.present, shares)
    lift = belief.mean - belief.mean[:, :1]
    return kept.with_columns(share=pl.Series(grid.flat(shares)), predicted=pl.Series(grid.flat(lift)))


class _Grid:
    """Rows of arms as arrays (subjects, arms), and back. Rows of a subject stand together, the control first."""

    def __init__(self, row: np.ndarray, column: np.ndarray) -> None:
        self.row, self.column = row, column
        self.present = np.zeros((row.max() + 1, column.max() + 1), dtype=bool)
        self.present[row, column] = True
        self.units = self.rewards = self.prior = np.zeros(self.present.shape)

    @classmethod
    def of(cls, rows: "pl.DataFrame") -> "_Grid":
        import polars as pl

        row = rows["subject_id"].rle_id().to_numpy().astype(int)
        column = rows.select(pl.int_range(pl.len()).over("subject_id")).to_series().to_numpy().astype(int)
        grid = cls(row, column)
        grid.units, grid.rewards, grid.prior = (
            grid._laid(rows[name].to_numpy()) for name in ("units", "reward", "prior")
        )
        return grid

    def belief(self, policy: Policy) -> Posterior:
        """What is believed of every arm, from its prior and its record."""
        prior = policy.variant_prior
        spread = np.full(self.present.shape, prior.spread)
        return posterior(
            self.units, self.rewards, self.prior, spread, prior.level_mean, prior.level_sd, present=self.present
        )

    def _laid(self, values: np.ndarray) -> np.ndarray:
        laid = np.zeros(self.present.shape)
        laid[self.row, self.column] = values
        return laid

    def flat(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(values)[self.row, self.column]
