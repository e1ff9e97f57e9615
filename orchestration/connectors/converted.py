"""What every connector returns, and how it becomes a file in landing/.

Here: rows with a count of what was left out and why, and writing them so that no half file is ever taken in.
Not here: any one export's form (shopify_products, ga4_events, segment_events).
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Converted:
    """Rows to land, and how many of the export's records were left out, by reason."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, event: dict[str, Any] | str) -> None:
        """An event, or the reason why there is none."""
        if isinstance(event, str):
            self.left_out[event] += 1
        else:
            self.rows.append(event)

    def lines(self) -> Iterator[str]:
        """What a person is told: one line for the rows, one for each reason."""
        yield f"{len(self.rows):,} rows."
        for reason, count in self.left_out.most_common():
            yield f"{count:,} left out: {reason}"


@dataclass(frozen=True, kw_only=True)
class EventNames:
    """Which of an export's events count: `exposures`, and `outcomes` from an event's name to the loop's outcome.

    `of_items` are those of the outcomes that speak of each product of an order by itself.
    """

    exposures: frozenset[str]
    outcomes: Mapping[str, str]
    of_items: frozenset[str]

    def __post_init__(self) -> None:
        if both := self.exposures & set(self.outcomes):
            raise ValueError(f"{sorted(both)} cannot be exposure and outcome at once: name each event once.")

    def counts(self, event: str) -> bool:
        return event in self.exposures or event in self.outcomes

    def changed(self, exposures: Sequence[str], outcomes: Sequence[str]) -> "EventNames":
        """With other exposures where some are named, and outcomes, each as `OUTCOME=EVENT`, beside these."""
        named = dict(self.outcomes)
        for pair in outcomes:
            outcome, found, event = (part.strip() for part in pair.partition("="))
            if not (outcome and found and event):
                raise ValueError(f"{pair!r} is no outcome of an event: write it as OUTCOME=EVENT.")
            named[event] = outcome
        shown = frozenset(exposures) or self.exposures
        return EventNames(exposures=shown, outcomes=named, of_items=self.of_items)


NO_VARIANT = "an exposure without `variant_id`: send what the outbox gave with the event"
NOT_COUNTED = "an event of a name that does not count: name it with --exposure or --outcome"
NO_SUBJECT = "an event that names no product"
NOT_READ = "a record that is not of the documented form"


def converted_events(
    file: Path,
    names: EventNames,
    name_of: Callable[[Any], str | None],
    events_of: Callable[[Mapping[str, Any]], Iterable[dict[str, Any] | str]],
) -> Converted:
    """The events of an export, or why there are none.

    `name_of` a record is its event's name, None where it is not of the documented form; `events_of` a record that
    counts are its events, or reasons. Raises ValueError when the file is not JSON.
    """
    found = Converted()
    for record in records(file):
        name = name_of(record)
        if name is None or not names.counts(name):
            found.left_out[NOT_READ if name is None else NOT_COUNTED] += 1
            continue
        for event in events_of(record):
            found.add(event)
    return found


def event_id(*parts: object) -> str:
    """The same for the same event, so that an export that is converted twice is taken in once."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def write_rows(rows: Sequence[Mapping[str, Any]], file: Path) -> Path:
    """Write rows as NDJSON, under another name until they are whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.partial")
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
    return file


def records(file: Path) -> Iterator[Any]:
    """The JSON records of a file: a line each, or one array. Raises ValueError naming the line that is not JSON."""
    text = text_of(file)
    if text.lstrip().startswith("["):
        try:
            yield from json.loads(text)
        except (ValueError, RecursionError) as fault:
            raise ValueError(f"{file.name} begins as a JSON array and is none: export it anew. {fault}.") from fault
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as fault:
                raise ValueError(f"{file.name}, line {number} is not JSON: export it as NDJSON or an array.") from fault


def text_of(file: Path) -> str:
    """What a text file says. Raises ValueError when it is no UTF-8."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as fault:
        raise ValueError(f"{file.name} is no UTF-8 text: export it as plain, unpacked text in UTF-8.") from fault


def as_text(value: object) -> str:
    """A property as an identifier: texts and whole numbers; empty for anything else."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def as_amount(value: object) -> float | None:
    """A property as an amount; None where it is none."""
    try:
        amount = float(str(value))
    except ValueError:
        return None
    return amount if abs(amount) < float("inf") else None
