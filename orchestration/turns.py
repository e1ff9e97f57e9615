"""The turn: the time window that is the partition of everything.

Here: windows, their keys, the one before and the one after, and the Dagster partitions they make.
Not here: what happens in a turn (assets) and when (schedules).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import dagster as dg


class Calendar(Protocol):
    """What says when turns begin: the settings, or a loop bound to a home."""

    @property
    def first_turn(self) -> date: ...

    @property
    def cadence(self) -> Literal["weekly", "daily"]: ...


LENGTHS = {"daily": timedelta(days=1), "weekly": timedelta(days=7)}


@dataclass(frozen=True, order=True)
class Turn:
    """A window [start, end) in UTC, named by its first day."""

    first_day: date
    length: timedelta

    @classmethod
    def of(cls, key: str | date, calendar: Calendar) -> "Turn":
        """The turn named `key`. Raises ValueError, naming the nearest turn, when no turn starts on that day."""
        day = key if isinstance(key, date) else day_of(key)
        turn = cls.containing(day, calendar)
        if turn.first_day != day:
            raise ValueError(f"No turn starts on {day}; the {calendar.cadence} turn around it is {turn.key}.")
        return turn

    @classmethod
    def containing(cls, moment: date | datetime, calendar: Calendar) -> "Turn":
        """The turn whose window holds `moment` (UTC). Raises ValueError before the first turn."""
        day = moment.date() if isinstance(moment, datetime) else moment
        length = LENGTHS[calendar.cadence]
        elapsed = (day - calendar.first_turn) // length
        if elapsed < 0:
            raise ValueError(f"{day} lies before the first turn, {calendar.first_turn} (FLYWHEEL_FIRST_TURN).")
        return cls(calendar.first_turn + elapsed * length, length)

    @property
    def key(self) -> str:
        return self.first_day.isoformat()

    @property
    def start(self) -> datetime:
        return datetime.combine(self.first_day, time(), UTC)

    @property
    def end(self) -> datetime:
        return self.start + self.length

    def previous(self) -> "Turn":
        return Turn(self.first_day - self.length, self.length)

    def next(self) -> "Turn":
        return Turn(self.first_day + self.length, self.length)


def day_of(key: str) -> date:
    """The day written `YYYY-MM-DD`, which is how turns are named. Raises ValueError for any other text."""
    try:
        day = date.fromisoformat(key)
    except ValueError:
        day = None
    if day is None or key != day.isoformat():
        raise ValueError(f"{key!r} is no day: name a turn by its first day as YYYY-MM-DD, such as 2026-01-05.")
    return day


def turn_partitions(calendar: Calendar) -> "dg.TimeWindowPartitionsDefinition":
    """Partitions from the first turn to the one that is open now, which is produced while its window runs."""
    import dagster as dg

    return dg.TimeWindowPartitionsDefinition(
        start=calendar.first_turn.isoformat(),
        fmt="%Y-%m-%d",
        cron_schedule=turn_cron(calendar),
        timezone="UTC",
        end_offset=1,
    )


def turn_cron(calendar: Calendar) -> str:
    """Cron expression of the moments at which one turn ends and the next begins, in UTC."""
    return "0 0 * * *" if calendar.cadence == "daily" else f"0 0 * * {calendar.first_turn.isoweekday() % 7}"
