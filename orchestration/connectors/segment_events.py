"""Track calls of Segment and of RudderStack (NDJSON, as both archive them) become events.

Here: the documented fields `type`, `event`, `messageId`, `anonymousId`, `userId`, `timestamp` and `properties`, and the
names of Segment's specification for shops.
Not here: tagging: an application sends `subject_id`, `variant_id` and `release_id` of what it served as properties, and
the `unit_id` that it served by where that is not the user's identifier here.
"""

from collections.abc import Iterator, Mapping
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
    exposures=frozenset({"Product Viewed"}),
    outcomes={"Product Clicked": "click", "Order Completed": "purchase"},
    of_items=frozenset({"Order Completed"}),
)
OF_A_PRODUCT = ("subject_id", "product_id", "sku")


def convert(file: Path, loop: str, names: EventNames = NAMES) -> Converted:
    """Events of `loop`, one for each product of an order. Raises ValueError when the file is not JSON."""
    return converted_events(file, names, _name_of, lambda record: _events(record, loop, names))


def _events(record: Mapping[str, Any], loop: str, names: EventNames) -> Iterator[dict[str, Any] | str]:
    properties, name = record.get("properties") or {}, record["event"]
    products = [properties]
    if name in names.of_items and not as_text(properties.get("subject_id")):
        products = [each for each in properties.get("products") or () if isinstance(each, Mapping)]
    if not products:
        yield NO_SUBJECT
    for place, product in enumerate(products):
        subject = next((found for key in OF_A_PRODUCT if (found := as_text(product.get(key)))), "")
        variant = as_text(properties.get("variant_id"))
        if not subject or (name in names.exposures and not variant):
            yield NO_SUBJECT if not subject else NO_VARIANT
            continue
        event = {
            "event_id": event_id("segment", record["messageId"], subject, place),
            "event_type": "exposure" if name in names.exposures else names.outcomes[name],
            "loop": loop,
            "subject_id": subject,
            "unit_id": next(found for unit in (properties.get("unit_id"), *_users(record)) if (found := as_text(unit))),
            "occurred_at": str(record.get("timestamp") or record.get("originalTimestamp")),
        }
        if name in names.exposures:
            yield {**event, "variant_id": variant, "release_id": as_text(properties.get("release_id")) or None}
        else:
            yield {**event, **_value(product, name in names.of_items)}


def _users(record: Mapping[str, Any]) -> tuple[Any, Any]:
    return record.get("userId"), record.get("anonymousId")


def _value(product: Mapping[str, Any], of_an_order: bool) -> dict[str, float]:
    """What was paid for a product of an order; nothing where the event is no order."""
    if not of_an_order:
        return {}
    amount = as_amount(product.get("price"))
    if amount is None:
        amount = as_amount(product.get("value"))
        return {} if amount is None else {"value": amount}
    return {"value": round(amount * (as_amount(product.get("quantity")) or 1.0), 6)}


def _name_of(record: Any) -> str | None:
    """The name of a track call; None where the record is none."""
    if not isinstance(record, Mapping) or record.get("type") != "track":
        return None
    readable = (
        as_text(record.get("messageId"))
        and any(map(as_text, _users(record)))
        and isinstance(record.get("properties") or {}, Mapping)
        and (record.get("timestamp") or record.get("originalTimestamp"))
    )
    name = record.get("event")
    return name if readable and isinstance(name, str) else None
