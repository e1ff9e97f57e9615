"""How many turns until an effect of a given size can be seen, before a team starts.

Here: what one turn is worth as information, and the turns that a promotion or a lift over the holdout needs.
Not here: the test itself (paired_estimate, sequential) and printing (cli).

Normal approximations of the tests that the flywheel runs, with the same bounds at the same looks. A plan is a
promise about effects that exist, not a forecast that there is one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from orchestration.learning.proof.sequential import crossing_probability, group_sequential_bounds, open_ended_bounds

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
MOST = 1e12  # units or subjects of a turn beyond which a plan says nothing
_FLYWHEELS = 1000  # imagined, to plan for a challenger that has to learn first: 80 % is then known to 1.3 %


@dataclass(frozen=True)
class Design:
    """What a team knows before it starts.

    `base_rate` is the control's reward per unit; `subjects` are released in a turn, each met by `units` units. Of
    these the share `holdout` is never treated, and `control_share` of the rest meets the original. `recipes` compete
    for a subject, `briefs` of them are drawn. `exploration` is the share of even choice in a policy.

    Standard deviations of log rates: `text_spread` of texts by one recipe on one subject, `subject_spread` between the
    subjects of a category, `category_spread` of a recipe's effect between `categories`, as a policy will suspect it.

    `turns` plans the number of looks (group-sequential); None looks for ever, and half of `alpha` is then
    spent by the look `horizon`.
    """

    base_rate: float
    subjects: int
    units: float
    recipes: int = 9
    briefs: int = 2
    holdout: float = 0.05
    control_share: float = 0.10
    exploration: float = 0.10
    text_spread: float = 0.15
    subject_spread: float = 0.30
    categories: int = 6
    category_spread: float = 0.15
    alpha: float = 0.05
    turns: int | None = None
    horizon: float = 5.0

    def __post_init__(self) -> None:
        for name in ("base_rate", "holdout", "control_share"):
            if not 0 < (share := getattr(self, name)) < 1:
                raise ValueError(f"The {name.replace('_', ' ')} is a share between 0 and 1, not {share}.")
        for name in ("units", "subjects"):
            if not 0 < (number := getattr(self, name)) <= MOST:
                raise ValueError(f"The number of {name} must be above 0 and at most {MOST:,.0f}, not {number}.")
        if self.turns is not None and self.turns < 1:
            raise ValueError(f"The number of turns must be 1 or more, not {self.turns}.")
        if not 1 <= self.briefs <= self.recipes or self.recipes < 2:
            raise ValueError(
                f"Of two recipes or more some are briefed: {self.briefs} briefs of {self.recipes} recipes cannot be."
            )

    @property
    def treated_units(self) -> float:
        """Units of one subject that are outside the holdout, in a turn."""
        return self.units * (1 - self.holdout)

    def variances(self, gaps: Floats) -> Floats:
        """Relative variance (recipes,) of one variant as a measurement of its recipe, which lifts by `gaps`.

        Counts of rewards; texts that differ; and what is not known of the subject's level from its category and its
        control. Subjects with a high level weigh more, which adds the factor of a log-normal's second moment.
        """
        met = self.treated_units * (1 - self.control_share) / self.briefs
        control = self.treated_units * self.control_share
        noise = (1 - self.base_rate) / self.base_rate
        level = 1 / (1 / self.subject_spread**2 + control / noise) if self.subject_spread > 0 else 0.0
        uneven = math.exp(self.subject_spread**2)
        return (1 + gaps) * noise / met + (1 + gaps) ** 2 * uneven * (self.text_spread**2 + level)

    def comparison_variance(self, change: Floats, gaps: Floats) -> Floats:
        """Relative variance of one turn's difference, when probabilities change by `change` (..., recipes).

        Recipes are drawn evenly, so that each change is weighted by the inverse of its inclusion probability.
        """
        inclusion = self.briefs / self.recipes
        return (change**2 * self.variances(gaps)).sum(axis=-1) / inclusion / self.subjects


def plan(design: Design, lifts: Sequence[float] = (0.05, 0.10, 0.20, 0.30), power: float = 0.8) -> "pl.DataFrame":
    """The table of `flywheel plan`: for each relative lift, the turns after which it is seen with probability `power`.

    `turns_holdout`: the flywheel's lift over the holdout. `turns_better`: promotion of a challenger that is better by
    that lift from the first comparison on. `turns_learned`: promotion of one that starts from nothing and has to find
    the better recipe first. `units` are those of `turns_better`. Null where `most` turns of `turns_to` are too few.
    """
    import polars as pl

    largest = _favouring_one(design)[0] * design.recipes - 1
    for lift in lifts:
        if not 0 < lift < largest:
            raise ValueError(
                f"A lift must lie above 0 and below {largest:.2f}, which is what one of {design.recipes} recipes can "
                f"bring over even choice, not at {lift}; 0.1 is a lift of 10 %."
            )
    rows = []
    for lift in lifts:
        better = turns_to_promote(design, lift, power=power)
        rows.append(
            {
                "lift": lift,
                "turns_holdout": turns_to_see_lift(design, lift, power=power),
                "turns_better": better,
                # Whoever has to learn first is not sooner.
                "turns_learned": better and turns_to_promote(design, lift, power=power, learning=True),
                "units": None if better is None else round(better * design.subjects * design.units),
            }
        )
    integers = dict.fromkeys(("turns_holdout", "turns_better", "turns_learned", "units"), pl.Int64)
    return pl.DataFrame(rows, schema={"lift": pl.Float64, **integers})


def turns_to_see_lift(design: Design, lift: float, *, power: float = 0.8, most: int = 104) -> int | None:
    """Turns until the flywheel's `lift` over its holdout, relative, is above zero by the bound; None beyond `most`."""
    held, treated = (design.subjects * design.units * share for share in (design.holdout, 1 - design.holdout))
    variance = (1 - design.base_rate) / design.base_rate * (1 / held + 1 / treated)
    return _first(design, lift, variance, power, most)


