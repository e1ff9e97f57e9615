"""Hours of which no event counts: leaving them out, and letting them count again.

Here: reading a span of time, what lies in it, and landing the exclusion, which is taken in at once.
Not here: what obeys it (graph.assets.booking), printing (exclude).
"""

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestration.commands.identities import only_one
from orchestration.landing.folder import Landing
from orchestration.loops.declaration import Loop
from orchestration.warehouse.protocol import Warehouse

EVENTS_IN = """
    select turn, count(*) filter (where event_type = 'exposure') as exposures,
        count(*) filter (where event_type <> 'exposure') as outcomes
    from flywheel.events
    where loop = $loop and occurred_at >= $starts_at and occurred_at < $ends_at
    group by turn order by turn
"""
IN_FORCE = """
    select exclusion_id, loop, excluded_from, excluded_until, reason from flywheel.exclusions
    where undoes is null and exclusion_id not in (select undoes from flywheel.exclusions where undoes is not null)
    order by excluded_from, loop, exclusion_id
"""
OF_ONE = """
    select exclusion_id, loop, undoes, exclusion_id in (
        select undoes from flywheel.exclusions where undoes is not null) as taken_back
    from flywheel.exclusions where left(exclusion_id, length($known)) = $known order by exclusion_id limit 9
"""
LEFT_OUT = """
    select turn, loop, count(*) filter (where left_out = 'grace') as grace,
        count(*) filter (where left_out <> 'grace') as excluded
    from flywheel.exposures where left_out is not null group by turn, loop order by turn, loop
"""


class UnknownExclusionError(LookupError):
    """No exclusion bears this identity, or no loop this name; the message names the remedy."""


@dataclass(frozen=True, kw_only=True)
class Hours:
    """A span of time, naive UTC: from `starts_at` on, until `ends_at`."""

    starts_at: datetime
    ends_at: datetime

    def __str__(self) -> str:
        return f"{self.starts_at:%Y-%m-%d %H:%M} to {self.ends_at:%Y-%m-%d %H:%M} UTC"


def hours_of(start: str | None, end: str | None) -> Hours:
    """The span that two moments in ISO 8601 name. Raises ValueError with the remedy."""
    if not start or not end:
        raise ValueError("Name the hours by --from and --to, such as --from 2026-01-05T10:00 --to 2026-01-05T12:00.")
    hours = Hours(starts_at=_moment("--from", start), ends_at=_moment("--to", end))
    if hours.starts_at >= hours.ends_at:
        raise ValueError(f"--to must be later than --from; {hours} is no span of time.")
    return hours


def named(loop: str | None, loops: Mapping[str, Loop]) -> Sequence[str]:
    """The loops meant: the one named, or all that turn."""
    if loop is not None and loop not in loops:
        raise UnknownExclusionError(f"There is no loop {loop!r} here; those that turn are {', '.join(sorted(loops))}.")
    return [loop] if loop is not None else sorted(loops)


def events_in(warehouse: Warehouse, loop: str, hours: Hours) -> list[tuple[str, int, int]]:
    """Exposures and outcomes that occurred in the hours, by the turn that they lie in."""
    rows = warehouse.read(EVENTS_IN, {"loop": loop, "starts_at": hours.starts_at, "ends_at": hours.ends_at})
    return [(str(turn), exposures, outcomes) for turn, exposures, outcomes in rows.iter_rows()]


def exclude(
    warehouse: Warehouse, landing: Landing, loop: Loop, hours: Hours, *, reason: str, by: str | None = None
) -> tuple[str, bool]:
    """Land the exclusion and take it in; its identity, and whether it was there before. Saying it twice is saying it
    once. Raises ValueError without a reason."""
    if not reason.strip():
        raise ValueError("An exclusion is kept with its reason: give --reason.")
    span = (loop.name, hours.starts_at, hours.ends_at)
    for row in warehouse.read(IN_FORCE).to_dicts():
        if (row["loop"], row["excluded_from"], row["excluded_until"]) == span:
            return row["exclusion_id"], True
    before = _known(warehouse)
    said = {"excluded_from": _iso(hours.starts_at), "excluded_until": _iso(hours.ends_at), "reason": reason.strip()}
    _land(landing, loop, said, by)
    (exclusion_id,) = _known(warehouse) - before
    return exclusion_id, False


def undo(
    warehouse: Warehouse,
    landing: Landing,
    given: str,
    loops: Mapping[str, Loop],
    *,
    reason: str | None = None,
    by: str | None = None,
) -> tuple[str, bool]:
    """Take an exclusion back, by its identity or the beginning of it; its identity, and whether it was taken back
    before. Raises UnknownExclusionError for an unknown one."""
    rows = {row["exclusion_id"]: row for row in warehouse.read(OF_ONE, {"known": given}).to_dicts() if given.strip()}
    known = only_one(given, dict.fromkeys(rows, "exclusion"))
    if known is None or rows[known]["undoes"] is not None or rows[known]["loop"] not in loops:
        raise UnknownExclusionError(f"No exclusion is known as {given!r}; `flywheel status` lists those in force.")
    if rows[known]["taken_back"]:
        return known, True
    _land(landing, loops[rows[known]["loop"]], {"undoes": known, "reason": (reason or "").strip() or "Taken back."}, by)
    return known, False


def excluded_lines(warehouse: Warehouse) -> list[str]:
    """What is excluded now, and the exposures that count nowhere by turn, a sentence each."""
    lines = [
        f"excluded: {Hours(starts_at=row['excluded_from'], ends_at=row['excluded_until'])} of {row['loop']}: "
        f"{row['reason']} [`flywheel exclude --undo {row['exclusion_id']}`]"
        for row in warehouse.read(IN_FORCE).to_dicts()
    ]
    for row in warehouse.read(LEFT_OUT).to_dicts():
        parts = {
            "in excluded hours": row["excluded"],
            "without a release_id right after the switch, which may be of either release": row["grace"],
        }
        told = " and ".join(f"{number:,} {why}" for why, number in parts.items() if number)
        lines.append(f"{row['turn']} {row['loop']}: exposures that count nowhere: {told}")
    return lines


def _moment(option: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{option} {text!r} is no moment: write ISO 8601, such as 2026-01-05T10:00.") from None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _iso(moment: datetime) -> str:
    return moment.replace(tzinfo=UTC).isoformat()


def _land(landing: Landing, loop: Loop, row: Mapping[str, Any], by: str | None) -> None:
    now = datetime.now(UTC)
    said = {**row, "excluded_by": by or getpass.getuser(), "excluded_at": now.isoformat()}
    landing.write("exclusions", loop.name, [said], f"{now:%Y%m%dT%H%M%S%f}")
    landing.ingest_exclusions(loop, run_id="exclude", progress=lambda _: None)


def _known(warehouse: Warehouse) -> set[str]:
    return set(warehouse.read("select exclusion_id from flywheel.exclusions where undoes is null")["exclusion_id"])
