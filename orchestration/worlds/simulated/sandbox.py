"""The sandbox world: a simulated audience that meets what was released.

Here: one turn of it, from the outbox to event files in landing/, every row and file name marked as simulated.
Not here: what the audience likes (audience), who comes (visits) and how files arrive (event_files). Nothing of the
graph imports this; it shares with an application only the assignment rule and the file formats.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from orchestration.turns import Turn
from orchestration.worlds.event_files import COLUMNS, Delivery, EventFile, FileFormat, as_times
from orchestration.worlds.outbox import Offer, read_outbox
from orchestration.worlds.simulated import published_rates as rates
from orchestration.worlds.simulated.audience import SEGMENTS, Audience, World
from orchestration.worlds.simulated.visits import Visitors, Visits, visits_of

if TYPE_CHECKING:
    import polars as pl

DAY = 86_400


@dataclass(frozen=True)
class PlayReport:
    """What one turn of the simulated audience did.

    `exposures` and `outcomes` count what happened, `file_rows` and `late_rows` what the two files hold, repeats
    included. `two_variants` counts pairs of visitor and subject that met more than one variant. `true_lift` is the
    log ratio of the click probabilities, over everyone outside the holdout, to those of the same people meeting the
    originals: what an estimate of the lift should find.
    """

    turn: str
    file: Path
    late_file: Path
    exposures: int
    held_out: int
    outcomes: Mapping[str, int]
    duplicates: int
    file_rows: int
    late_rows: int
    two_variants: int
    true_lift: float


@dataclass(frozen=True)
class Sandbox:
    """A simulated audience. The same seed, outbox and turn give the same files, byte for byte.

    `world="indifferent"` is an audience that no text moves; `drift` as in `Audience`.
    """

    seed: int
    visitors: int = 40_000
    exposures_per_turn: int = 100_000
    world: World = "responsive"
    drift: float = 0.0
    delivery: Delivery = Delivery()
    file_format: FileFormat = "ndjson"

    def __post_init__(self) -> None:
        if self.visitors < 1 or self.exposures_per_turn < 1:
            raise ValueError("A sandbox needs at least one visitor and one exposure a turn.")

    @property
    def audience(self) -> Audience:
        return Audience(self.seed, self.world, self.drift)

    def play(self, outbox_file: Path, landing_folder: Path, turn: Turn) -> PlayReport:
        """Meet the releases of `turn`; write its events, and what was late in earlier turns, to landing/events/.

        `landing_folder` is the folder landing/. What arrives after the turn waits under a name that ingestion
        ignores, until the next turn is played or `land_late` is called.
        Raises FileNotFoundError when nothing was released, ValueError for an outbox that could not be served.
        """
        offers = read_outbox(outbox_file, turn.key)
        folder = landing_folder / "events"
        self.land_late(landing_folder, offers[0].loop, before=turn)
        stem = f"simulated-{offers[0].loop}-{turn.key}"
        file = EventFile(folder / f"{stem}.{self.file_format}", self.file_format)
        late = EventFile(folder / f".{stem}-late.{self.file_format}", self.file_format)

        audience = self.audience
        liking, complaining = _responses(audience, offers, turn)
        people = Visitors(self.seed, self.visitors)
        popularity = np.array([audience.popularity(offer.subject_id) for offer in offers])
        counts = {"click": 0, "purchase": 0, "complaint": 0}
        held_out = duplicates = two_variants = 0
        chosen = original = 0.0
        for part, visits in enumerate(visits_of(people, offers, popularity, turn, self.exposures_per_turn)):
            draw = np.random.default_rng([self.seed, 4, turn.first_day.toordinal(), part])
            clicking, as_original = _click_rates(visits, people, liking, offers)
            treated = visits.is_first & ~visits.held_out
            chosen, original = chosen + clicking[treated].sum(), original + as_original[treated].sum()
            outcomes = _outcomes(draw, visits, clicking, complaining)
            events = _events(visits, outcomes, offers, people, turn, part)
            second = np.concatenate([visits.second, *(each.second for each in outcomes)])
            on_time, delayed, repeats = self.delivery.order(draw, second, turn.length.days * DAY)
            file.add(events[on_time])
            late.add(events[delayed])
            held_out += int(visits.held_out.sum())
            two_variants += visits.pairs_of_two_variants()
            duplicates += repeats
            for each in outcomes:
                counts[each.name] += len(each.row)
        file.put_in_place()
        landed = late.target.with_name(late.target.name.lstrip("."))
        late.put_in_place()
        if landed.exists():
            late.target.replace(landed)
        return PlayReport(
            turn=turn.key,
            file=file.target,
            late_file=landed if landed.exists() else late.target,
            exposures=self.exposures_per_turn,
            held_out=held_out,
            outcomes=counts,
            duplicates=duplicates,
            file_rows=file.rows,
            late_rows=late.rows,
            two_variants=two_variants,
            true_lift=log(chosen / original),
        )

    @staticmethod
    def land_late(landing_folder: Path, loop: str, before: Turn | None = None) -> list[Path]:
        """Land the late files that wait, of turns earlier than `before` or of all; the paths they have now."""
        landed = []
        for file in sorted((landing_folder / "events").glob(f".simulated-{loop}-*-late.*")):
            key = file.name.removeprefix(f".simulated-{loop}-")[:10]
            if file.suffix != ".partial" and (before is None or key < before.key):
                landed.append(file.replace(file.with_name(file.name.lstrip("."))))
        return landed


@dataclass(frozen=True)
class _Outcomes:
    """Outcomes of one kind: the exposure each follows, when it happened (seconds from the turn's start), its value."""

    name: str
    row: NDArray[np.int64]
    second: NDArray[np.int64]
    value: NDArray[np.float64] | None = None


def _responses(audience: Audience, offers: tuple[Offer, ...], turn: Turn) -> tuple[NDArray, NDArray]:
    """Log-odds of a click (subject, variant, segment) and complaint rates (subject, variant)."""
    most = max(len(offer.variants) for offer in offers)
    liking = np.full((len(offers), most, len(SEGMENTS)), np.nan)
    complaining = np.full((len(offers), most), np.nan)
    day = turn.first_day.toordinal()
    for row, offer in enumerate(offers):
        base = audience.base(offer.subject_id) + audience.season(day)
        original = offer.variants[offer.control].text
        for column, variant in enumerate(offer.variants):
            complaining[row, column] = audience.complaint_rate(variant.text, original)
            for place, segment in enumerate(SEGMENTS):
                liking[row, column, place] = base + audience.effect(
                    variant.text,
                    original,
                    subject_id=offer.subject_id,
                    category=offer.category,
                    segment=segment,
                    day=day,
                )
    return liking, complaining


def _click_rates(
    visits: Visits, people: Visitors, liking: NDArray, offers: tuple[Offer, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability of a click after each exposure (n,), and what it would be for the original."""
    who = visits.first_visitor + visits.visitor
    segment, eagerness = people.is_loyal[who].astype(np.int64), people.eagerness[who]
    control = np.array([offer.control for offer in offers])[visits.subject]
    return tuple(
        1 / (1 + np.exp(-(liking[visits.subject, variant, segment] + eagerness)))
        for variant in (visits.variant, control)
    )


def _outcomes(
    draw: np.random.Generator, visits: Visits, clicking: NDArray[np.float64], complaining: NDArray
) -> tuple[_Outcomes, _Outcomes, _Outcomes]:
    """What follows the exposures: at most one outcome of a kind per visitor and subject, after their first exposure.

    Clicks come within minutes; purchases follow clicks, most within the hour and the others over seven days;
    complaints come within hours.
    """
    luck = draw.random((3, len(visits.second)))
    click = np.flatnonzero(visits.is_first & (luck[0] < clicking))
    clicked = visits.second[click] + np.minimum(draw.lognormal(log(20), 1.2, len(click)), 3_600).astype(np.int64) + 1
    buys = luck[1][click] < rates.PURCHASE_AFTER_CLICK
    row, since = click[buys], clicked[buys]
    at_once = draw.random(len(row)) < 0.6
    wait = np.where(at_once, draw.exponential(1_200, len(row)), draw.exponential(2.0 * DAY, len(row)))
    bought = since + np.minimum(wait, 7 * DAY - 7_200).astype(np.int64) + 1
    spread = sqrt(2 * log(rates.BASKET_MEAN / rates.BASKET_MEDIAN))
    value = draw.lognormal(log(rates.BASKET_MEDIAN), spread, len(row)).clip(0.5, 1_000).round(2)
    upset = np.flatnonzero(visits.is_first & (luck[2] < complaining[visits.subject, visits.variant]))
    complained = visits.second[upset] + draw.exponential(3_600, len(upset)).astype(np.int64) + 1
    return (
        _Outcomes("click", click, clicked),
        _Outcomes("purchase", row, bought, value),
        _Outcomes("complaint", upset, complained),
    )


def _events(
    visits: Visits,
    outcomes: tuple[_Outcomes, ...],
    offers: tuple[Offer, ...],
    people: Visitors,
    turn: Turn,
    part: int,
) -> "pl.DataFrame":
    """One row per event, exposures first, then outcomes by kind. Only a click knows the variant that it was for."""
    import polars as pl

    loop = offers[0].loop
    most = max(len(offer.variants) for offer in offers)
    variant_ids = [variant.variant_id for offer in offers for variant in _padded(offer, most)]
    shares = np.array([[variant.share for variant in _padded(offer, most)] for offer in offers])
    row = np.concatenate([np.arange(len(visits.second)), *(each.row for each in outcomes)])
    kinds = ("exposure", *(each.name for each in outcomes))
    sizes = [len(visits.second), *(len(each.row) for each in outcomes)]
    kind = np.repeat(np.arange(len(kinds)), sizes)
    knows = (kind == 0) | (kind == kinds.index("click"))
    values = [
        np.full(size, np.nan) if value is None else value
        for size, value in zip(sizes, (None, *(each.value for each in outcomes)), strict=True)
    ]
    propensity = np.where(visits.held_out, 1.0, shares[visits.subject, visits.variant])
    second = np.concatenate([visits.second, *(each.second for each in outcomes)])
    subject, visitor = visits.subject[row], visits.visitor[row]
    letter = pl.Series(["x", "k", "p", "c"]).gather(kind)
    number = pl.Series(np.concatenate([np.arange(size) for size in sizes])).cast(pl.String).str.zfill(7)
    return pl.DataFrame(
        {
            "event_id": pl.Series([f"s{people.seed}-{loop}-{turn.key}-{part}"]).gather(np.zeros_like(row))
            + letter
            + number,
            "event_type": pl.Series(kinds).gather(kind),
            "loop": pl.Series([loop]).gather(np.zeros_like(row)),
            "subject_id": pl.Series([offer.subject_id for offer in offers]).gather(subject),
            "variant_id": pl.Series(variant_ids).gather(
                pl.Series(np.where(knows, subject * most + visits.variant[row], -1)).replace(-1, None)
            ),
            "unit_id": pl.Series(visits.names).gather(visitor),
            "segment": pl.Series(SEGMENTS).gather(people.is_loyal[visits.first_visitor + visitor].astype(np.int64)),
            "occurred_at": as_times(turn.start, second),
            "value": pl.Series(np.concatenate(values)).fill_nan(None),
            "propensity": pl.Series(np.append(propensity, np.full(len(row) - sizes[0], np.nan))).fill_nan(None),
            "simulated": pl.Series([True]).gather(np.zeros_like(row)),
            "release_id": pl.Series([offer.release_id for offer in offers], dtype=pl.String).gather(
                pl.Series(np.where(knows, subject, -1)).replace(-1, None)
            ),
        }
    ).select(COLUMNS)


def _padded(offer: Offer, most: int) -> tuple:
    return offer.variants + (offer.variants[0],) * (most - len(offer.variants))
