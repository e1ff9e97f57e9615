"""The warehouse as DuckDB in one file, opened for as short as possible.

Here: connections, the tables of `orchestration.tables`, and writing a turn's rows in one transaction.
Not here: what the rows mean (assets, dbt_project), landed files (landing.folder), other engines (postgres).
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from orchestration.tables import SCHEMA, TABLES, Table
from orchestration.warehouse.kept_open import LOOK_S, connected, kept_open, no_longer_want, want
from orchestration.warehouse.partitions import exactly_those_of, lacking, only_those_of, partition
from orchestration.warehouse.protocol import (
    DbtTarget,
    Parameters,
    Query,
    StatementError,
    WarehouseBusyError,
    WarehouseError,
)

if TYPE_CHECKING:
    import duckdb
    import polars as pl

_SET_BY_DBT = ("memory_limit", "preserve_insertion_order")  # for the whole file, which may stay open after it


@dataclass(frozen=True)
class _Statements:
    """Statements on an open connection, each its own transaction unless one has begun (`in_transaction`)."""

    connection: "duckdb.DuckDBPyConnection"
    in_transaction: bool = False
    views_outlive_tables: ClassVar[bool] = True

    def read(self, sql: str, parameters: Parameters | None = None) -> "pl.DataFrame":
        import duckdb

        try:
            return self.connection.execute(sql, parameters).pl()
        except duckdb.Error as error:
            raise StatementError(str(error)) from error

    def rows(self, table: Table, *, turn: str | None = None, loop: str | None = None) -> "pl.DataFrame":
        where, parameters = partition(table, turn, loop)
        return self.read(f"select {', '.join(table.columns)} from {table.qualified}{where} order by all", parameters)

    def replace(
        self, table: Table, rows: "pl.DataFrame | Query", *, turn: str | None = None, loop: str | None = None
    ) -> int:
        where, parameters = partition(table, turn, loop)
        columns = ", ".join(table.columns)
        query = rows if isinstance(rows, Query) else Query("select * from incoming")
        with self._whole():
            if not isinstance(rows, Query):
                exactly_those_of(table, rows)
                self.connection.register("incoming", rows.select(list(table.columns)).to_arrow())
            self._execute(f"delete from {table.qualified}{where}", parameters)
            self._execute(
                f"insert into {table.qualified} ({columns}) select {columns} from ({query.sql})", query.parameters
            )
            counted = self.connection.execute(f"select count(*) from {table.qualified}{where}", parameters).fetchone()
            if not isinstance(rows, Query):
                self.connection.unregister("incoming")
        return int(counted[0]) if counted else 0

    def append(self, table: Table, rows: "pl.DataFrame") -> None:
        columns = ", ".join(only_those_of(table, rows))
        with self._whole():
            self.connection.register("incoming", rows.to_arrow())
            self._execute(f"insert into {table.qualified} ({columns}) select {columns} from incoming")
            self.connection.unregister("incoming")

    def sampled(self, query: Query, rows: int, seed: int) -> Query:
        return sampled(query, rows, seed)

    def view_comments(self) -> dict[str, str]:
        found = self.read("select schema_name || '.' || view_name, comment from duckdb_views() where not internal")
        return dict(found.drop_nulls().iter_rows())

    def comment_on_view(self, view: str, comment: str) -> None:
        self._execute(f"comment on view {view} is '{comment}'")

    def _execute(self, sql: str, parameters: Parameters | None = None) -> None:
        import duckdb

        try:
            self.connection.execute(sql, parameters)
        except duckdb.Error as error:
            raise StatementError(str(error)) from error

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """All changes of the block or none; part of the transaction that has begun, if one has."""
        if self.in_transaction:
            yield
            return
        self.connection.begin()
        try:
            yield
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()


@dataclass(frozen=True)
class _Session:
    """A landed file on its way in, on the file's own connection: every row is at hand."""

    connection: "duckdb.DuckDBPyConnection"

    def read(self, sql: str, parameters: Parameters | None = None) -> "pl.DataFrame":
        return _Statements(self.connection).read(sql, parameters)

    def bring(self, table: Table, columns: tuple[str, ...], where: str, parameters: Parameters | None = None) -> None:
        """Nothing to do."""


