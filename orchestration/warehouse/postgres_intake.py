"""A landed file on its way into Postgres: DuckDB decides on its rows in memory, and Postgres keeps them.

Here: having the rows at hand that the decision reads, and what it changed copied back, in the caller's transaction.
Not here: the decision (landing.rules), the transaction and the lock (postgres).
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from orchestration.tables import SCHEMA, TABLES, Table
from orchestration.warehouse.protocol import Parameters

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from orchestration.warehouse.postgres import Statements

ROWS_AT_ONCE = 100_000


@dataclass(frozen=True)
class ScratchSession:
    """DuckDB in memory beside the warehouse. `brought` are the tables whose rows are at hand, as far as asked for.

    A row that was brought is marked, so that what is not marked at the end is new.
    """

    connection: "duckdb.DuckDBPyConnection"
    statements: "Statements"
    brought: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def opened(cls, statements: "Statements") -> Iterator["ScratchSession"]:
        """A session whose changes are in the warehouse's transaction when the block has ended well."""
        import duckdb

        with tempfile.TemporaryDirectory(prefix="flywheel-intake-") as folder, duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            connection.execute(f"set temp_directory = '{folder}'")
            connection.execute(f"create schema {SCHEMA}")
            for table in TABLES.values():
                columns = ", ".join(f"{name} {kind}" for name, (kind, _) in table.columns.items())
                connection.execute(f"create table {table.qualified} ({columns}, _brought boolean default false)")
            session = cls(connection, statements)
            yield session
            session._keep()

    def read(self, sql: str, parameters: Parameters | None = None) -> "pl.DataFrame":
        return self.statements.read(sql, parameters)

    def bring(self, table: Table, columns: tuple[str, ...], where: str, parameters: Parameters | None = None) -> None:
        if table.name in self.brought:
            raise ValueError(f"The rows of {table.name} are at hand already: ask for all of them at once.")
        self.brought[table.name] = columns
        named = ", ".join(columns)
        rows = self.read(f"select {named} from {table.qualified} where {where}", parameters)
        self.connection.register("incoming", rows.to_arrow())
        self.connection.execute(f"insert into {table.qualified} ({named}, _brought) select {named}, true from incoming")
        self.connection.unregister("incoming")
        self.connection.execute(f"create temp table {_before(table)} as select {named} from {table.qualified}")

    def _keep(self) -> None:
        """Take out of the warehouse what was deleted here, and put in what is new."""
        for table in TABLES.values():
            if table.name in self.brought:
                self._delete(table)
            new = self.connection.execute(
                f"select {', '.join(table.columns)} from {table.qualified} where not _brought"
            ).to_arrow_reader(ROWS_AT_ONCE)
            for batch in new:
                self.statements.copied(table, _framed(batch))

    def _delete(self, table: Table) -> None:
        if self._count(_before(table)) == self._count(f"{table.qualified} where _brought"):
            return
        keys = ", ".join(table.key)
        gone = self.connection.execute(
            f"select {keys} from {_before(table)} except select {keys} from {table.qualified} where _brought"
        ).pl()
        self.statements.delete(table, gone)

    def _count(self, relation: str) -> int:
        row = self.connection.execute(f"select count(*) from {relation}").fetchone()
        return int(row[0]) if row else 0


def _before(table: Table) -> str:
    return f"brought_{table.name}"


def _framed(batch: Any) -> "pl.DataFrame":
    import polars as pl

    return cast(pl.DataFrame, pl.from_arrow(batch))
