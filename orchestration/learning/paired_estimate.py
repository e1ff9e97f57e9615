"""What increments against one champion prove together, at every look.

Here: one turn's increment, their sum, and the bounds that looking after every turn does not void.
Not here: how an increment is computed (comparison), the bounds' mathematics (sequential), the decision (evidence).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from orchestration.learning.sequential import group_sequential_bounds, mixture_rate, sequence_radius

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Increment:
    """What one turn says, in sums over its subjects, each weighted by its units outside the holdout.

    `difference` and `champion` in reward (units times reward per unit); `squares` is the sum of squared differences;
    `weight` the units; `drawn` and `drawn_squares` sum the challenger's importance weights times units.
    """

    turn: date
    subjects: int
    weight: float
    difference: float
    squares: float
    champion: float
    drawn: float
    drawn_squares: float


@dataclass(frozen=True)
class PairedEstimate:
    """Challenger minus champion in reward per unit, averaged over the turns compared.

    `low` and `high` each hold at all turns at once with probability 1 - `alpha`. `standard_error` is that of a single
    look. `relative` is `value` over the champion's value, nan when that is unknown. `effective_sample_size` counts
    subjects: how many the challenger would have had to write for itself to know as much.
    """

    value: float
    low: float
    high: float
    standard_error: float
    champion: float
    effective_sample_size: float
    subjects: int
    units: float
    alpha: float
    bound: Literal["confidence_sequence", "group_sequential"]
    increments: tuple[Increment, ...]

    @property
    def turns(self) -> tuple[date, ...]:
        return tuple(increment.turn for increment in self.increments)

    @property
    def relative(self) -> float:
        return self.value / self.champion if self.champion > 0 else math.nan

    @property
    def relative_low(self) -> float:
        return self.low / self.champion if self.champion > 0 else math.nan


def accumulate(
    increments: Sequence[Increment], *, alpha: float = 0.05, horizon: float = 10.0, planned: int | None = None
) -> PairedEstimate:
    """All increments against one champion, with a bound that looking after every turn does not void.

    With `planned` turns the bound is group-sequential (O'Brien-Fleming spending) and nothing can be proven after
    them; without, it is a confidence sequence, tightest after about `horizon` turns. With no increment, or none in
    which the policies differ, the bounds are infinite.
    """
    made = sorted(increments, key=lambda one: one.turn)
    weight = sum(one.weight for one in made)
    total = sum(one.difference for one in made)
    times = np.cumsum([one.squares for one in made])
    drawn, squares = sum(one.drawn for one in made), sum(one.drawn_squares for one in made)
    radius = _radius(times, alpha, horizon, planned) / weight if weight > 0 else math.inf
    mean = total / weight if weight > 0 else 0.0
    # A challenger that wants recipes nobody drew has a weight below one per unit: what was seen says less about it.
    seen = min(1.0, drawn / weight) if weight > 0 else 0.0
    return PairedEstimate(
        value=mean,
        low=mean - radius,
        high=mean + radius,
        standard_error=math.sqrt(times[-1]) / weight if weight > 0 else math.inf,
        champion=sum(one.champion for one in made) / weight if weight > 0 else math.nan,
        effective_sample_size=seen * drawn**2 / squares if squares > 0 else 0.0,
        subjects=sum(one.subjects for one in made),
        units=weight,
        alpha=alpha,
        bound="confidence_sequence" if planned is None else "group_sequential",
        increments=tuple(made),
    )


def _radius(times: Floats, alpha: float, horizon: float, planned: int | None) -> float:
    """Radius of the sum of differences at the last of `times`, the variances so far."""
    looks = [look for look in range(len(times)) if times[look] > (times[look - 1] if look else 0.0)]
    if not looks:
        return math.inf
    information = times[looks]
    if planned is None:
        # The first turn's variance is the unit of time; any fixed rate gives a valid sequence.
        return float(sequence_radius(information[-1], mixture_rate(horizon * information[0], alpha), alpha))
    if len(times) > planned:
        return math.inf
    fractions = (np.array(looks) + 1) / planned
    return float(group_sequential_bounds(information, fractions, alpha)[-1] * math.sqrt(information[-1]))
