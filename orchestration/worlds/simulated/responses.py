"""A simulated audience for any loop: who meets what was released, and responds as a function says.

Here: reading an outbox of either form as an application would, and writing the exposures and outcomes that follow.
Not here: an audience of readers with tastes of their own (audience, sandbox), and loops that meet no audience.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from orchestration.turns import Turn
from orchestration.worlds.event_files import COLUMNS, EventFile, as_times
from orchestration.worlds.outbox import points, read_outbox

Response = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, float]]
"""From an answer's fields and the outbox item it stands in to the probability of each outcome."""
Amount = float | str | Callable[[Mapping[str, Any], Mapping[str, Any]], float]
"""What an outcome is worth: a number, the name of an answer's field, or a function of the answer and its item."""
_DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class RespondingAudience:
    """Units that respond to answers by `response`. Where traffic is shared, `units` meet each subject in a turn.

    `values` are the amounts of outcomes that have one, by name. `along` names outcomes that come whenever another does,
    each with the one that it comes along with.
    `reached` is the share of units, held out or not, that meet what was released for them.
    """

    response: Response
    seed: int
    units: int = 200
    reached: float = 1.0
    values: Mapping[str, Amount] | None = None
    along: Mapping[str, str] = field(default_factory=dict)

    def play(self, outbox_file: Path, landing_folder: Path, turn: Turn) -> int:
        """Meet a turn's releases and write landing/events/; how many exposures there were."""
        draw = np.random.default_rng([self.seed, turn.first_day.toordinal()])
        rows = list(self._events(outbox_file, turn, draw))
        import polars as pl

        file = EventFile(landing_folder / "events" / f"{outbox_file.parent.name}-{turn.key}.parquet", "parquet")
        table = pl.DataFrame(rows, orient="row", schema=_SCHEMA, infer_schema_length=None)
        second = table["second"].to_numpy()
        file.add(table.with_columns(occurred_at=as_times(turn.start, second)).select(COLUMNS))
        file.put_in_place()
        return int((table["event_type"] == "exposure").sum())

    def _events(self, outbox_file: Path, turn: Turn, draw: np.random.Generator) -> Iterator[dict[str, Any]]:
        items = [json.loads(line) for line in outbox_file.read_text(encoding="utf-8").splitlines()]
        if items and "variants" in items[0]:
            yield from self._shared(outbox_file, items, turn, draw)
            return
        for item in items:
            if draw.random() < self.reached:
                yield from self._met(item, item, item["subject_id"], item["subject_id"], turn, draw)

    def _shared(
        self, outbox_file: Path, items: list[dict[str, Any]], turn: Turn, draw: np.random.Generator
    ) -> Iterator[dict[str, Any]]:
        for offer, item in zip(read_outbox(outbox_file, turn.key), items, strict=True):
            names = [f"{turn.key}-{offer.subject_id}-{number}" for number in range(self.units)]
            held_out = points(offer.holdout_salt, names) < offer.holdout_share
            places = np.where(held_out, offer.control, offer.variant_at(points(offer.salt, names)))
            for name, place in zip(names, places, strict=True):
                yield from self._met(item["variants"][place], item, offer.subject_id, name, turn, draw)

    def _met(
        self,
        variant: Mapping[str, Any],
        item: Mapping[str, Any],
        subject: str,
        unit: str,
        turn: Turn,
        draw: np.random.Generator,
    ) -> Iterator[dict[str, Any]]:
        at = int(draw.integers(0, _DAY_S))
        identity = f"{item['loop']}-{turn.key}-{subject}-{unit}"
        event = {
            "loop": item["loop"],
            "subject_id": subject,
            "variant_id": variant["variant_id"],
            "unit_id": unit,
            "segment": "all",
            "propensity": None,
            "simulated": True,
            "release_id": item.get("release_id"),
            "value": None,
        }
        yield {**event, "event_id": f"{identity}-x", "event_type": "exposure", "second": at}
        for outcome, probability in self.response(variant["answer"], item).items():
            if draw.random() < probability:
                later = at + int(draw.integers(1, 3_600))
                for name in (outcome, *(name for name, other in self.along.items() if other == outcome)):
                    value = _amount((self.values or {}).get(name), variant["answer"], item)
                    named = {"event_id": f"{identity}-{name}", "event_type": name, "second": later}
                    yield {**event, **named, "variant_id": None, "value": value}


def _amount(amount: Amount | None, answer: Mapping[str, Any], item: Mapping[str, Any]) -> float | None:
    if callable(amount):
        return float(amount(answer, item))
    return float(answer[amount]) if isinstance(amount, str) else amount


_SCHEMA: dict[str, Any] = {
    "event_id": str,
    "event_type": str,
    "loop": str,
    "subject_id": str,
    "variant_id": str,
    "unit_id": str,
    "segment": str,
    "second": int,
    "value": float,
    "propensity": float,
    "simulated": bool,
    "release_id": str,
}
