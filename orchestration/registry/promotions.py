"""The records of promotions: every decision that was ever taken on a turn, none of them rewritten.

Here: reading the records of a turn, telling whether what is known now decides by other numbers, and the row of the next
record.
Not here: deciding (graph.assets.promotion) and which policy is in force (champions).

The first record of a turn takes effect: the turns after it obey it. When late events change its numbers, a further
record says what would be decided now; it takes effect only while nothing has obeyed the one before it.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestration.tables import TABLES
from orchestration.warehouse.protocol import Warehouse

if TYPE_CHECKING:
    import polars as pl

LEARNED, LATE = "learned", "late events"
NEWEST = """
    select turn, loop, coalesce(record, 0) as record, coalesce(because, 'learned') as because,
        coalesce(took_effect, true) as took_effect, champion_before, challenger, promoted, champion_after, reason,
        mlflow_run_id, decided_at, recorded_at
    from flywheel.promotions
    qualify row_number() over (partition by turn, loop order by coalesce(record, 0) desc) = 1
"""
"""What is known now of every turn's decision: the newest record of each."""
IN_EFFECT = """
    select turn, loop, coalesce(record, 0) as record, champion_before, challenger, promoted, champion_after, reason
    from flywheel.promotions where coalesce(took_effect, true)
    qualify row_number() over (partition by turn, loop order by coalesce(record, 0) desc) = 1
"""
"""What the turns after each turn have obeyed: the newest record of each that took effect."""
_OBEYED = """
    select count(*) as turns from (
        select turn from flywheel.champions where loop = $loop and turn > $turn
        union all
        select turn from flywheel.promotions where loop = $loop and turn > $turn and coalesce(took_effect, true)
    )
"""
_DECIDED_LATER = """
    select count(*) as records from flywheel.promotions
    where loop = $loop and turn > $turn and coalesce(took_effect, true)
"""


class Records:
    """The records of one turn's decision, oldest first, with the conditions of each."""

    def __init__(self, warehouse: Warehouse, loop: str, turn: str) -> None:
        self._warehouse, self._named = warehouse, {"loop": loop, "turn": turn}
        rows = warehouse.rows(TABLES["promotions"], turn=turn, loop=loop)
        conditions = warehouse.rows(TABLES["promotion_conditions"], turn=turn, loop=loop)
        self.rows = [_numbered(row) for row in rows.to_dicts()]
        self.rows.sort(key=lambda row: row["record"])
        known = {row["record"] for row in self.rows}
        # Conditions are written first: those of a record that is not there are left by a process that was killed.
        self.conditions = [row for row in map(_numbered, conditions.to_dicts()) if row["record"] in known]

    @property
    def newest_takes_effect(self) -> bool:
        """Whether a further record may take effect: no later turn was decided on, nor produced after this decision."""
        sql = _OBEYED if self.rows else _DECIDED_LATER
        return not self._warehouse.read(sql, self._named).item()

    @property
    def in_effect(self) -> Mapping[str, Any] | None:
        """The record that the turns after it obey; None before there is one."""
        return next((row for row in reversed(self.rows) if row["took_effect"]), None)

    def says_otherwise(self, row: Mapping[str, Any], conditions: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a decision differs from the newest record: in what it decides, or in a number that it rests on."""
        if not self.rows:
            return True
        last = self.rows[-1]
        if any(row[name] != last[name] for name in ("champion_before", "promoted")):
            return True
        before = {each["condition"]: each for each in self.conditions if each["record"] == last["record"]}
        now = {each["condition"]: each for each in conditions}
        return before.keys() != now.keys() or any(
            each["passed"] != before[name]["passed"] or not _alike(each["number"], before[name]["number"])
            for name, each in now.items()
        )

    def with_record(
        self, row: Mapping[str, Any], conditions: Sequence[Mapping[str, Any]], now: datetime
    ) -> tuple["pl.DataFrame", "pl.DataFrame"]:
        """All rows of the turn in promotions and in their conditions, with a further record where it says otherwise."""
        rows, kept = list(self.rows), list(self.conditions)
        if self.says_otherwise(row, conditions):
            record = rows[-1]["record"] + 1 if rows else 0
            known = {
                "record": record,
                "because": LATE if rows else LEARNED,
                "took_effect": self.newest_takes_effect,
                "recorded_at": now,
            }
            rows.append({**row, **known})
            kept += [{**each, "record": record} for each in conditions]
        return TABLES["promotions"].frame(rows), TABLES["promotion_conditions"].frame(kept)


def _numbered(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as it is read: what homes of an earlier version lack counts as the first record, which took effect."""
    known = {"record": row["record"] or 0}
    if "took_effect" in row:
        known |= {"because": row["because"] or LEARNED, "took_effect": row["took_effect"] is not False}
    return {**row, **known}


def _alike(one: float | None, other: float | None) -> bool:
    """The same number but for rounding; what could not be measured is like itself."""
    if one is None or other is None or math.isnan(one) or math.isnan(other):
        return (one is None or math.isnan(one)) and (other is None or math.isnan(other))
    return one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
