"""Event files to land: good rows, and lines broken in every way that ingestion must tell apart.

Here: a released turn, its events, and broken lines with the reason that each must be quarantined for.
Not here: what is measured with them (bad_input, ingestion, ingestion_crash) and what tests expect of them.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, SecretStr

from orchestration.delivery import SharedTraffic
from orchestration.generation import Shown, written
from orchestration.guards import well_formed
from orchestration.landing.folder import Landing
from orchestration.landing.pseudonyms import Pseudonyms
from orchestration.loops.declaration import Loop, Outcome, Reward, Subjects, days
from orchestration.loops.recipes import Recipes
from orchestration.settings import Settings
from orchestration.tables import TABLES
from orchestration.warehouse.engines import open_warehouse
from orchestration.warehouse.protocol import Warehouse

FIRST, SECOND, THIRD = "2026-01-05", "2026-01-12", "2026-01-19"
NOW = datetime(2026, 1, 26, 12)
"""The clock of every ingestion here: the first three turns have closed."""
SUBJECTS, VARIANTS = 20, 4

Event = dict[str, Any]


class Copy(BaseModel):
    """What an answer of the loop looks like."""

    text: Annotated[str, Shown()]


LOOP = Loop(
    name="content",
    subjects=Subjects(
        key="product_id",
        facts=("brand", "size"),
        original="description",
        pool="category",
    ),
    generation=written(Recipes.in_folder("content")),
    answer=Copy,
    delivery=SharedTraffic(unit="visitor", holdout=0.10),
    outcomes=(Outcome("click", within=days(1)), Outcome("purchase", within=days(7), has_value=True)),
    reward=Reward("click"),
    guards=(well_formed(),),
)
LOOPS = {LOOP.name: LOOP}


@dataclass(frozen=True)
class Shop:
    """A home with a warehouse in which `release` has put variants in force, and a landing folder."""

    home: Path
    now: datetime = NOW
    url: SecretStr | None = None

    @property
    def settings(self) -> Settings:
        return Settings(
            home=self.home,
            first_turn=date.fromisoformat(FIRST),
            pseudonym_key="a key for tests only",
            warehouse=self.url,
        )

    @property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self.settings)

    @property
    def landing(self) -> Landing:
        settings = self.settings
        return Landing(settings.landing, self.warehouse, Pseudonyms.of(settings), settings, now=lambda: self.now)

    @property
    def events_folder(self) -> Path:
        folder = self.settings.landing / "events"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def release(self, *turns: str, subjects: int = SUBJECTS) -> "Shop":
        """Put `VARIANTS` variants of every subject in force in each of `turns`."""
        table = TABLES["releases"]
        rows = [
            {
                **dict.fromkeys(table.columns),
                "turn": date.fromisoformat(turn),
                "loop": "content",
                "release_id": f"r{subject}",
                "subject_id": f"s{subject}",
                "variant_id": f"s{subject}-v{variant}",
                "is_control": variant == 0,
                "share": 1 / VARIANTS,
                "holdout": 0.1,
            }
            for turn in turns
            for subject in range(subjects)
            for variant in range(VARIANTS)
        ]
        self.warehouse.append(table, table.frame(rows))
        return self


def event(number: int, turn: str = FIRST, **other: Any) -> Event:
    """The event of that number in a turn: nine exposures, then a click, a purchase now and then."""
    kind = "exposure" if number % 10 else "purchase" if number % 50 == 0 else "click"
    subject = number % SUBJECTS
    moment = datetime.fromisoformat(turn) + timedelta(seconds=(number * 7919) % (7 * 86_400))
    return {
        "event_id": f"{turn}-{number:08d}",
        "event_type": kind,
        "loop": "content",
        "subject_id": f"s{subject}",
        "variant_id": f"s{subject}-v{number % VARIANTS}",
        "unit_id": f"visitor-{(number * 31) % 100_003:06d}",
        "segment": ("new", "loyal", None)[number % 3],
        "occurred_at": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "value": 12.5 if kind == "purchase" else None,
        "propensity": 0.25,
        "simulated": True,
    } | other


def as_ndjson(events: Iterator[Event] | list[Event]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in events)


def _changed(**changes: Any) -> Callable[[Event], bytes]:
    return lambda row: json.dumps(row | changes).encode()


def _without(name: str) -> Callable[[Event], bytes]:
    return lambda row: json.dumps({key: value for key, value in row.items() if key != name}).encode()


def _text(change: Callable[[bytes], bytes]) -> Callable[[Event], bytes]:
    return lambda row: change(json.dumps(row).encode())


BROKEN: Mapping[str, tuple[Callable[[Event], bytes], ...]] = {
    "not_json": (
        _text(lambda line: line.replace(b'"', b"'")),
        _text(lambda line: line[:-1] + b",}"),
        _text(lambda line: line + b" and more"),
        _text(lambda line: line + line),
        _text(lambda line: line.replace(b": ", b" ", 1)),
        lambda _: b"2026-01-05,exposure,content",
    ),
    "truncated_json": (_text(lambda line: line[:-1]), _text(lambda line: line[:40]), lambda _: b"{"),
    "not_an_object": (_text(lambda line: b"[" + line + b"]"), lambda _: b'"event"', lambda _: b"17", lambda _: b"null"),
    "bad_encoding": (
        _text(lambda line: line.replace(b"visitor", b"visit\xffr")),
        _text(lambda line: line.replace(b"visitor", b"visit\x00r")),
        _text(lambda line: line.replace(b"visitor", b"\xc3")),
        _text(lambda line: line.decode().encode("utf-16-be").replace(b"\n", b"")),
    ),
    "empty_line": (lambda _: b"", lambda _: b"   ", lambda _: b"\r"),
    **{
        f"missing_{name}": (
            _without(name),
            _changed(**{name: None}),
            _changed(**{name: ""}),
            _changed(**{name: "  "}),
            _changed(**{name: "\u00a0\t\u200b"}),
        )
        for name in ("event_id", "event_type", "loop", "subject_id", "unit_id")
    },
    "junk_unit": tuple(
        _changed(unit_id=value)
        for value in ("undefined", " NULL ", "'NaN'", "[object Object]", "(not set)", "Anonymous", "0", "{{user_id}}")
    ),
    "absurd_amount": (_changed(value=1e30), _changed(value="1e300")),
    "missing_occurred_at": (
        _without("occurred_at"),
        _changed(occurred_at=None),
        _changed(occurred_at=""),
    ),
    "ambiguous_date": tuple(_changed(occurred_at=value) for value in ("05/01/2026 10:00", "5.1.2026", "31-12-25")),
    "unknown_event_type": (_changed(event_type="impression"), _changed(event_type="Exposure")),
    "unknown_loop": (_changed(loop="contents"),),
    "bad_timestamp": tuple(
        _changed(occurred_at=value)
        for value in ("yesterday", "2026-02-30T10:00:00Z", "2026-01-06", "infinity", "epoch", 17676936, True)
    ),
    "future_timestamp": (_changed(occurred_at="2026-01-26T12:06:00Z"), _changed(occurred_at="9999-01-01T00:00:00Z")),
    "before_first_turn": (
        _changed(occurred_at="2026-01-04T23:59:59Z"),
        _changed(occurred_at="2026-01-05T00:30:00+01:00"),
        _changed(occurred_at="0001-01-01T00:00:00Z"),
    ),
    "missing_variant": (
        _changed(event_type="exposure", variant_id=None),
        _changed(event_type="exposure", variant_id=""),
    ),
    "unknown_variant": (
        _changed(subject_id="s1", variant_id="s1-v9"),
        _changed(event_type="click", subject_id="s1", variant_id="unheard of"),
    ),
    "variant_of_another_subject": (
        _changed(subject_id="s1", variant_id="s2-v0"),
        _changed(subject_id="unheard of", variant_id="s2-v0"),
    ),
    "unknown_subject": (
        _changed(subject_id="unheard of", variant_id="unheard of"),
        _changed(event_type="click", subject_id="unheard of", variant_id=None),
    ),
    "negative_value": (_changed(value=-0.01), _changed(value=-7)),
    "not_a_number": (
        *(
            _changed(value=value)
            for value in ("12,50", "abc", "inf", True, [1], {"amount": 1}, float("nan"), float("inf"))
        ),
        _text(lambda line: re.sub(rb'"value": [^,]+', b'"value": 1e999', line)),
    ),
    "bad_propensity": tuple(
        _changed(propensity=value) for value in (0, -0.1, 1.01, 1e-300, "1.25", "a quarter", False)
    ),
    "wrong_type": (
        _changed(event_id=17.5),
        _changed(unit_id=True),
        _changed(unit_id=["visitor-1"]),
        _changed(subject_id={"id": "s1"}),
        _changed(segment={}),
        _changed(simulated="perhaps"),
        _changed(simulated=2),
    ),
    "too_long": (_changed(event_id="e" * 201), _changed(unit_id="u" * 100_000), _changed(segment="g" * 201)),
}
"""Ways to break an event's line, by the reason that it must be quarantined for."""


def broken_lines(count: int, *, start: int = 0) -> Iterator[tuple[bytes, str]]:
    """`count` broken lines with their reasons, every way in turn, made from the events `start` and on."""
    ways = [(change, reason) for reason, changes in BROKEN.items() for change in changes]
    for number in range(count):
        change, reason = ways[number % len(ways)]
        yield change(event(start + number)), reason
