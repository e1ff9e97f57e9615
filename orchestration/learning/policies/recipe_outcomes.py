"""What a recipe's text may be expected to earn on a subject: the outcome model of the policy comparison.

Here: a subject's level (shrunken to its category) and each recipe's ratio to it, from earlier turns.
Not here: the posterior that policies choose by (recipe_policy). This model only takes noise out of a comparison:
the comparison stays unbiased however wrong it is, because it is fixed before the turn's own rewards are seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

PRIOR_REWARDS = 20.0  # a recipe's ratio starts at 1 with the weight of this many rewards


@dataclass(frozen=True)
class RecipeOutcomes:
    """Rewards per unit: `categories` and `overall` levels, `subjects` as (reward, units) so far, `ratios` of recipes.

    `strength` is the weight of a category's level in units: reward variance within a subject over that between.
    """

    overall: float
    categories: Mapping[str, float]
    subjects: Mapping[str, tuple[float, float]]
    ratios: Mapping[str, float]
    strength: float

    def levels(
        self,
        subjects: list[str],
        categories: list[str],
        control_rate: NDArray[np.float64],
        control_units: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Expected reward per unit of each subject's control (s,).

        `control_rate` is this turn's, nan where unknown. Its weight must not depend on which recipes were drawn, so
        `control_units` are the units that the control gets at its agreed least share, not those it got.
        """
        prior = np.array([self.categories.get(category, self.overall) for category in categories])
        past = np.array([self.subjects.get(subject, (0.0, 0.0)) for subject in subjects]).reshape(-1, 2)
        weight = self.strength + past[:, 1]
        expected = (self.strength * prior + past[:, 0]) / weight
        share = np.where(np.isnan(control_rate), 0.0, control_units / (control_units + weight))
        return (1 - share) * expected + share * np.nan_to_num(control_rate)

    def ratio(self, recipes: list[str]) -> NDArray[np.float64]:
        """Expected reward of each recipe's text over that of the control (r,); 1 for a recipe never seen."""
        return np.array([self.ratios.get(recipe, 1.0) for recipe in recipes])


def fit_outcomes(earlier: pl.DataFrame) -> RecipeOutcomes:
    """The outcome model from the evidence of earlier turns (columns of `flywheel.evidence`)."""
    by_subject = earlier.group_by("category", "subject_id", maintain_order=True).agg(
        pl.col("reward", "reward_squares", "units").sum()
    )
    reward, units = by_subject["reward"].to_numpy(), by_subject["units"].to_numpy().astype(float)
    total = float(units.sum())
    if total == 0:
        return RecipeOutcomes(0.0, {}, {}, {}, 1.0)
    overall = float(reward.sum()) / total
    noise = max(float(by_subject["reward_squares"].sum()) / total - overall**2, 1e-12)
    rates = np.divide(reward, units, out=np.full_like(units, overall), where=units > 0)
    between = float(units @ (rates - overall) ** 2) - (len(units) - 1) * noise
    between /= max(total - float(units @ units) / total, 1.0)
    strength = min(noise / max(between, 1e-12), total)
    pooled = by_subject.group_by("category", maintain_order=True).agg(pl.col("reward", "units").sum())
    recipes = (
        earlier.filter(pl.col("recipe_id").is_not_null(), pl.col("units") > 0)
        .join(
            by_subject.select(
                "category", "subject_id", level=(pl.col("reward") + strength * overall) / (pl.col("units") + strength)
            ),
            on=["category", "subject_id"],
            maintain_order="left",
        )
        .group_by("recipe_id", maintain_order=True)
        .agg(pl.col("reward").sum(), expected=(pl.col("units") * pl.col("level")).sum())
    )
    # One reward in the unit of rewards: for clicks 1, for revenue the typical amount of a sale.
    one = float(by_subject["reward_squares"].sum()) / float(reward.sum()) if reward.sum() > 0 else 1.0
    return RecipeOutcomes(
        overall=overall,
        categories={
            category: (amount + strength * overall) / (number + strength)
            for category, amount, number in pooled.iter_rows()
        },
        subjects={
            subject: (amount, number)
            for subject, amount, number in by_subject.select("subject_id", "reward", "units").iter_rows()
        },
        ratios={
            recipe: (amount + PRIOR_REWARDS * one) / (expected + PRIOR_REWARDS * one)
            for recipe, amount, expected in recipes.iter_rows()
        },
        strength=strength,
    )
