"""Serve what the flywheel released: copy this file into your application. It needs Python 3.11 and no package.

    releases = read_releases("outbox/content/2026-01-05.ndjson")
    served = serve(releases["p-17"], unit="visitor-1")
    show(served.text)
    log(served.exposure())          # one line of landing/events/*.ndjson

Here: reading an outbox file, the variant or answer that a unit meets, and the exposure to log.
Not here: anything else of the flywheel; `flywheel-serving.mjs` says the same in JavaScript.
"""

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_DIGITS = 13  # 52 bits: exact in a double, in every language


def point(salt: str, unit: str) -> float:
    """A number in [0, 1) that depends on salt and unit alone."""
    digest = hashlib.sha256(f"{salt}:{unit}".encode()).hexdigest()
    return int(digest[:_DIGITS], 16) / 16**_DIGITS


@dataclass(frozen=True)
class Served:
    """What a unit meets. `variant` is the outbox's own entry: text, fields, provenance, disclosure."""

    loop: str
    subject_id: str
    unit: str
    release_id: str | None
    decision_id: str | None
    in_holdout: bool
    variant: dict[str, Any] = field(repr=False)

    @property
    def text(self) -> str:
        return str(self.variant["text"])

    def exposure(self, occurred_at: datetime | None = None, segment: str | None = None) -> dict[str, Any]:
        """The event to log when the unit really met it; a moment without a time zone is UTC."""
        moment = occurred_at or datetime.now(UTC)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        event = {
            "event_id": str(uuid.uuid4()),
            "event_type": "exposure",
            "loop": self.loop,
            "subject_id": self.subject_id,
            "variant_id": self.variant["variant_id"],
            "unit_id": self.unit,
            "occurred_at": moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "release_id": self.release_id,
            "decision_id": self.decision_id,
            "segment": segment,
        }
        return {name: value for name, value in event.items() if value is not None}


def read_releases(file: str | Path) -> dict[str, dict[str, Any]]:
    """The items of an outbox file by subject. Read it again when the file changes: a withdrawal rewrites it."""
    lines: list[str] = Path(file).read_text(encoding="utf-8").splitlines()
    return {item["subject_id"]: item for item in map(json.loads, filter(None, lines))}


def serve(item: dict[str, Any], unit: str) -> Served:
    """What `unit` meets of a subject: the control while it is held out, else the variant at its point.

    An item of a loop that answers each unit by itself holds one answer, which is served as it is. Raises ValueError
    for an identifier that would put all visitors on one side: it must be a text, and the unit's own.
    """
    if not isinstance(unit, str) or not unit.strip():
        raise ValueError(f"A unit is known by a text of its own, such as a visitor's identifier, not by {unit!r}.")
    if "variants" not in item:
        return _served(item, unit, item["in_holdout"], item)
    variants = item["variants"]
    held_out = point(item["holdout"]["salt"], unit) < item["holdout"]["share"]
    if held_out:
        return _served(item, unit, True, next(each for each in variants if each["is_control"]))
    return _served(
        item, unit, False, variants[_chosen([each["share"] for each in variants], point(item["salt"], unit))]
    )


def _served(item: dict[str, Any], unit: str, held_out: bool, variant: dict[str, Any]) -> Served:
    return Served(
        loop=item["loop"],
        subject_id=item["subject_id"],
        unit=unit,
        release_id=item.get("release_id"),
        decision_id=item.get("decision_id"),
        in_holdout=held_out,
        variant=variant,
    )


def _chosen(shares: list[float], at: float) -> int:
    """Index of the interval of [0, 1) that holds `at`; the last positive share takes what rounding leaves."""
    edge, last = 0.0, 0
    for index, share in enumerate(shares):
        if share > 0:
            edge, last = edge + share, index
            if at < edge:
                return index
    return last
