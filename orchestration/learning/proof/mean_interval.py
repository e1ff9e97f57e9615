"""A confidence interval for a mean whose observations are skewed and may come in clusters.

Here: the interval and the standard error of a mean from contributions.
Not here: what the contributions are (off_policy) and bounds for more than one look (sequential).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class MeanInterval:
    """A mean with its standard error and two-sided interval; `observations` counts clusters where there are any."""

    mean: float
    low: float
    high: float
    standard_error: float
    observations: int


def mean_interval(
    contributions: NDArray[np.float64], clusters: ArrayLike | None = None, level: float = 0.95
) -> MeanInterval:
    """Interval of the mean of `contributions` (n,), in their unit, robust to skewness and to dependence in `clusters`.

    Student's interval misses a skewed mean on one side far too often (importance-weighted clicks: 77 to 93 % where
    95 % was meant). Here the t statistic is transformed so that its skewness vanishes, and the transformation, a
    monotone cubic, is inverted. With `clusters` (n,) the observations are the clusters' sums of deviations.
    Raises ValueError with fewer than two observations.
    Source: Hall (1992), On the removal of skewness by transformation; for clusters, Liang and Zeger (1986).
    """
    from scipy.stats import t as student

    values = np.asarray(contributions, dtype=float)
    mean = float(values.mean()) if len(values) else math.nan
    deviations = values - mean
    if clusters is not None:
        _, member = np.unique(np.asarray(clusters), return_inverse=True)
        # Scaled so that the mean of n deviations is the mean of the clusters' sums.
        deviations = np.bincount(member, weights=deviations) * (member.max() + 1) / len(values)
    number = len(deviations)
    if number < 2:
        raise ValueError(f"An interval needs at least two independent observations, not {number}.")
    sd = math.sqrt(float(deviations @ deviations) / (number - 1))
    if sd == 0:
        return MeanInterval(mean, mean, mean, 0.0, number)
    skewness = float(np.mean(deviations**3)) / sd**3
    quantile = float(student.ppf(0.5 + level / 2, number - 1))
    low, high = (mean - sd * _untransformed(t, skewness, number) for t in (quantile, -quantile))
    return MeanInterval(mean, low, high, sd / math.sqrt(number), number)


def _untransformed(t: float, skewness: float, number: int) -> float:
    """The studentised deviation z whose transform z + g z^2 / 3 + g^2 z^3 / 27 + g / (6 n) equals t / sqrt(n)."""
    if abs(skewness) < 1e-8:
        return t / math.sqrt(number)
    inner = 1 + skewness * (t / math.sqrt(number) - skewness / (6 * number))
    return 3 / skewness * (math.copysign(abs(inner) ** (1 / 3), inner) - 1)
