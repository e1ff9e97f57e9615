"""Visits of a simulated audience: who comes, what they meet and when.

Here: visitors with their segment and habits, the exposures of a turn, and the variant met by each.
Not here: what visitors like (audience), what they do next (sandbox) and how it is written (event_files).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from orchestration.turns import Turn
from orchestration.worlds.outbox import Offer, points
from orchestration.worlds.simulated import published_rates as rates

CHUNK = 1_000_000
"""Exposures worked on at once; bounds the memory of a large turn."""
REVISITS = 0.15
"""Share of exposures that show a visitor a subject that he has met in the turn already."""
CHURN = 0.01
"""Share of visitors who lose their cookie in a turn and are then known to the application under a second one."""
_HOURS = np.array([2, 1, 1, 1, 1, 2, 4, 6, 8, 10, 11, 11, 12, 12, 11, 11, 12, 14, 16, 18, 18, 14, 9, 5], dtype=float)
"""Visits by hour of the day, relative: quiet at night, busiest in the evening. No published source."""


@dataclass(frozen=True)
class Visitors:
    """The people of one world: the same over all turns. Arrays are (number,), in the order of their numbers."""

    seed: int
    number: int

    @cached_property
    def _habits(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        draw = np.random.default_rng([self.seed, 1])
        activity = draw.lognormal(0.0, 0.8, self.number)
        eagerness = draw.normal(0.0, rates.VISITOR_SD, self.number)
        return activity, eagerness, draw.random(self.number)

    @property
    def activity(self) -> NDArray[np.float64]:
        """How often each comes, relative to others."""
        return self._habits[0]

    @cached_property
    def is_loyal(self) -> NDArray[np.bool_]:
        return self._habits[2] < rates.LOYAL_SHARE

    @cached_property
    def eagerness(self) -> NDArray[np.float64]:
        """What each adds to the log-odds of a click, whatever the text."""
        by_segment = np.log(rates.LOYAL_OVER_NEW) * np.where(self.is_loyal, 1 - rates.LOYAL_SHARE, -rates.LOYAL_SHARE)
        return self._habits[1] + by_segment

    def names(self, unit: str, first: int, last: int) -> list[str]:
        """Identifiers of the visitors [first, last) as units of the kind `unit`."""
        return [f"{unit}-{number:07d}" for number in range(first, last)]


@dataclass(frozen=True)
class Visits:
    """Exposures of a part of the visitors, ordered by time. Arrays are (n,).

    `visitor` counts from the first of `names`; `second` from the start of the turn. `is_first` marks a visitor's
    first exposure to a subject in the turn; `variant` is an index into the subject's variants.
    """

    first_visitor: int
    names: Sequence[str]
    visitor: NDArray[np.int64]
    subject: NDArray[np.int64]
    second: NDArray[np.int64]
    is_first: NDArray[np.bool_]
    variant: NDArray[np.int64]
    held_out: NDArray[np.bool_]

    def pairs_of_two_variants(self) -> int:
        """How many pairs of visitor and subject met more than one variant."""
        pair = self.visitor * (self.subject.max(initial=0) + 1) + self.subject
        met = np.unique(pair * (self.variant.max(initial=0) + 1) + self.variant)
        return len(met) - int(self.is_first.sum())


def visits_of(
    visitors: Visitors, offers: Sequence[Offer], popularity: NDArray[np.float64], turn: Turn, exposures: int
) -> Iterator[Visits]:
    """The exposures of a turn, in chunks of neighbouring visitors; `popularity` is (offers,), relative."""
    day = turn.first_day.toordinal()
    parts = max(1, -(-exposures // CHUNK))
    bounds = np.linspace(0, visitors.number, parts + 1).astype(int)
    mass = np.add.reduceat(visitors.activity, bounds[:-1])
    sizes = np.random.default_rng([visitors.seed, 2, day]).multinomial(exposures, mass / mass.sum())
    for part, size in enumerate(sizes):
        draw = np.random.default_rng([visitors.seed, 3, day, part])
        yield _visits(draw, visitors, (int(bounds[part]), int(bounds[part + 1])), offers, popularity, turn, int(size))


def _visits(
    draw: np.random.Generator,
    visitors: Visitors,
    bounds: tuple[int, int],
    offers: Sequence[Offer],
    popularity: NDArray[np.float64],
    turn: Turn,
    size: int,
) -> Visits:
    names = visitors.names(offers[0].unit, *bounds)
    again = int(size * REVISITS)
    visitor = _pick(draw, visitors.activity[slice(*bounds)], size - again)
    subject = _pick(draw, popularity, size - again)
    earlier = draw.integers(0, max(size - again, 1), again)
    visitor, subject = np.append(visitor, visitor[earlier]), np.append(subject, subject[earlier])
    second = _seconds(draw, turn, size)
    order = np.lexsort((subject, visitor, second))
    visitor, subject, second = visitor[order], subject[order], second[order]

    pairs, first_at, which = np.unique(visitor * len(offers) + subject, return_index=True, return_inverse=True)
    is_first = np.zeros(size, dtype=bool)
    is_first[first_at] = True

    at = points(offers[0].holdout_salt, names)
    held_out = at[visitor] < np.array([offer.holdout_share for offer in offers])[subject]
    variant = _assigned(offers, names, pairs)[which]
    churns, changes = draw.random(len(names)) < CHURN, _seconds(draw, turn, len(names))
    for row in np.flatnonzero(churns[visitor] & (second >= changes[visitor])):
        offer = offers[subject[row]]
        variant[row] = offer.variant_at(points(offer.salt, [f"{names[visitor[row]]}~2"]))[0]
    variant = np.where(held_out, np.array([offer.control for offer in offers])[subject], variant)
    return Visits(bounds[0], names, visitor, subject, second, is_first, variant, held_out)


def _assigned(offers: Sequence[Offer], names: Sequence[str], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the variant for each pair, were nobody held out; a pair is visitor x number of offers + subject."""
    visitor, subject = np.divmod(pairs, len(offers))
    variant = np.empty(len(pairs), dtype=np.int64)
    for index, offer in enumerate(offers):
        rows = np.flatnonzero(subject == index)
        variant[rows] = offer.variant_at(points(offer.salt, [names[who] for who in visitor[rows]]))
    return variant


def _pick(draw: np.random.Generator, weights: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Indices (size,), each chosen with a probability proportional to its weight."""
    edges = np.cumsum(weights)
    return np.minimum(np.searchsorted(edges, draw.random(size) * edges[-1], side="right"), len(weights) - 1)


def _seconds(draw: np.random.Generator, turn: Turn, size: int) -> NDArray[np.int64]:
    """Moments (size,) in the turn, as seconds from its start: by weekday, then by hour."""
    weekdays = np.array(
        [rates.WEEKDAY_BASKETS[(turn.first_day.weekday() + day) % 7] for day in range(turn.length.days)]
    )
    day, hour = _pick(draw, weekdays, size), _pick(draw, _HOURS, size)
    return day * 86_400 + hour * 3_600 + draw.integers(0, 3_600, size)
