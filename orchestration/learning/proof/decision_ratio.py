"""Whether options were chosen as often as the logged probabilities say.

Here: the p-value of a mismatch between what was chosen and the probabilities logged with it.
Not here: shares of units within a release (sample_ratio) and what a mismatch blocks (evidence, expectations).

A mismatch means that drawing, logging or filtering depends on the option, so that no propensity can be trusted.
"""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

LEAST_EXPECTED = 5.0  # decisions expected of an option for the chi-square to hold; rarer options are counted together


def sample_ratio_of_decisions(options: Sequence[str], chosen: Sequence[str]) -> float:
    """Probability of choices at least as far from the logged probabilities, were these true; 1.0 without a decision.

    `options` (n,) JSON of option_id: probability, as logged with each decision; any number of different sets.
    `chosen` (n,) option_ids. What was chosen without having been on offer gives 0.
    """
    read = [json.loads(text) for text in options]
    names = sorted({name for of in read for name in of} | set(chosen))
    place = {name: column for column, name in enumerate(names)}
    table = np.zeros((len(read), len(names)))
    for row, of in enumerate(read):
        table[row, [place[name] for name in of]] = list(of.values())
    return choice_ratio_p_value(table, np.array([place[name] for name in chosen], dtype=int))


def choice_ratio_p_value(probabilities: ArrayLike, chosen: ArrayLike) -> float:
    """The same for `probabilities` (n, k), zero where an option is not on offer, and `chosen` (n,) columns of it.

    The quadratic form of observed less expected counts with their exact covariance, the sum of diag(p) - p p' over
    decisions, held against chi-square with its rank. Options of which fewer than five decisions are expected are
    counted together. Raises ValueError on rows that do not sum to 1 and on shapes that cannot be.
    Source: Pearson (1900), for counts that are sums of unlike multinomials.
    """
    from scipy.stats import chi2

    p, at = np.asarray(probabilities, dtype=float), np.asarray(chosen)
    if p.ndim != 2 or at.shape != p.shape[:1]:
        raise ValueError(f"Need probabilities (n, k) and chosen (n,); got {p.shape} and {at.shape}.")
    if not len(p):
        return 1.0
    if (p < 0).any() or np.abs(p.sum(axis=1) - 1).max() > 1e-3:
        raise ValueError("Every row of logged probabilities must be positive and sum to 1: check how they are written.")
    p = p / p.sum(axis=1, keepdims=True)
    if at.min() < 0 or at.max() >= p.shape[1]:
        raise ValueError(f"`chosen` must hold columns of the {p.shape[1]} options.")
    if (p[np.arange(len(p)), at] <= 0).any():
        return 0.0
    group = _together(p.sum(axis=0))
    size = int(group.max()) + 1
    pooled = np.zeros((len(p), size))
    for column, to in enumerate(group):
        pooled[:, to] += p[:, column]
    surplus = np.bincount(group[at], minlength=size) - pooled.sum(axis=0)
    values, vectors = np.linalg.eigh(np.diag(pooled.sum(axis=0)) - pooled.T @ pooled)
    free = values > 1e-9 * max(float(values.max()), 1e-300)
    if not free.any() or values.max() <= 1e-9:
        return 1.0
    along = vectors[:, free].T @ surplus
    return float(chi2.sf(float((along**2 / values[free]).sum()), int(free.sum())))


def _together(expected: np.ndarray) -> np.ndarray:
    """The group (k,) that each option is counted in: its own, or that of all rare ones, which then is not rare."""
    order = np.argsort(expected, kind="stable")
    cumulated = np.cumsum(expected[order])
    rare = int((expected < LEAST_EXPECTED).sum())
    while 0 < rare < len(order) and cumulated[rare - 1] < LEAST_EXPECTED:
        rare += 1
    group = np.empty(len(order), dtype=int)
    group[order[:rare]] = 0
    group[order[rare:]] = np.arange(len(order) - rare) + (1 if rare else 0)
    return group
