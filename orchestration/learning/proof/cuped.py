"""A difference between two randomised groups with what was known of their units before taken out.

Here: CUPED from sums, so that a warehouse can aggregate any number of units, alone or within subjects.
Not here: policies (off_policy), repeated looks (sequential), and which pre-period counts (pre_period_moments of dbt).
"""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Moments:
    """Sums over a group's units of the outcome `y` and of the covariate `x` from before the group was assigned.

    A unit that was not there before has x = 0. Add two groups' moments to pool them.
    """

    units: float
    y: float
    yy: float
    x: float
    xx: float
    xy: float

    @classmethod
    def of(cls, outcome: ArrayLike, before: ArrayLike) -> "Moments":
        """The moments of units given one by one; `outcome` and `before` (n,). Raises ValueError on unequal lengths."""
        y, x = np.asarray(outcome, dtype=float), np.asarray(before, dtype=float)
        if y.shape != x.shape or y.ndim != 1:
            raise ValueError(f"Need one value from before for each outcome; got {y.shape} and {x.shape}.")
        return cls(float(len(y)), *(float(total) for total in (y.sum(), y @ y, x.sum(), x @ x, x @ y)))

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(*(one + two for one, two in zip(astuple(self), astuple(other), strict=True)))

    def variance(self, theta: float) -> float:
        """Variance of y - theta x between units."""
        n = self.units
        yy = self.yy - self.y**2 / n
        xx = self.xx - self.x**2 / n
        xy = self.xy - self.x * self.y / n
        return max(yy - 2 * theta * xy + theta**2 * xx, 0.0) / (n - 1)


@dataclass(frozen=True)
class Difference:
    """Treated minus control in outcome per unit; `relative` values are over the control's adjusted mean.

    `theta` is the weight of the covariate and `variance_ratio` the adjusted variance over the plain one: 0.6 means
    that the same interval would have needed 1 / 0.6 times the units without the pre-period.
    """

    value: float
    low: float
    high: float
    standard_error: float
    relative: float
    relative_low: float
    relative_high: float
    theta: float
    variance_ratio: float


def difference(treated: Moments, control: Moments, level: float = 0.95) -> Difference:
    """The adjusted difference of means and its normal interval.

    The covariate must not be touched by the treatment: only what happened before assignment. With a covariate that
    says nothing, theta is about zero and the plain difference comes out. Raises ValueError with fewer than two units.
    Source: Deng, Xu, Kohavi and Walker (2013), theta from both groups; relative interval by the delta method.
    """
    if min(treated.units, control.units) < 2:
        raise ValueError(f"Each group needs two units; there are {treated.units:.0f} and {control.units:.0f}.")
    return stratified_difference([(treated, control)], level)


def stratified_difference(strata: Sequence[tuple[Moments, Moments]], level: float = 0.95) -> Difference:
    """The same within strata, such as subjects, each (treated, control): units are compared with those of their own.

    Strata with fewer than two units on a side are left out. The others are weighed as Mantel and Haenszel (1959) do, by
    n_treated n_control / n, and share one theta. Raises ValueError when none is left.
    """
    from scipy.stats import norm

    kept = [pair for pair in strata if min(group.units for group in pair) >= 2]
    if not kept:
        raise ValueError("No stratum has two units in each group.")
    groups = [group for pair in kept for group in pair]
    # Within groups, so that the effect itself does not leak into theta.
    xy = sum(group.xy - group.x * group.y / group.units for group in groups)
    xx = sum(group.xx - group.x**2 / group.units for group in groups)
    theta = xy / xx if xx > 0 else 0.0
    weights = np.array([treated.units * control.units / (treated.units + control.units) for treated, control in kept])
    weights /= weights.sum()
    means, variances = np.zeros(2), np.zeros(2)
    plain = 0.0
    for weight, pair in zip(weights, kept, strict=True):
        both = pair[0] + pair[1]
        for side, group in enumerate(pair):
            means[side] += weight * (group.y / group.units - theta * (group.x / group.units - both.x / both.units))
            variances[side] += weight**2 * group.variance(theta) / group.units
            plain += weight**2 * group.variance(0.0) / group.units
    value, error = float(means[0] - means[1]), math.sqrt(float(variances.sum()))
    width = float(norm.ppf(0.5 + level / 2))
    if means[1] > 0:
        ratio = float(means[0] / means[1])
        spread = math.sqrt(float(variances[0] + ratio**2 * variances[1])) / float(means[1])
    else:
        ratio = spread = math.nan
    return Difference(
        value=value,
        low=value - width * error,
        high=value + width * error,
        standard_error=error,
        relative=ratio - 1,
        relative_low=ratio - 1 - width * spread,
        relative_high=ratio - 1 + width * spread,
        theta=theta,
        variance_ratio=float(variances.sum()) / plain if plain > 0 else 1.0,
    )
