"""The warehouse: DuckDB in one file, opened for as short as possible.

Here: connections, the tables of `orchestration.tables`, and writing a turn's rows in one transaction.
Not here: what the rows mean (assets, dbt_project) and landed files (landing.folder).
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.tables import SCHEMA, TABLES, Table

if TYPE_CHECKING:
    import duckdb
    import polars as pl


class WarehouseBusyError(RuntimeError):
    """Another process held the warehouse for longer than FLYWHEEL_LOCK_TIMEOUT_S."""


@dataclass(frozen=True)
class Warehouse:
    """DuckDB at `path`. One process writes at a time; a second one waits up to `lock_timeout_s` seconds."""

    path: Path
    lock_timeout_s: float = 60.0

    @contextmanager
    def connect(self) -> Iterator["duckdb.DuckDBPyConnection"]:
        """A connection in UTC with every table in place. Raises WarehouseBusyError when the file stays locked."""
        connection = self._opened()
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def transaction(self) -> Iterator["duckdb.DuckDBPyConnection"]:
        """A connection whose changes are kept all together, or not at all when the block raises."""
        with self.connect() as connection:
            connection.begin()
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def read(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> "pl.DataFrame":
        """Rows of a query."""
        with self.connect() as connection:
            return connection.execute(sql, parameters).pl()

    def rows(self, table: Table, *, turn: str | None = None, loop: str | None = None) -> "pl.DataFrame":
        """Rows of `table`, of one turn and one loop where given, in the order of its key."""
        where, parameters = _partition(table, turn, loop)
        return self.read(f"select * from {table.qualified}{where} order by all", parameters)

    def replace(
        self, table: Table, rows: "pl.DataFrame | str", *, turn: str | None = None, loop: str | None = None
    ) -> int:
        """Put `rows` in the place of the partition's rows, in one transaction; how many there are now.

        `rows` is a frame, or a SELECT that the warehouse runs itself, for partitions that need not pass through
        Python. A table without turns is replaced for the loop alone. Raises ValueError naming the columns when a
        frame has not exactly those of the table.
        """
        where, parameters = _partition(table, turn, loop)
        columns = ", ".join(table.columns)
        with self.transaction() as connection:
            if not isinstance(rows, str):
                if set(rows.columns) != set(table.columns):
                    missing, extra = set(table.columns) - set(rows.columns), set(rows.columns) - set(table.columns)
                    raise ValueError(f"{table.name}: missing columns {sorted(missing)}, unknown {sorted(extra)}.")
                connection.register("incoming", rows.select(list(table.columns)).to_arrow())
            source = rows if isinstance(rows, str) else "select * from incoming"
            connection.execute(f"delete from {table.qualified}{where}", parameters)
            connection.execute(f"insert into {table.qualified} ({columns}) select {columns} from ({source})")
            counted = connection.execute(f"select count(*) from {table.qualified}{where}", parameters).fetchone()
        return int(counted[0]) if counted else 0

    def append(self, table: Table, rows: "pl.DataFrame") -> None:
        """Add rows to a table of facts."""
        with self.transaction() as connection:
            connection.register("incoming", rows.select(list(table.columns)).to_arrow())
            connection.execute(f"insert into {table.qualified} select * from incoming")

    def _opened(self) -> "duckdb.DuckDBPyConnection":
        import duckdb

        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self.lock_timeout_s
        while True:
            try:
                connection = duckdb.connect(str(self.path))
                break
            except (duckdb.IOException, duckdb.BinderException) as error:
                # Another process holds it; or another thread of this one is about to close it as this one opens it.
                if not any(sign in str(error).lower() for sign in ("lock", "unique file handle conflict")):
                    raise
                if time.monotonic() > deadline:
                    raise WarehouseBusyError(
                        f"{self.path.name} was held by another process for {self.lock_timeout_s:.0f} s: "
                        f"wait for its run to end, or raise FLYWHEEL_LOCK_TIMEOUT_S. ({_holder(str(error))})"
                    ) from error
                time.sleep(0.05)
        connection.execute("set timezone = 'UTC'")
        _create_tables(connection)
        return connection


def _create_tables(connection: "duckdb.DuckDBPyConnection") -> None:
    present = {
        name
        for (name,) in connection.execute(
            "select table_name from duckdb_tables() where schema_name = ?", [SCHEMA]
        ).fetchall()
    }
    if present >= set(TABLES):
        return
    connection.execute(f"create schema if not exists {SCHEMA}")
    for table in TABLES.values():
        columns = ", ".join(f"{name} {kind}" for name, (kind, _) in table.columns.items())
        connection.execute(f"create table if not exists {table.qualified} ({columns})")


def _partition(table: Table, turn: str | None, loop: str | None) -> tuple[str, list[str]]:
    conditions = {"turn": turn if table.by_turn else None, "loop": loop if table.by_loop else None}
    given = {column: value for column, value in conditions.items() if value is not None}
    where = " and ".join(f"{column} = ?" for column in given)
    return (f" where {where}" if where else ""), list(given.values())


def _holder(error: str) -> str:
    start = error.find("(PID")
    return error[start + 1 : error.find(")", start)] if start >= 0 else "holder unknown"
