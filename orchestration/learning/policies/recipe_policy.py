"""Which recipe a subject gets: chosen by what is believed about recipes, with known probabilities.

Here: the policy as a value, its choice probabilities, and the draw of several recipes with exact propensities.
Not here: how beliefs are formed (recipe_effects) and how traffic is shared between the texts (allocation).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from orchestration.learning.policies.choice import Context
from orchestration.learning.policies.drawing import draw
from orchestration.learning.policies.recipe_effects import Spreads, estimate_effects
from orchestration.learning.texts.log_rates import dispersion

if TYPE_CHECKING:
    import polars as pl

EXPLORATION = 0.10
_NODES = (np.arange(512) + 0.5) / 512


@dataclass(frozen=True)
class Belief:
    """Log lift of a recipe over the control: its `mean` and `sd`. `choice_sd` leaves out the doubt that it shares
    with its competitors, such as about the control: that doubt cannot change which of them is best."""

    mean: float
    sd: float
    choice_sd: float


@dataclass(frozen=True)
class RecipePolicy:
    """Beliefs about every recipe, in general and by category; a value that is never changed, only replaced.

    `by_format` says which recipes compete. `exploration` is the share of choices made evenly, so that every recipe
    stays possible and a later policy can be judged on what this one chose. `spreads` are the estimated standard
    deviations of effects, and `trained_on` counts the rows and subjects of evidence.
    """

    by_format: Mapping[str, tuple[str, ...]]
    general: Mapping[str, Belief]
    by_category: Mapping[str, Mapping[str, Belief]] = field(default_factory=dict)
    spreads: Spreads = Spreads()
    exploration: float = EXPLORATION
    trained_on: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        listed = {name: tuple(recipes) for name, recipes in self.by_format.items()}
        missing = {recipe for recipes in listed.values() for recipe in recipes} - set(self.general)
        if missing:
            raise ValueError(f"No belief about the recipes {sorted(missing)}: build the policy with initial_policy.")
        if not 0 < self.exploration <= 1:
            raise ValueError(f"exploration must lie in (0, 1], not {self.exploration}: propensities may not be 0.")
        object.__setattr__(self, "by_format", MappingProxyType(listed))
        object.__setattr__(self, "general", MappingProxyType(dict(self.general)))
        beliefs = {name: MappingProxyType(dict(of)) for name, of in self.by_category.items()}
        object.__setattr__(self, "by_category", MappingProxyType(beliefs))
        object.__setattr__(self, "trained_on", MappingProxyType(dict(self.trained_on)))

    def __reduce__(self) -> tuple:
        return RecipePolicy.from_json, (self.to_json(),)

    def belief(self, category: str, recipe_id: str) -> Belief:
        """What is believed about a recipe in a category; what holds in general for a category never seen."""
        if recipe_id not in self.general:
            raise ValueError(f"The policy does not know the recipe {recipe_id!r}; covering() adds new ones.")
        return self.by_category.get(category, {}).get(recipe_id, self.general[recipe_id])

    def expected(self, category: str, recipe_id: str) -> tuple[float, float]:
        """Mean and standard deviation of the log lift of a fresh variant: the recipe's, and its text's own."""
        belief = self.belief(category, recipe_id)
        return belief.mean, float(np.hypot(belief.sd, self.spreads.text))

    def probabilities(self, context: Context) -> dict[str, float]:
        """Probability of each recipe of the context's format to be chosen when one is: that it is the best, evened out.
        Where the context offers options, of those among them: others, such as of another language, do not compete.

        Thompson's rule in closed form: P(best) of independent normals by quadrature over 512 quantiles, mixed with
        `exploration` of even choice. Sums to 1; every recipe has at least exploration / number of recipes.
        """
        offered = {option.option_id for option in context.options}
        recipes = [each for each in self.by_format.get(context.format, ()) if not offered or each in offered]
        if not recipes:
            known = sorted(self.by_format)
            raise ValueError(f"No recipe writes {context.format!r}; there are {known}. Add a recipe file.")
        beliefs = [self.belief(context.pool, recipe) for recipe in recipes]
        best = probability_best(
            np.array([belief.mean for belief in beliefs]), np.array([belief.choice_sd for belief in beliefs])
        )
        even = self.exploration / len(recipes)
        return {recipe: float((1 - self.exploration) * p + even) for recipe, p in zip(recipes, best, strict=True)}

    def choose(
        self, subject_id: str, category: str, format: str, turn: str, k: int, seed: int = 0
    ) -> list[tuple[str, float]]:
        """`k` distinct recipes for a subject (all, if there are fewer), each with its exact inclusion probability.

        Systematic sampling (Madow 1949) from a point that is a hash of seed, turn and subject: the same call gives
        the same answer, and over subjects a recipe is included as often as its propensity says.
        """
        return draw(self.probabilities(Context(pool=category, format=format)), subject_id, turn, k, seed)

    def covering(self, by_format: Mapping[str, Sequence[str]]) -> "RecipePolicy":
        """This policy for the recipes there are now: new ones start from what recipes do in general."""
        wanted = {recipe for recipes in by_format.values() for recipe in recipes}
        fresh = _fresh_belief(self.general, self.spreads)
        general = {recipe: self.general.get(recipe, fresh) for recipe in sorted(wanted)}
        kept = {
            category: {recipe: belief for recipe, belief in of.items() if recipe in wanted}
            for category, of in self.by_category.items()
        }
        listed = {name: tuple(recipes) for name, recipes in by_format.items()}
        return RecipePolicy(listed, general, kept, self.spreads, self.exploration, self.trained_on)

    def to_json(self) -> str:
        """Canonical JSON: the same policy gives the same bytes."""

        def table(beliefs: Mapping[str, Belief]) -> dict[str, list[float]]:
            return {recipe: [belief.mean, belief.sd, belief.choice_sd] for recipe, belief in beliefs.items()}

        values = {
            "by_format": {name: list(recipes) for name, recipes in self.by_format.items()},
            "general": table(self.general),
            "by_category": {category: table(of) for category, of in self.by_category.items()},
            "spreads": [self.spreads.recipe, self.spreads.category, self.spreads.text],
            "exploration": self.exploration,
            "trained_on": dict(self.trained_on),
        }
        return json.dumps(values, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "RecipePolicy":
        values = json.loads(text)

        def beliefs(table: Mapping[str, Sequence[float]]) -> dict[str, Belief]:
            return {recipe: Belief(*numbers) for recipe, numbers in table.items()}

        return cls(
            {name: tuple(recipes) for name, recipes in values["by_format"].items()},
            beliefs(values["general"]),
            {category: beliefs(table) for category, table in values["by_category"].items()},
            Spreads(*values["spreads"]),
            values["exploration"],
            values["trained_on"],
        )


def initial_policy(
    recipes: Sequence[str], by_format: Mapping[str, Sequence[str]], exploration: float = EXPLORATION
) -> RecipePolicy:
    """The policy before any evidence: every recipe of a format is as likely as any other."""
    spreads = Spreads()
    belief = Belief(0.0, _rounded(np.hypot(spreads.recipe, spreads.category)), _rounded(np.hypot(0.2, 0.2)))
    listed = {name: tuple(of) for name, of in by_format.items()}
    return RecipePolicy(listed, dict.fromkeys(recipes, belief), spreads=spreads, exploration=exploration)


def fit_recipe_policy(
    evidence: "pl.DataFrame", by_format: Mapping[str, Sequence[str]], exploration: float = EXPLORATION
) -> RecipePolicy:
    """Beliefs from the evidence of all turns so far; columns as in tables.TABLES["evidence"].

    Rows of a subject's control give its level. A variant met in several turns counts once, with its totals. Recipes
    that are no longer in `by_format` still inform the spreads, and are not kept.
    """
    import polars as pl

    recipes = sorted({recipe for of in by_format.values() for recipe in of})
    rows = (
        evidence.group_by("subject_id", "variant_id")
        .agg(
            pl.col("category").first().fill_null(""),
            pl.col("is_control").any(),
            pl.col("recipe_id").drop_nulls().first(),
            pl.col("units", "reward", "reward_squares").sum(),
        )
        .filter(pl.col("is_control") | pl.col("recipe_id").is_not_null())
        .sort("subject_id", "variant_id")
    )
    if rows.is_empty():
        return initial_policy(recipes, by_format, exploration)
    known = recipes + sorted(set(rows["recipe_id"].drop_nulls()) - set(recipes))
    place = {recipe: index for index, recipe in enumerate(known)}
    control = rows["is_control"].to_numpy()
    made_by = np.array([place.get(recipe, -1) for recipe in rows["recipe_id"].to_list()])
    categories, category = np.unique(rows["category"].to_numpy().astype(str), return_inverse=True)
    subject = np.unique(rows["subject_id"].to_numpy().astype(str), return_inverse=True)[1]
    units, rewards, squares = (rows[name].to_numpy().astype(float) for name in ("units", "reward", "reward_squares"))
    effects = estimate_effects(
        subject,
        category,
        np.where(control, -1, made_by),
        units,
        rewards,
        categories=len(categories),
        recipes=len(known),
        scale=dispersion(units, rewards, squares),
    )
    groups = [[place[recipe] for recipe in of] for of in by_format.values()]
    general = _beliefs(recipes, effects.general, effects.general_covariance, groups)
    by_category = {
        str(name): _beliefs(recipes, effects.by_category[index], effects.covariance[index], groups)
        for index, name in enumerate(categories)
    }
    spreads = Spreads(
        *(_rounded(sd) for sd in (effects.spreads.recipe, effects.spreads.category, effects.spreads.text))
    )
    counts = {"rows": rows.height, "subjects": int(subject.max()) + 1}
    return RecipePolicy(
        {name: tuple(of) for name, of in by_format.items()}, general, by_category, spreads, exploration, counts
    )


def probability_best(mean: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Probability (k,) that each of k independent normals is the largest; sums to 1. All `sd` above zero."""
    from scipy.special import ndtr, ndtri

    values = mean[:, None] + sd[:, None] * ndtri(_NODES)
    below = ndtr((values[:, None, :] - mean[None, :, None]) / sd[None, :, None])
    below[np.arange(len(mean)), np.arange(len(mean))] = 1.0
    best = below.prod(axis=1).mean(axis=1)
    return best / best.sum()


def _beliefs(
    recipes: Sequence[str], mean: np.ndarray, covariance: np.ndarray, groups: Sequence[Sequence[int]]
) -> dict[str, Belief]:
    sd = np.sqrt(np.diag(covariance))
    choice = sd.copy()
    for group in groups:
        block = covariance[np.ix_(group, group)]
        if len(group) > 1:
            shared = (block.sum() - np.trace(block)) / (len(group) * (len(group) - 1))
            choice[group] = np.sqrt(np.maximum(np.diag(block) - max(shared, 0.0), 1e-6 * np.diag(block)))
    return {
        recipe: Belief(_rounded(mean[index]), _rounded(sd[index]), max(_rounded(choice[index]), 1e-6))
        for index, recipe in enumerate(recipes)
    }


def _fresh_belief(general: Mapping[str, Belief], spreads: Spreads) -> Belief:
    """Belief about a recipe never used: the mean of those known, with the spread between recipes."""
    mean = float(np.mean([belief.mean for belief in general.values()])) if general else 0.0
    sd = _rounded(np.hypot(spreads.recipe, spreads.category))
    return Belief(_rounded(mean), sd, sd)


def _rounded(number: float) -> float:
    return round(float(number), 6)
