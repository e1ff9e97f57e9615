"""Whether an outcome that must not get worse got worse.

Here: the rate of an unwanted outcome among treated units against untreated ones, over turns, with a bound for ever.
Not here: which outcomes are guardrails (loops.declaration), what follows (evidence for a promotion, rollback).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestration.learning.proof.sequential import mixture_rate, sequence_radius

Counts = tuple[float, float]


@dataclass(frozen=True)
class Worsening:
    """Treated minus control in events per unit, weighted over turns; `low` holds at every turn at once.

    `relative` and `relative_low` are over the control's rate; infinite when the control never had the event.
    """

    value: float
    low: float
    control: float
    units: float

    @property
    def relative(self) -> float:
        return _over(self.value, self.control)

    @property
    def relative_low(self) -> float:
        return _over(self.low, self.control)


def worsening(
    treated: Sequence[Counts], control: Sequence[Counts], *, alpha: float = 0.05, horizon: float = 10.0
) -> Worsening:
    """Rate difference of an unwanted outcome from (events, units) of each turn, in order, for either group.

    Turns in which a group has no units are left out. One-sided: P(ever low > true difference) <= alpha, looking after
    every turn. Source: weights of Cochran (1954), bound of `sequential.sequence_radius` (asymptotic).
    Raises ValueError when the two lists differ in length.
    """
    both = np.array(
        [(*a, *b) for a, b in zip(treated, control, strict=True) if a[1] > 0 and b[1] > 0], dtype=float
    ).reshape(-1, 4)
    if not len(both):
        return Worsening(0.0, -math.inf, math.nan, 0.0)
    events, units, control_events, control_units = both.T
    weight = units * control_units / (units + control_units)
    difference = float(weight @ (events / units - control_events / control_units))
    # One rate for both groups, from all turns: no group has to have had an event in each of them.
    pooled = float((events + control_events).sum() / (units + control_units).sum())
    variance = weight * pooled * (1 - pooled)
    total = float(weight.sum())
    radius = 0.0
    if variance[0] > 0:
        radius = float(sequence_radius(variance.sum(), mixture_rate(horizon * variance[0], alpha), alpha))
    return Worsening(
        value=difference / total,
        low=(difference - radius) / total,
        control=float(weight @ (control_events / control_units)) / total,
        units=float(units.sum() + control_units.sum()),
    )


def _over(amount: float, rate: float) -> float:
    if rate > 0:
        return amount / rate
    return 0.0 if amount == 0 else math.copysign(math.inf, amount)
