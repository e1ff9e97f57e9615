"""How much better than the original a recipe's texts do: effects of recipes, pooled over categories.

Here: the hierarchical model of log lifts, its spreads estimated from the evidence, and the posterior it gives.
Not here: choosing a recipe (recipe_policy) and sharing traffic between texts (allocation).

Model, for variant i of subject s in category c made by recipe r:

    log rate = level_s + general + recipe_r + (category x recipe)_cr + text_i,

the control having level_s + text_i only. Recipe, category x recipe and text effects are normal around zero; their
three spreads maximise the marginal likelihood of the working data (log_rates) times a Gamma(2, 5) density on each
standard deviation, which keeps a spread off zero when few rows speak about it and is forgotten when many do.
Source: Searle, Casella and McCulloch (1992), chapter 6 (restricted likelihood); Chung et al. (2013) for the density.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np

from orchestration.learning.texts.log_rates import Within, within_subjects

Equations = Callable[[float], tuple[np.ndarray, np.ndarray, float]]

GENERAL_SD = 1.0  # of the general lift: so wide that the evidence alone places it
_RATE = 5.0  # of the Gamma(2, rate) density: mode 0.2 on the log scale, which published text effects surround
_ROUNDS = 3


@dataclass(frozen=True)
class Spreads:
    """Standard deviations on the log scale: between recipes, between categories within a recipe, between texts."""

    recipe: float = 0.2
    category: float = 0.2
    text: float = 0.2


@dataclass(frozen=True)
class Effects:
    """Posterior of log lifts: `general` for a category never seen, `by_category` (c, r), covariances likewise."""

    spreads: Spreads
    general: np.ndarray
    general_covariance: np.ndarray
    by_category: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class _Design:
    """Rows of evidence as codes: category (n,) and recipe (n,), the latter -1 for the control."""

    category: np.ndarray
    recipe: np.ndarray
    categories: int
    recipes: int

    def normal_equations(self, data: Within, spread: float) -> tuple[np.ndarray, np.ndarray, float]:
        """By category: left (c, r, r) and right (c, r); and the log likelihood of the data without any effect."""
        weights = data.weights(spread)
        subjects = int(data.subject.max()) + 1
        total = np.bincount(data.subject, weights, minlength=subjects)
        weighted = np.bincount(data.subject, weights * data.effect, minlength=subjects)
        size = self.recipes
        own = weights[self._made]
        of_category = self.category[self._made] * size + self.recipe[self._made]
        by_subject = _summed(data.subject[self._made] * size + self.recipe[self._made], own, (subjects, size))
        right = _summed(of_category, (weights * data.effect)[self._made], (self.categories, size))
        left = np.zeros((self.categories, size, size))
        left[:, np.arange(size), np.arange(size)] = _summed(of_category, own, (self.categories, size))
        of_subject = np.zeros(subjects, dtype=int)
        of_subject[data.subject] = self.category
        for category in range(self.categories):
            rows = of_subject == category
            scaled = by_subject[rows] / total[rows, None]
            left[category] -= scaled.T @ by_subject[rows]
            right[category] -= scaled.T @ weighted[rows]
        squares = float((weights * data.effect**2).sum() - (weighted**2 / total).sum())
        null = -0.5 * (squares - float(np.log(weights).sum()) + float(np.log(total).sum()))
        return left, right, null

    @cached_property
    def _made(self) -> np.ndarray:
        """Rows (m,) that a recipe made."""
        return np.flatnonzero(self.recipe >= 0)


def _summed(codes: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Sums of values by code, in the order of the rows, as a table."""
    return np.bincount(codes, values, minlength=shape[0] * shape[1]).reshape(shape)


@dataclass(frozen=True)
class _Solved:
    """The normal equations with category effects integrated out, then the recipes' (r = general + recipe)."""

    inner: np.ndarray
    recipe: np.ndarray
    recipe_covariance: np.ndarray
    log_likelihood: float


def _solve(left: np.ndarray, right: np.ndarray, null: float, recipe_sd: float, category_sd: float) -> _Solved:
    size = left.shape[1]
    eye = np.eye(size)
    inner = np.linalg.inv(left + eye / category_sd**2)
    kept = inner / category_sd**2  # = I - inner @ left
    schur = left @ kept
    reduced = (np.swapaxes(kept, 1, 2) @ right[..., None])[..., 0]
    prior = recipe_sd**2 * eye + GENERAL_SD**2
    covariance = np.linalg.inv(np.linalg.inv(prior) + schur.sum(axis=0))
    covariance = (covariance + covariance.T) / 2
    target = reduced.sum(axis=0)
    mean = covariance @ target
    explained = float(np.einsum("cr,crq,cq->", right, inner, right)) + float(target @ mean)
    size_of_doubt = float(np.linalg.slogdet(eye + category_sd**2 * left)[1].sum())
    size_of_doubt += float(np.linalg.slogdet(eye + schur.sum(axis=0) @ prior)[1])
    return _Solved(inner, mean, covariance, null + 0.5 * (explained - size_of_doubt))


def estimate_effects(
    subject: np.ndarray,
    category: np.ndarray,
    recipe: np.ndarray,
    units: np.ndarray,
    rewards: np.ndarray,
    *,
    categories: int,
    recipes: int,
    scale: float = 1.0,
) -> Effects:
    """Posterior of recipe effects from one row per subject and variant.

    subject, category (n,) codes; recipe (n,) codes, -1 for the control; units, rewards (n,) totals over turns;
    `scale` is log_rates.dispersion. Rows that say nothing (no units, a subject without reward) change nothing.
    """
    from scipy.optimize import minimize

    spreads = Spreads()
    eta = np.zeros(len(units))
    effects = _posterior(np.zeros((categories, recipes, recipes)), np.zeros((categories, recipes)), spreads)
    for _ in range(_ROUNDS):
        data, used = within_subjects(subject, units, rewards, eta, scale)
        if not used.any():
            return effects
        design = _Design(category[used], recipe[used], categories, recipes)
        # A gradient asks for neighbours in three directions, and only one of them changes the weights.
        equations = lru_cache(maxsize=2)(partial(design.normal_equations, data))

        def loss(logs: np.ndarray, equations: Equations = equations) -> float:
            recipe_sd, category_sd, text_sd = np.exp(logs)
            solved = _solve(*equations(float(text_sd**2)), recipe_sd, category_sd)
            density = float((logs - _RATE * np.exp(logs)).sum())
            return -(solved.log_likelihood + density)

        start = np.log([spreads.recipe, spreads.category, spreads.text])
        found = minimize(loss, start, method="L-BFGS-B", bounds=[(-6.0, 1.0)] * 3, options={"maxiter": 60})
        recipe_sd, category_sd, text_sd = np.exp(found.x)
        spreads = Spreads(float(recipe_sd), float(category_sd), float(text_sd))
        left, right, _null = design.normal_equations(data, spreads.text**2)
        effects = _posterior(left, right, spreads)
        eta = np.where(recipe >= 0, effects.by_category[category, np.maximum(recipe, 0)], 0.0)
    return effects


def _posterior(left: np.ndarray, right: np.ndarray, spreads: Spreads) -> Effects:
    solved = _solve(left, right, 0.0, spreads.recipe, spreads.category)
    kept = solved.inner / spreads.category**2
    means = (solved.inner @ right[..., None])[..., 0] + kept @ solved.recipe
    covariance = solved.inner + kept @ solved.recipe_covariance @ np.swapaxes(kept, 1, 2)
    unseen = solved.recipe_covariance + spreads.category**2 * np.eye(len(solved.recipe))
    return Effects(spreads, solved.recipe, unseen, means, covariance)
