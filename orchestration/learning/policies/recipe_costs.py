"""What a policy's choices cost: tokens, dollars, or anything that is known of each recipe on average.

Here: the expectation over what a policy chooses.
Not here: what each recipe costs (graph.assets.promotion) and the limit that is held against it (evidence).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestration.learning.policies.recipe_policy import RecipePolicy

if TYPE_CHECKING:
    import polars as pl


def expected_cost(policy: RecipePolicy, places: "pl.DataFrame", by_recipe: Mapping[str, float]) -> float:
    """Cost of one brief that the policy chooses, averaged over `places` (category, format, subjects).

    A recipe that nobody has used yet costs what recipes cost on average; nan when none was ever used.
    """
    if not by_recipe:
        return float("nan")
    usual = sum(by_recipe.values()) / len(by_recipe)
    total = weight = 0.0
    for category, form, subjects in places.select("category", "format", "subjects").iter_rows():
        for recipe, probability in policy.probabilities(category, form).items():
            total += subjects * probability * by_recipe.get(recipe, usual)
        weight += subjects
    return total / weight if weight else float("nan")
