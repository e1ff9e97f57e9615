"""How often a score puts the better of two variants first, on the pairs that an experiment told apart.

Here: significant pairs within subjects, and the accuracy on them with an interval that respects subjects.
Not here: where scores come from (reward_model) and whether training saw the texts (leakage).
"""

from dataclasses import asdict, dataclass

import numpy as np

Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Accuracy:
    """Share of significant pairs in the right order, with a 95 % interval that treats subjects as the sample."""

    value: float
    low: float
    high: float
    pairs: int
    subjects: int

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def significant_pairs(
    subject: np.ndarray, units: np.ndarray, rewards: np.ndarray, z: float = Z_95
) -> tuple[np.ndarray, np.ndarray]:
    """Row indices (m,), (m,) of better and worse variants of one subject whose rates differ at |z|.

    subject (n,) codes; units, rewards (n,). Pooled two-proportion z-test, two-sided.
    """
    order = np.argsort(subject, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(subject[order]) != 0]) if len(order) else np.empty(0, dtype=int)
    sizes = np.diff(np.r_[starts, len(order)])
    first = [np.empty(0, dtype=int)]
    second = [np.empty(0, dtype=int)]
    for size in np.unique(sizes[sizes > 1]):
        rows = order[starts[sizes == size][:, None] + np.arange(size)]
        left, right = np.triu_indices(size, 1)
        first.append(rows[:, left].ravel())
        second.append(rows[:, right].ravel())
    one, two = np.concatenate(first), np.concatenate(second)
    met = (units[one] > 0) & (units[two] > 0)
    one, two = one[met], two[met]
    rate_one, rate_two = rewards[one] / units[one], rewards[two] / units[two]
    pooled = (rewards[one] + rewards[two]) / (units[one] + units[two])
    error = np.sqrt(np.maximum(pooled * (1 - pooled), 0) * (1 / units[one] + 1 / units[two]))
    apart = (np.abs(rate_one - rate_two) > z * error) & (error > 0)
    better = np.where(rate_one > rate_two, one, two)[apart]
    worse = np.where(rate_one > rate_two, two, one)[apart]
    return better, worse


def pairwise_accuracy(subject: np.ndarray, units: np.ndarray, rewards: np.ndarray, scores: np.ndarray) -> Accuracy:
    """Accuracy of `scores` (n,) on significant pairs; a tie counts half.

    Interval: ratio estimator over subjects (Cochran 1977, chapter 6), since pairs of a subject are not independent.
    """
    better, worse = significant_pairs(subject, units, rewards)
    if not len(better):
        return Accuracy(float("nan"), 0.0, 1.0, 0, 0)
    right = np.where(scores[better] > scores[worse], 1.0, np.where(scores[better] == scores[worse], 0.5, 0.0))
    value = float(right.mean())
    codes = np.unique(subject[better], return_inverse=True)[1]
    left_over = np.bincount(codes, right - value)
    subjects = len(left_over)
    error = float(np.sqrt((left_over**2).sum() * subjects / max(subjects - 1, 1))) / len(better)
    return Accuracy(value, max(0.0, value - Z_95 * error), min(1.0, value + Z_95 * error), len(better), subjects)
