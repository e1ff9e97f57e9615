"""A policy from evidence: every part fitted on the same rows.

Here: which rows teach what, and the cross-fitting that keeps the parts honest with one another.
Not here: the fits themselves (recipe_policy, reward_model, variant_prior, exemplars) and tracking (registry.tracking).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from orchestration.learning.policies.exemplars import winners
from orchestration.learning.policies.policy import Policy
from orchestration.learning.policies.recipe_policy import RecipePolicy, fit_recipe_policy, initial_policy
from orchestration.learning.policies.variant_prior import VariantPrior, fit_variant_prior
from orchestration.learning.texts.reward_model import fit_with_held_out
from orchestration.learning.texts.text_features import text_features

if TYPE_CHECKING:
    import polars as pl

Embed = Callable[[Sequence[str]], np.ndarray]
Formats = Mapping[str, Sequence[str]]
MOST_TEXTS = 6_000  # newest first; a fit must not grow dearer with every turn


def fit_policy(evidence: "pl.DataFrame", by_format: Formats, embed: Embed) -> Policy:
    """A policy from the evidence of all turns so far; columns as in `flywheel.evidence`."""
    recipes = fit_recipes(evidence, by_format)
    texts = texts_met(evidence)
    if texts.is_empty():
        return Policy(recipes)
    model, unseen = fit_with_held_out(
        texts["subject_id"].to_numpy(),
        embed(texts["text"].to_list()),
        text_features(texts["text"].to_list()),
        texts["units"].to_numpy(),
        texts["reward"].to_numpy(),
        turn=texts["day"].to_numpy(),
        fold=texts["fold"].to_numpy(),
    )
    return Policy(
        recipes,
        model,
        winners(evidence, recipes.spreads.text),
        _variant_prior(evidence, texts, unseen, by_format),
    )


def fit_recipes(evidence: "pl.DataFrame", by_format: Formats) -> RecipePolicy:
    """Beliefs about recipes, from controls and the variants that were new in their turn.

    A variant that was carried over had done well, so as a sample of its recipe it would flatter it.
    """
    import polars as pl

    if not by_format:
        return initial_policy([], {})
    return fit_recipe_policy(
        evidence.filter(pl.col("is_control") | pl.col("recipe_propensity").is_not_null()), by_format
    )


def texts_met(evidence: "pl.DataFrame") -> "pl.DataFrame":
    """Each text once, with its totals over turns: the newest MOST_TEXTS, in a fixed order."""
    import polars as pl

    return (
        evidence.filter(pl.col("units") > 0)
        .group_by("subject_id", "variant_id")
        .agg(
            pl.col("text", "fold", "category", "is_control").first(),
            pl.col("recipe_id").drop_nulls().first(),
            pl.col("units", "reward").sum(),
            day=pl.col("turn").max().dt.epoch("d"),
        )
        .sort("day", "subject_id", "variant_id")
        .tail(MOST_TEXTS)
    )


def predictions(
    subjects: Sequence[str],
    controls: Sequence[bool],
    categories: Sequence[str],
    recipe_ids: Sequence[str | None],
    scores: np.ndarray,
    recipes: RecipePolicy,
) -> np.ndarray:
    """Log ratios (n, 2) of texts to their subject's control: by their recipe, and by the reward model's `scores` (n,).

    Zero for controls. Without a control among the rows the score counts from the subject's mean.
    """
    level: dict[str, float] = {}
    for own in (False, True):  # the mean of all, then of the controls, which comes to stand in its place
        sums: dict[str, list[float]] = {}
        for subject, control, score in zip(subjects, controls, scores, strict=True):
            if control or not own:
                sums.setdefault(subject, []).append(float(score))
        level.update({subject: float(np.mean(of)) for subject, of in sums.items()})
    known = recipes.general
    rows = [
        (0.0, 0.0)
        if control
        else (recipes.expected(category, recipe)[0] if recipe in known and recipe else 0.0, score - level[subject])
        for subject, control, category, recipe, score in zip(
            subjects, controls, categories, recipe_ids, scores, strict=True
        )
    ]
    return np.array(rows).reshape(-1, 2)


def _variant_prior(
    evidence: "pl.DataFrame", texts: "pl.DataFrame", unseen: np.ndarray, by_format: Formats
) -> VariantPrior:
    """What predictions are worth, measured on subjects that did not make them; `unseen` (n,) are such scores."""
    import polars as pl

    folds = texts["fold"].to_numpy()
    predicted = np.zeros((texts.height, 2))
    for fold in np.unique(folds):
        mine = np.flatnonzero(folds == fold)
        if len(mine) == len(folds):
            continue
        rows = texts[mine]
        predicted[mine] = predictions(
            rows["subject_id"].to_list(),
            rows["is_control"].to_list(),
            rows["category"].to_list(),
            rows["recipe_id"].to_list(),
            unseen[mine],
            fit_recipes(evidence.filter(pl.col("fold") != fold), by_format),
        )
    subject = np.unique(texts["subject_id"].to_numpy().astype(str), return_inverse=True)[1]
    return fit_variant_prior(subject, texts["units"].to_numpy(), texts["reward"].to_numpy(), predicted)
