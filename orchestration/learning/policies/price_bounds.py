"""Bounds of a price, and the rungs that they allow.

Here: where a price may lie and how far it may move in a turn.
Not here: which rung is chosen (prices).
"""

import math
from dataclasses import dataclass

import numpy as np

IN_FORCE = "price_in_force"
"""The feature of a context from which a price moves."""
UNIT_COST = "unit_cost"
"""The feature of a context that holds what a unit costs, where the reward is profit."""
_SLACK = 1e-9  # what rounding in arithmetic may add to a bound


@dataclass(frozen=True, kw_only=True)
class PriceBounds:
    """A price lies in [`floor`, `ceiling`] and moves by at most the share `moves_at_most` of the price in force.

    `cost` names the fact that holds what a unit costs, where the reward is what is earned over it; without, the reward
    is revenue.
    """

    floor: float
    ceiling: float
    moves_at_most: float
    cost: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.floor <= self.ceiling < math.inf:
            raise ValueError(f"Need 0 < floor <= ceiling, not {self.floor} and {self.ceiling}: correct the bounds.")
        if not 0 <= self.moves_at_most < 1:
            raise ValueError(f"moves_at_most is a share in [0, 1), not {self.moves_at_most}: 0.1 is ten percent.")

    def allows(self, price: float, in_force: float) -> bool:
        """Whether the price lies inside and is near enough to the price in force."""
        inside = self.floor - _SLACK <= price <= self.ceiling + _SLACK
        return inside and abs(price - in_force) <= self.moves_at_most * in_force + _SLACK

    def reaches(self, in_force: float) -> bool:
        """Whether some move that is allowed from the price in force ends inside, at a whole cent or where it stands."""
        first, last = self._cents(in_force)
        return first <= last or self.floor <= in_force <= self.ceiling

    def _cents(self, in_force: float) -> tuple[int, int]:
        """The first and the last whole cent that may be asked next; none where the first is the larger."""
        low = max(self.floor, in_force * (1 - self.moves_at_most))
        high = min(self.ceiling, in_force * (1 + self.moves_at_most))
        return math.ceil(round(low * 100, 6)), math.floor(round(high * 100, 6))

    def ladder(self, in_force: float, steps: int = 5) -> tuple[float, ...]:
        """At most `steps` prices to choose from, ascending, in equal ratios over what is allowed, in whole cents.

        The price in force is one of them where it lies inside, cents or not. Raises ValueError when it lies so far
        outside that no allowed move leads inside, and when no whole cent is allowed.
        """
        if steps < 1 or not in_force > 0:
            raise ValueError(f"A ladder needs a step and a price in force above zero, not {steps} and {in_force}.")
        inside = self.floor <= in_force <= self.ceiling
        first, last = self._cents(in_force)
        rungs = set()
        if first <= last:
            ratios = np.geomspace(first, last, steps) if steps > 1 else [math.sqrt(first * last)]
            rungs = {min(max(round(float(cents)), first), last) / 100 for cents in ratios}
        if inside:
            if len(rungs) >= steps:
                rungs.discard(min(rungs, key=lambda rung: (abs(rung - in_force), rung)))
            rungs.add(float(in_force))
        if not rungs:
            remedy = "Set a price inside by hand, or widen floor, ceiling or moves_at_most."
            raise ValueError(
                f"From {in_force} no move of at most {self.moves_at_most:.0%} reaches a whole cent in "
                f"[{self.floor}, {self.ceiling}]. {remedy}"
            )
        return tuple(sorted(rungs))
