"""What sharing traffic has gained over even shares, with its uncertainty.

Here: sums over subjects of what shares earned and what even shares would have.
Not here: drawing outcomes (worlds.replayed.replay).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_Z = 1.959964


@dataclass(frozen=True)
class Gain:
    """Rewards gained over even shares, with a 95 % interval; `even` is what even shares would have earned.

    `subjects` and `units` are those that were compared.
    """

    gained: float
    low: float
    high: float
    even: float
    subjects: int
    units: int

    @property
    def relative(self) -> float:
        """Gained over what even shares earn; nan where they earn nothing."""
        return self.gained / self.even if self.even > 0 else math.nan

    @property
    def relative_low(self) -> float:
        return self.low / self.even if self.even > 0 else math.nan

    @property
    def relative_high(self) -> float:
        return self.high / self.even if self.even > 0 else math.nan


def gain_of(expected: Sequence[float], even: Sequence[float], units: Sequence[int]) -> Gain:
    """The gain over subjects: what a release's shares are worth by the log (s,), what even shares are, and the units.

    Subjects are the sample: a normal interval of the sum of their differences, inf with fewer than two.
    """
    differences = np.asarray(expected, dtype=float) - np.asarray(even, dtype=float)
    size = len(differences)
    gained = float(differences.sum())
    half = _Z * math.sqrt(size * float(differences.var(ddof=1))) if size > 1 else math.inf
    return Gain(gained, gained - half, gained + half, float(np.sum(even)), size, int(np.sum(units)))
