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

from orchestration.learning.proof.sequential import group_sequential_bounds, open_ended_bounds

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

    @classmethod
    def of(cls, turn: date, units: Floats, difference: Floats, champion: Floats, weights: Floats) -> "Increment":
        """The sums over subjects: their units, the difference in reward, the champion's value in reward per unit, and
        the challenger's importance weight times units, each (s,)."""
        return cls(
            turn=turn,
            subjects=len(units),
            weight=float(units.sum()),
            difference=float(difference.sum()),
            squares=float(difference @ difference),
            champion=float(units @ champion),
            drawn=float(weights.sum()),
            drawn_squares=float(weights @ weights),
        )


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
    increments: Sequence[Increment], *, alpha: float = 0.05, horizon: float = 5.0, planned: int | None = None
) -> PairedEstimate:
    """All increments against one champion, with a bound that looking after every turn does not void.

    With `planned` turns the bound is group-sequential (O'Brien-Fleming spending) and nothing can be proven after
    them; without, it is a confidence sequence over the turns, which spends half of `alpha` by turn `horizon`. With no
    increment, or none in which the policies differ, the bounds are infinite. The variance is the sum of squares about
    zero, not about the mean: a self-normalised sum has lighter tails than Student's, so few subjects do no harm.
    """
    made = sorted(increments, key=lambda one: one.turn)
    return _estimate(made, _radii(made, alpha, horizon, planned), alpha, planned)


def looks(
    increments: Sequence[Increment], *, alpha: float = 0.05, horizon: float = 5.0, planned: int | None = None
) -> list[PairedEstimate]:
    """What `accumulate` said after each of the turns, in order: the course of the evidence."""
    made = sorted(increments, key=lambda one: one.turn)
    radii = _radii(made, alpha, horizon, planned)
    return [_estimate(made[: look + 1], radii[: look + 1], alpha, planned) for look in range(len(made))]


def _estimate(made: Sequence[Increment], radii: Floats, alpha: float, planned: int | None) -> PairedEstimate:
    weight = sum(one.weight for one in made)
    drawn, squares = sum(one.drawn for one in made), sum(one.drawn_squares for one in made)
    radius = float(radii[-1]) / weight if weight > 0 else math.inf
    mean = sum(one.difference for one in made) / weight if weight > 0 else 0.0
    # A challenger that wants recipes nobody drew has a weight below one per unit: what was seen says less about it.
    seen = min(1.0, drawn / weight) if weight > 0 else 0.0
    return PairedEstimate(
        value=mean,
        low=mean - radius,
        high=mean + radius,
        standard_error=math.sqrt(sum(one.squares for one in made)) / weight if weight > 0 else math.inf,
        champion=sum(one.champion for one in made) / weight if weight > 0 else math.nan,
        effective_sample_size=seen * drawn**2 / squares if squares > 0 else 0.0,
        subjects=sum(one.subjects for one in made),
        units=weight,
        alpha=alpha,
        bound="confidence_sequence" if planned is None else "group_sequential",
        increments=tuple(made),
    )


def _radii(made: Sequence[Increment], alpha: float, horizon: float, planned: int | None) -> Floats:
    """Radius of the sum of differences after each turn; a turn in which the policies agree is no look."""
    times = np.cumsum([one.squares for one in made])
    looked = np.flatnonzero(np.diff(times, prepend=0.0) > 0)
    if planned is not None:
        looked = looked[looked < planned]
    radii = np.full(len(times), math.inf)
    if not len(looked):
        return radii
    information = times[looked]
    if planned is None:
        bounds = open_ended_bounds(information, alpha, horizon)
    else:
        bounds = group_sequential_bounds(information, (looked + 1) / planned, alpha)
    radii[looked] = bounds * np.sqrt(information)
    if planned is None:  # a turn that adds nothing leaves the bound where it was
        for turn in range(1, len(radii)):
            if turn not in looked:
                radii[turn] = radii[turn - 1]
    return radii