def turns_to_promote(
    design: Design, lift: float, *, power: float = 0.8, most: int = 104, learning: bool = False
) -> int | None:
    """Turns until a challenger worth `lift` more than a champion that draws evenly is promoted; None beyond `most`.

    The first turn has nothing to compare and is counted. With `learning`, the better recipe is one of many and the
    challenger is what Thompson's rule makes of the turns so far; this is imagined 1,000 times from a fixed seed.
    """
    favour = _favouring_one(design)
    change = favour - 1 / design.recipes
    # The first recipe's advantage that makes `favour` worth `lift` more than even choice, relative to the others.
    gap = lift / (favour[0] - (1 + lift) / design.recipes)
    gaps = gap * np.eye(design.recipes)[0]
    variance = float(design.comparison_variance(change, gaps)) / (1 + gap / design.recipes) ** 2
    compared = _first(design, lift, variance, power, most - 1)
    if compared is None or not learning:
        return compared if compared is None else compared + 1
    return _first_learned(design, gap, power, min(most, 3 * compared + 8))


def units_to_see(base_rate: float, lift: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Units of two equal groups, one at `base_rate`, one higher by `lift` (relative), that tell them apart in one look.

    inf where nothing is ever earned. Source: Fleiss, Levin and Paik (2003), chapter 4, without continuity correction.
    """
    if not base_rate > 0:
        return math.inf
    return 4 * ((_z(alpha) + _z(1 - power)) / lift) ** 2 * max(1 - base_rate, 0.0) / base_rate


def units_to_see_amount(variance: float, mean: float, lift: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Units whose difference, of this `variance` for each, shows a gain of `lift` over `mean` (relative) in one look.

    For rewards that are amounts or weighted sums, which may be negative: a gain is counted in sizes of the mean, so
    that it is the same in pence as in pounds. inf where the mean is 0 or unknown, or nothing was compared.
    """
    if not (abs(mean) > 0 and math.isfinite(variance)):
        return math.inf
    return ((_z(alpha) + _z(1 - power)) / (lift * mean)) ** 2 * variance


def _favouring_one(design: Design) -> Floats:
    """Probabilities (recipes,) of a policy that favours the first recipe and goes on exploring all."""
    return (1 - design.exploration) * np.eye(design.recipes)[0] + design.exploration / design.recipes


def _first(design: Design, lift: float, variance: float, power: float, most: int) -> int | None:
    """The first look by which a mean of `lift`, measured with `variance` a turn, has crossed its bound."""
    if lift <= 0:
        raise ValueError(f"A lift to be seen must be positive, not {lift}.")
    looks = most if design.turns is None else min(most, design.turns)
    # A plain z test says how far to look: a bound for ever costs less than five times its sample.
    rough = ((_z(design.alpha) + _z(1 - power)) / lift) ** 2 * variance
    if not math.isfinite(rough):
        return None
    looks = min(looks, max(8, math.ceil(5 * rough)))
    information = np.arange(1, looks + 1) / variance
    crossed = crossing_probability(information, _bounds(design, information), drift=lift)
    enough = np.flatnonzero(crossed >= power)
    return int(enough[0]) + 1 if len(enough) else None


def _bounds(design: Design, information: Floats) -> Floats:
    if design.turns is not None:
        looks = np.arange(1, len(information) + 1)
        return group_sequential_bounds(information, looks / design.turns, design.alpha)
    return open_ended_bounds(information, design.alpha, design.horizon)


def _first_learned(design: Design, gap: float, power: float, most: int) -> int | None:
    """The same where recipe 0 is better by `gap`, relative, and every challenger is learned from the turns before."""
    rng = np.random.default_rng(2026)
    shape = (_FLYWHEELS, design.recipes)
    truth = gap * np.eye(design.recipes)[0]
    # A turn measures every recipe on its share of the subjects.
    spread = np.sqrt(design.variances(truth) / (design.subjects * design.briefs / design.recipes))
    measured = np.zeros(shape)
    total, squares = np.zeros(_FLYWHEELS), np.zeros(_FLYWHEELS)
    scores, typical = [], []
    for turn in range(1, most + 1):
        if turn > 1:
            # What is known of a recipe in general, and what may be different in a category.
            doubt = np.sqrt(
                spread**2 / (turn - 1)
                + 1 / (1 / design.category_spread**2 + (turn - 1) / (design.categories * spread**2))
            )
            best = _thompson(measured / (turn - 1), doubt)
            change = (1 - design.exploration) * best + design.exploration / design.recipes - 1 / design.recipes
            variance = design.comparison_variance(change, truth)
            total += change @ truth + np.sqrt(variance) * rng.standard_normal(_FLYWHEELS)
            squares += variance
            scores.append(total / np.sqrt(squares))
            typical.append(float(np.median(squares)))
        measured += truth + spread * rng.standard_normal(shape)
    # One bound for all, at the information that the median flywheel has.
    looks = min(len(scores), design.turns or most)
    bounds = _bounds(design, np.array(typical[:looks]))
    crossed = np.logical_or.accumulate(np.array(scores[:looks]) > bounds[:, None], axis=0).mean(axis=1)
    enough = np.flatnonzero(crossed >= power)
    return int(enough[0]) + 2 if len(enough) else None


def _thompson(mean: Floats, sd: Floats) -> Floats:
    """Probability (f, r) that each recipe is the best of normals around `mean` (f, r) with `sd` (r,)."""
    from scipy.special import ndtr, ndtri

    nodes = ndtri((np.arange(24) + 0.5) / 24)
    best = np.empty_like(mean)
    for recipe in range(mean.shape[1]):
        others = np.delete(mean, recipe, axis=1)
        draws = mean[:, recipe, None] + sd[recipe] * nodes
        best[:, recipe] = (
            ndtr((draws[:, :, None] - others[:, None, :]) / np.delete(sd, recipe)).prod(axis=2).mean(axis=1)
        )
    return best / best.sum(axis=1, keepdims=True)


def _z(tail: float) -> float:
    from scipy.stats import norm

    return float(norm.isf(tail))
