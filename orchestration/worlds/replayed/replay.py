"""The replay world: logged tests, met again by the units that a release sends to each of their texts.

Here: landing a log's tests as subjects, and drawing each turn's outcomes from the log, without replacement.
Not here: reading logs (logged_tests) and what it all amounts to (replay_gain). Nothing of the graph imports this.

What a unit answers is what a unit of the real test answered: the rates are not modelled, and no unit is drawn twice.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from orchestration.loops.replay import MOST_VARIANTS, NAME
from orchestration.turns import Turn
from orchestration.worlds.event_files import COLUMNS, EventFile, as_times
from orchestration.worlds.outbox import Offer, points, read_outbox

if TYPE_CHECKING:
    import polars as pl

_WEEK_S = 7 * 86_400
_ANSWER_S = 60  # seconds after an exposure by which a click has come
_SPARE = 0.97  # part of an arm's remaining log that a turn may use: the assignment by hash is random


@dataclass(frozen=True)
class Met:
    """What one subject's turn came to.

    `shares` (k,) are those that units met, holdout left out; `rates` (k,) those of the log that had not been drawn when
    the turn began; `earned` the rewards of the `units` drawn outside the holdout.
    """

    subject_id: str
    units: int
    earned: float
    shares: NDArray[np.float64]
    rates: NDArray[np.float64]

    @property
    def expected(self) -> float:
        """Rewards that the shares were worth: what chance drew, left out."""
        return self.units * float(self.shares @ self.rates)

    @property
    def even(self) -> float:
        """Rewards of the same units, shared evenly."""
        return self.units * float(self.rates.mean())


@dataclass
class ReplayWorld:
    """A log to be met turn by turn; `arms` as in LoggedTests. `units` a test meets in a turn, at most.

    The same seed, log and releases give the same files. State: what has been drawn already.
    """

    arms: "pl.DataFrame"
    seed: int
    units: int = 1_000
    turns_in_force: int = 1
    _left: dict[tuple[str, str], NDArray[np.int64]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        columns = self.arms.select("group", "text", "units", "rewards")
        for group, text, units, rewards in columns.iter_rows():
            self._left[group, text] = np.array([rewards, units - rewards], dtype=np.int64)

    def turns(self, first: Turn) -> list[Turn]:
        """The turns from `first` to the last in which a test is in force."""
        last: date = self.arms["started_at"].max().date()  # type: ignore[union-attr]
        turns = [first]
        while turns[-1].next().first_day <= last + (self.turns_in_force - 1) * first.length:
            turns.append(turns[-1].next())
        return turns

    def land_subjects(self, landing_folder: Path, first: Turn) -> Path:
        """Write landing/replay/subjects/logged_tests.ndjson: the texts of every test, and nothing of what they earned.

        The text that stands first in the log is the original.
        """
        folder = landing_folder / NAME / "subjects"
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / "logged_tests.ndjson"
        partial = target.with_name(f".{target.name}.partial")
        with partial.open("w", encoding="utf-8") as file:
            for rows in self.arms.partition_by("group", maintain_order=True):
                group, started = rows["group"][0], rows["started_at"][0].date()
                texts = rows.sort("place")["text"].to_list()[: MOST_VARIANTS + 1]
                turn = first.first_day + (started - first.first_day) // first.length * first.length
                subject = {
                    "subject_id": group,
                    "category": "tests",
                    "original": texts[0],
                    "test": rows["test"][0],
                    "variants": json.dumps(texts[1:], ensure_ascii=False),
                    "first_day": turn.isoformat(),
                    "end_day": (turn + self.turns_in_force * first.length).isoformat(),
                    "sample_ratio_p": f"{rows['sample_ratio_p'][0]:.6g}",
                }
                file.write(json.dumps(subject, ensure_ascii=False) + "\n")
        return partial.replace(target)

    def play(self, outbox_file: Path, landing_folder: Path, turn: Turn) -> list[Met]:
        """Meet the releases of `turn` and write its events to landing/events/; what each subject came to.

        Raises FileNotFoundError when nothing was released, ValueError for an outbox that could not be served.
        """
        draw = np.random.default_rng([self.seed, turn.first_day.toordinal()])
        target = landing_folder / "events" / f"replayed-{turn.key}.parquet"
        file = EventFile(target, "parquet")
        met = []
        for number, offer in enumerate(read_outbox(outbox_file, turn.key)):
            one = self._meet(offer, number, turn, draw)
            if one is not None:
                file.add(one[1])
                met.append(one[0])
        file.put_in_place()
        return met

    def _meet(
        self, offer: Offer, number: int, turn: Turn, draw: np.random.Generator
    ) -> "tuple[Met, pl.DataFrame] | None":
        texts = [variant.text for variant in offer.variants]
        shares = np.array([variant.share for variant in offer.variants])
        left = np.array([self._left[offer.subject_id, text] for text in texts])
        names, variant, held_out = self._assigned(offer, number, turn, left.sum(axis=1), shares)
        if not names:
            return None
        rates = left[:, 0] / np.maximum(left.sum(axis=1), 1)
        exposed = np.bincount(variant, minlength=len(texts))
        responses = draw.hypergeometric(left[:, 0], left[:, 1], exposed)
        responded = np.concatenate(
            [draw.permutation(np.flatnonzero(variant == place))[: responses[place]] for place in range(len(texts))]
        )
        for place, text in enumerate(texts):
            self._left[offer.subject_id, text] = left[place] - [responses[place], exposed[place] - responses[place]]
        treated = ~held_out
        met = Met(
            subject_id=offer.subject_id,
            units=int(treated.sum()),
            earned=float(treated[responded].sum()),
            shares=shares,
            rates=rates,
        )
        return met, _events(offer, turn, names, variant, held_out, responded, draw)

    def _assigned(
        self, offer: Offer, number: int, turn: Turn, left: NDArray[np.int64], shares: NDArray[np.float64]
    ) -> tuple[list[str], NDArray[np.int64], NDArray[np.bool_]]:
        """Names of the units, the variant of each (n,), and who is held out (n,): as many as every log can answer.

        A log that runs dry would break the shares that were promised, so the whole test meets fewer.
        """
        wanted = shares * (1 - offer.holdout_share) + offer.holdout_share * (np.arange(len(shares)) == offer.control)
        size = min(self.units, int((_SPARE * left / wanted).min()))
        while size > 0:
            names = [f"{turn.key}-{number}-{unit}" for unit in range(size)]
            held_out = points(offer.holdout_salt, names) < offer.holdout_share
            variant = np.where(held_out, offer.control, offer.variant_at(points(offer.salt, names)))
            if (np.bincount(variant, minlength=len(shares)) <= left).all():
                return names, variant, held_out
            size = int(size * 0.95)
        return [], np.empty(0, dtype=np.int64), np.empty(0, dtype=bool)


def _events(
    offer: Offer,
    turn: Turn,
    names: Sequence[str],
    variant: NDArray[np.int64],
    held_out: NDArray[np.bool_],
    responded: NDArray[np.int64],
    draw: np.random.Generator,
) -> "pl.DataFrame":
    """Exposures of every unit, and the clicks of those that `responded` (indices)."""
    import polars as pl

    second = draw.integers(0, _WEEK_S - 2 * _ANSWER_S, len(names))
    row = np.concatenate([np.arange(len(names)), responded])
    is_click = np.arange(len(row)) >= len(names)
    later = second[row] + is_click * draw.integers(1, _ANSWER_S, len(row))
    unit = pl.Series(names).gather(row)
    propensity = np.where(held_out, 1.0, np.array([each.share for each in offer.variants])[variant])[row]
    return pl.DataFrame(
        {
            "event_id": unit + pl.Series(["x", "k"]).gather(is_click.astype(np.int64)),
            "event_type": pl.Series(["exposure", "click"]).gather(is_click.astype(np.int64)),
            "loop": pl.Series([offer.loop]).gather(np.zeros_like(row)),
            "subject_id": pl.Series([offer.subject_id]).gather(np.zeros_like(row)),
            "variant_id": pl.Series([each.variant_id for each in offer.variants]).gather(variant[row]),
            "unit_id": unit,
            "segment": pl.Series(["all"]).gather(np.zeros_like(row)),
            "occurred_at": as_times(turn.start, later),
            "value": pl.Series([None], dtype=pl.Float64).gather(np.zeros_like(row)),
            "propensity": pl.Series(np.where(is_click, np.nan, propensity)).fill_nan(None),
            "simulated": pl.Series([False]).gather(np.zeros_like(row)),
            "release_id": pl.Series([offer.release_id], dtype=pl.String).gather(np.zeros_like(row)),
        }
    ).select(COLUMNS)


def first_turn_of(arms: "pl.DataFrame") -> date:
    """The Monday of the week in which the first test started."""
    day: date = arms["started_at"].min().date()  # type: ignore[union-attr]
    return day - timedelta(days=day.weekday())
