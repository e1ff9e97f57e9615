"""A table's partition of a turn and a loop, the columns that a frame must bring for it, and those that it lacks.

Here: what every engine needs to replace a partition, to add to a table, or to bring an earlier version's up to date.
Not here: the engines themselves (duckdb_file, postgres).
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from orchestration.tables import TABLES, Table

if TYPE_CHECKING:
    import polars as pl


def partition(table: Table, turn: str | None, loop: str | None) -> tuple[str, dict[str, str]]:
    """The condition of a partition of `table` as SQL, empty for all of it, and its parameters."""
    conditions = {"turn": turn if table.by_turn else None, "loop": loop if table.by_loop else None}
    given = {column: value for column, value in conditions.items() if value is not None}
    where = " and ".join(f"{column} = ${column}" for column in given)
    return (f" where {where}" if where else ""), given


def exactly_those_of(table: Table, rows: "pl.DataFrame") -> None:
    """Raises ValueError unless a frame has exactly the columns of `table`."""
    missing, unknown = set(table.columns) - set(rows.columns), set(rows.columns) - set(table.columns)
    if missing or unknown:
        raise ValueError(f"{table.name}: missing columns {sorted(missing)}, unknown {sorted(unknown)}.")


def only_those_of(table: Table, rows: "pl.DataFrame") -> list[str]:
    """The frame's columns; raises ValueError when one is not a column of `table`."""
    unknown = set(rows.columns) - set(table.columns)
    if unknown:
        raise ValueError(f"{table.name}: unknown columns {sorted(unknown)}.")
    return list(rows.columns)


def lacking(found: Iterable[tuple[str, str]]) -> Iterator[tuple[Table, str, str]]:
    """Declared columns, each with its type, that are not among those `found` as (table, column): of tables made by an
    earlier version, whose rows have no value there."""
    there = set(found)
    for table in TABLES.values():
        for name, (kind, _) in table.columns.items():
            if (table.name, name) not in there:
                yield table, name, kind