@dataclass(frozen=True)
class DuckDBWarehouse:
    """DuckDB at `path`. One process writes at a time; a second one waits up to `lock_timeout_s` seconds."""

    path: Path
    lock_timeout_s: float = 60.0

    @property
    def name(self) -> str:
        return self.path.name

    @contextmanager
    def connect(self) -> Iterator["duckdb.DuckDBPyConnection"]:
        """A connection in UTC with every table in place, for this room and for tests.

        Raises WarehouseBusyError when the file stays locked.
        """
        with connected(self.path, self._opened) as connection:
            connection.execute("set timezone = 'UTC'")
            yield connection

    def kept(self) -> AbstractContextManager[None]:
        return kept_open(self.path)

    @contextmanager
    def held_open(self) -> Iterator[_Statements]:
        """While the block runs, no other process has the file. Raises as `connect`."""
        with self.connect() as connection:
            yield _Statements(connection)

    @contextmanager
    def held_alone(self) -> Iterator[_Statements]:
        with self.connect() as connection:  # in one file that is to be alone
            try:
                yield _Statements(connection)
            finally:
                for setting in _SET_BY_DBT:
                    connection.execute(f"reset {setting}")

    @contextmanager
    def transaction(self) -> Iterator[_Statements]:
        with self._in_transaction() as connection:
            yield _Statements(connection, in_transaction=True)

    @contextmanager
    def intake(self) -> Iterator[_Session]:
        with self._in_transaction() as connection:
            yield _Session(connection)

    def relations(self, schema: str) -> set[str]:
        found = self.read(
            "select table_name from information_schema.tables where table_schema = $schema", {"schema": schema}
        )
        return set(found["table_name"])

    def read(self, sql: str, parameters: Parameters | None = None) -> "pl.DataFrame":
        with self.held_open() as statements:
            return statements.read(sql, parameters)

    def rows(self, table: Table, *, turn: str | None = None, loop: str | None = None) -> "pl.DataFrame":
        with self.held_open() as statements:
            return statements.rows(table, turn=turn, loop=loop)

    def replace(
        self, table: Table, rows: "pl.DataFrame | Query", *, turn: str | None = None, loop: str | None = None
    ) -> int:
        with self.transaction() as statements:
            return statements.replace(table, rows, turn=turn, loop=loop)

    def append(self, table: Table, rows: "pl.DataFrame") -> None:
        with self.transaction() as statements:
            statements.append(table, rows)

    def sampled(self, query: Query, rows: int, seed: int) -> Query:
        return sampled(query, rows, seed)

    def dbt_target(self, memory: str | None = None) -> DbtTarget:
        limits = {"FLYWHEEL_WAREHOUSE_MEMORY": memory} if memory else {}
        return DbtTarget("warehouse", self.path.stem, {"FLYWHEEL_WAREHOUSE_FILE": str(self.path), **limits})

    @contextmanager
    def _in_transaction(self) -> Iterator["duckdb.DuckDBPyConnection"]:
        with self.connect() as connection:
            connection.begin()
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _opened(self) -> "duckdb.DuckDBPyConnection":
        import duckdb

        if "?" in str(self.path.resolve()):  # it would look for its journal in another folder
            raise WarehouseError(
                f"DuckDB reads a `?` in the path of {self.path.name} as the beginning of options: choose a "
                "FLYWHEEL_HOME without one, or keep the warehouse in Postgres (FLYWHEEL_WAREHOUSE)."
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        deadline, waits = time.monotonic() + self.lock_timeout_s, False
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
                waits = True
                want(self.path)
                time.sleep(LOOK_S)
        if waits:
            no_longer_want(self.path)
        _create_tables(connection)
        return connection


def sampled(query: Query, rows: int, seed: int) -> Query:
    """A query for `rows` rows of another, by a reservoir in one pass."""
    text = f"select * from ({query.sql}) using sample reservoir({rows} rows) repeatable ({seed})"
    return Query(text, query.parameters)


def _create_tables(connection: "duckdb.DuckDBPyConnection") -> None:
    """Make the tables that are missing, and in those of an earlier version the columns that they lack.

    Columns are only ever declared in addition, so that tables of as many columns as declared have them all: one query
    of the catalogue says so.
    """
    present = dict(
        connection.execute(
            "select table_name, column_count from duckdb_tables() where schema_name = ?", [SCHEMA]
        ).fetchall()
    )
    if all(present.get(name) == len(table.columns) for name, table in TABLES.items()):
        return
    connection.execute(f"create schema if not exists {SCHEMA}")
    for table in TABLES.values():
        if table.name not in present:
            columns = ", ".join(f"{name} {kind}" for name, (kind, _) in table.columns.items())
            connection.execute(f"create table if not exists {table.qualified} ({columns})")
    found = connection.execute(
        "select table_name, column_name from duckdb_columns() where schema_name = ?", [SCHEMA]
    ).fetchall()
    for table, name, kind in lacking(found):
        connection.execute(f"alter table {table.qualified} add column if not exists {name} {kind}")


def _holder(error: str) -> str:
    start = error.find("(PID")
    return error[start + 1 : error.find(")", start)] if start >= 0 else "holder unknown"
