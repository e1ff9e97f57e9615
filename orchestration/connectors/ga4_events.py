"""Google Analytics 4's BigQuery export (JSON) becomes events.

Here: the documented fields `event_name`, `event_timestamp` (microseconds, UTC), `user_pseudo_id`, `event_params` (key
and a typed value) and `items`.
Not here: tagging: an application sends `subject_id`, `variant_id` and `release_id` of what it served as event
parameters, and the `unit_id` that it served by where that is not the user's identifier here.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration.connectors.converted import (
    NO_SUBJECT,
    NO_VARIANT,
    Converted,
    EventNames,
    as_amount,
    as_text,
    converted_events,
    event_id,
)

NAMES = EventNames(
    exposures=frozenset({"view_item"}),
    outcomes={"select_item": "click", "purchase": "purchase"},
    of_items=frozenset({"purchase", "select_item"}),
)


def convert(file: Path, loop: str, names: EventNames = NAMES) -> Converted:
    """Events of `loop`, one for each product of an order. Raises ValueError when the file is not JSON."""
    return converted_events(file, names, _name_of, lambda record: _events(record, loop, names))


def parameters(record: Mapping[str, Any]) -> dict[str, Any]:
    """`event_params` by key: of the typed values, the one that is set."""
    found: dict[str, Any] = {}
    for each in record.get("event_params") or ():
        if isinstance(each, Mapping) and isinstance(value := each.get("value"), Mapping):
            named = ("string_value", "int_value", "float_value", "double_value")
            found[str(each.get("key"))] = next((value[name] for name in named if value.get(name) is not None), None)
    return found


def _exposure(record: Mapping[str, Any], loop: str) -> dict[str, Any] | str:
    sent = parameters(record)
    subject = as_text(sent.get("subject_id")) or next((as_text(item.get("item_id")) for item in _items(record)), "")
    variant = as_text(sent.get("variant_id"))
    if not subject or not variant:
        return NO_SUBJECT if not subject else NO_VARIANT
    event = _event(record, loop, "exposure", subject, 0)
    return {**event, "variant_id": variant, "release_id": as_text(sent.get("release_id")) or None}


def _outcomes(record: Mapping[str, Any], loop: str, names: EventNames) -> Iterator[dict[str, Any] | str]:
    sent, outcome = parameters(record), names.outcomes[record["event_name"]]
    items = _items(record) if record["event_name"] in names.of_items else []
    if subject := as_text(sent.get("subject_id")):
        items = [{"item_id": subject, "price": sent.get("value")}]
    if not items:
        yield NO_SUBJECT
    for place, item in enumerate(items):
        subject = as_text(item.get("subject_id")) or as_text(item.get("item_id"))
        if not subject:
            yield NO_SUBJECT
            continue
        amount = as_amount(item.get("price"))
        quantity = as_amount(item.get("quantity")) or 1.0
        event = _event(record, loop, outcome, subject, place)
        yield event if amount is None or outcome == "click" else {**event, "value": round(amount * quantity, 6)}


def _event(record: Mapping[str, Any], loop: str, kind: str, subject: str, place: int) -> dict[str, Any]:
    micros = int(record["event_timestamp"])
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)
    identity = ("ga4", record["user_pseudo_id"], micros, record["event_name"], record.get("event_bundle_sequence_id"))
    unit = as_text(parameters(record).get("unit_id")) or as_text(record.get("user_id"))
    return {
        "event_id": event_id(*identity, subject, place),
        "event_type": kind,
        "loop": loop,
        "subject_id": subject,
        "unit_id": unit or str(record["user_pseudo_id"]),
        "occurred_at": moment.isoformat().replace("+00:00", "Z"),
    }


def _items(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [item for item in record.get("items") or () if isinstance(item, Mapping)]


def _events(record: Mapping[str, Any], loop: str, names: EventNames) -> Iterator[dict[str, Any] | str]:
    if record["event_name"] in names.exposures:
        yield _exposure(record, loop)
    else:
        yield from _outcomes(record, loop, names)


def _name_of(record: Any) -> str | None:
    """The event's name; None where the record is not of the documented form."""
    if not isinstance(record, Mapping) or not isinstance(name := record.get("event_name"), str):
        return None
    stamp = as_text(record.get("event_timestamp"))
    readable = stamp.isascii() and stamp.isdigit() and len(stamp) <= 17
    return name if readable and as_text(record.get("user_pseudo_id")) else None
