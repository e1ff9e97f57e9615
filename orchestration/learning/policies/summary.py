"""What a policy says of itself: its beliefs about options as a table, and the numbers of its training.

Here: reading them off a policy, whatever chooses in it.
Not here: how they look (graph.assets.plots) and where they are kept (registry).
"""

from typing import TYPE_CHECKING

from orchestration.learning.policies.choice import Context
from orchestration.learning.policies.policy import Policy
from orchestration.learning.policies.recipe_policy import RecipePolicy

if TYPE_CHECKING:
    import polars as pl


def metrics_of(policy: Policy, evidence: "pl.DataFrame") -> dict[str, float]:
    """Numbers of a training run, as MLflow keeps them."""
    seen = {"units": float(evidence["units"].sum()), "rewards": float(evidence["reward"].sum())}
    if not isinstance(policy.choice, RecipePolicy):
        return seen
    held_out = policy.reward_model.card.get("held_out_subjects")
    accuracy = held_out.get("accuracy") if isinstance(held_out, dict) else None
    return {
        **seen,
        "recipe_spread": policy.choice.spreads.recipe,
        "category_spread": policy.choice.spreads.category,
        "text_spread": policy.choice.spreads.text,
        "exemplars": float(sum(len(of) for of in policy.exemplars.values())),
        "reward_model_residual_sd": policy.reward_model.residual_sd,
        **({"reward_model_pairwise_accuracy": float(accuracy)} if isinstance(accuracy, int | float) else {}),
    }


def beliefs_table(policy: Policy) -> "pl.DataFrame":
    """What is believed of each recipe in general: expected log lift, its sd, and the probability to be chosen.

    Empty where no recipe is chosen, or where beliefs are about parts and not about options one by one.
    """
    import polars as pl

    schema = {"recipe": pl.String, "log lift": pl.Float64, "sd": pl.Float64, "probability": pl.Float64}
    if not isinstance(policy.choice, RecipePolicy):
        return pl.DataFrame(schema=schema)
    rows = []
    for form in policy.choice.by_format:
        chances = policy.choice.probabilities(Context(format=form))
        for recipe, chance in chances.items():
            belief = policy.choice.general[recipe]
            rows.append({"recipe": recipe, "log lift": belief.mean, "sd": belief.sd, "probability": chance})
    return pl.DataFrame(rows, schema=schema)
