"""The warehouse as a Postgres database, which several processes may use at once.

Here: statements translated and run, results as frames, rows in by COPY.
Not here: the translation (dialect), connections (postgres_connection), the tables there (postgres_tables), landed files
on their way in (postgres_intake), which engine is used (engines).
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import SecretStr

from orchestration.tables import SCHEMA, Table
from orchestration.warehouse.dialect import Translated, translated
from orchestration.warehouse.partitions import exactly_those_of, only_those_of, partition
from orchestration.warehouse.postgres_connection import Address, told
from orchestration.warehouse.postgres_tables import TYPES, make_tables
from orchestration.warehouse.protocol import DbtTarget, IntakeSession, Parameters, Query, StatementError

if TYPE_CHECKING:
    import polars as pl
    import psycopg

ROWS_AT_ONCE = 100_000
_PREPARED: set[str] = set()  # addresses at which this process has seen all tables


@dataclass(frozen=True)
class Statements:
    """Statements on an open connection, each its own transaction unless one has begun."""

    connection: "psycopg.Connection[Any]"
    views_outlive_tables: ClassVar[bool] = False

    def read(self, sql: str, parameters: Parameters | None = None) -> "pl.DataFrame":
        said = translated(sql)
        return self._fetched(said.sql, _given(said, parameters))

    def rows(self, table: Table, *, turn: str | None = None, loop: str | None = None) -> "pl.DataFrame":
        where, parameters = partition(table, turn, loop)
        return self.read(f"select {', '.join(table.columns)} from {table.qualified}{where} order by all", parameters)

    def replace(
        self, table: Table, rows: "pl.DataFrame | Query", *, turn: str | None = None, loop: str | None = None
    ) -> int:
        where, parameters = partition(table, turn, loop)
        if not isinstance(rows, Query):
            exactly_those_of(table, rows)
        with self.connection.transaction():
            self.lock(f"{table.name} {turn if table.by_turn else ''} {loop if table.by_loop else ''}")
            self._run(f"delete from {table.qualified}{where}", parameters)
            if isinstance(rows, Query):
                typed = ", ".join(f"{name}::{kind} as {name}" for name, (kind, _) in table.columns.items())
                self._run(
                    f"insert into {table.qualified} ({', '.join(table.columns)}) "
                    f"select {typed} from ({rows.sql}) as incoming",
                    rows.parameters,
                )
            else:
                self.copied(table, rows.select(list(table.columns)))
            return int(self.read(f"select count(*) from {table.qualified}{where}", parameters).item())

    def append(self, table: Table, rows: "pl.DataFrame") -> None:
        only_those_of(table, rows)
        with self.connection.transaction():
            self.copied(table, rows)

    def sampled(self, query: Query, rows: int, seed: int) -> Query:
        return sampled(query, rows, seed)

    def view_comments(self) -> dict[str, str]:
        found = self._fetched(
            "select n.nspname || '.' || c.relname, obj_description(c.oid, 'pg_class') from pg_class as c "
            "join pg_namespace as n on n.oid = c.relnamespace where c.relkind = 'v'",
            [],
        )
        return dict(found.drop_nulls().iter_rows())

    def comment_on_view(self, view: str, comment: str) -> None:
        with told():
            self.connection.execute(f"comment on view {view} is '{comment}'")

    def lock(self, what: str) -> None:
        """Wait until no other transaction holds the lock of this name, and hold it until this one ends."""
        self._fetched("select pg_advisory_xact_lock(hashtextextended($1, 0)) is null", [f"{SCHEMA} {what}"])

    def copied(self, table: Table, rows: "pl.DataFrame") -> None:
        """Put rows into `table`. No text holds a zero byte there: the sign for what cannot be shown stands for it."""
        with told():
            self._copied(table.qualified, rows)

    def _copied(self, relation: str, rows: "pl.DataFrame") -> None:
        import polars as pl

        rows = rows.with_columns(pl.col(pl.String).str.replace_all("\0", "\ufffd", literal=True))
        columns = ", ".join(rows.columns)
        with (
            self.connection.cursor() as cursor,
            cursor.copy(f"copy {relation} ({columns}) from stdin (format csv)") as copy,
        ):
            for part in rows.iter_slices(ROWS_AT_ONCE):
                copy.write(part.write_csv(include_header=False, quote_style="non_numeric").encode())

    def delete(self, table: Table, keys: "pl.DataFrame") -> None:
        """Take the rows with these keys out of `table`; part of the transaction that has begun."""
        doomed = f"doomed_{table.name}"
        columns = ", ".join(f"{name} {TYPES[table.columns[name][0]]}" for name in keys.columns)
        same = " and ".join(f"kept.{name} is not distinct from gone.{name}" for name in keys.columns)
        with told():
            self.connection.execute(f"create temp table {doomed} ({columns}) on commit drop")
            self._copied(doomed, keys)
            self.connection.execute(f"delete from {table.qualified} as kept using {doomed} as gone where {same}")

    def _run(self, sql: str, parameters: Parameters) -> None:
        said = translated(sql)
        with told():
            self.connection.execute(said.sql, _given(said, parameters))

    def _fetched(self, sql: str, parameters: Sequence[Any]) -> "pl.DataFrame":
        with told(), self.connection.cursor(binary=True) as cursor:
            cursor.execute(sql, parameters)
            return _frame([(column.name, column.type_code) for column in cursor.description or ()], cursor.fetchall())


@dataclass(frozen=True)
class PostgresWarehouse:
    """The database at `url`. Changes of one partition wait for each other; reading waits for nothing.

    `lock_timeout_s` is how long a change waits. The password is in no message and no representation.
    """

    url: SecretStr
    lock_timeout_s: float = 60.0

    @property
    def name(self) -> str:
        return self._address.name

    @contextmanager
    def held_open(self) -> Iterator[Statements]:
        with self._connected() as connection:
            yield Statements(connection)

    @contextmanager
    def held_alone(self) -> Iterator[Statements]:
        with self._connected(kept=False) as connection:  # the lock ends with the connection
            with told():
                connection.execute("select pg_advisory_lock(hashtextextended($1, 0))", [f"{SCHEMA} alone"])
            yield Statements(connection)

    def kept(self) -> AbstractContextManager[None]:
        return nullcontext()  # the server keeps what is worth keeping

    @contextmanager
    def transaction(self) -> Iterator[Statements]:
        with self._connected() as connection, connection.transaction():
            yield Statements(connection)

    @contextmanager
    def intake(self) -> Iterator[IntakeSession]:
        from orchestration.warehouse.postgres_intake import ScratchSession

        with self.transaction() as statements:
            statements.lock("intake")
            with ScratchSession.opened(statements) as session:
                yield session

    def relations(self, schema: str) -> set[str]:
        found = self.read(
            "select table_name from information_schema.tables where table_schema = $schema", {"schema": schema}
        )
        return set(found["table_name"])

    def dbt_target(self, memory: str | None = None) -> DbtTarget:  # noqa: ARG002
        variables = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
        parts = self._address.parts
        named = {variable: parts[part] for part, variable in variables.items()}
        # What dbt finds under this prefix it keeps out of its logs.
        secret = {"DBT_ENV_SECRET_PGPASSWORD": parts["password"]}
        encryption = {"PGSSLMODE": parts["sslmode"]} if "sslmode" in parts else {}
        return DbtTarget("postgres", parts["dbname"], {**named, **secret, **encryption})

    def read(self, sql: str, parameters: Parameters | None = None) -> "pl.DataFrame":
        with self.held_open() as statements:
            return statements.read(sql, parameters)

    def rows(self, table: Table, *, turn: str | None = None, loop: str | None = None) -> "pl.DataFrame":
        with self.held_open() as statements:
            return statements.rows(table, turn=turn, loop=loop)

    def replace(
        self, table: Table, rows: "pl.DataFrame | Query", *, turn: str | None = None, loop: str | None = None
    ) -> int:
        with self.held_open() as statements:
            return statements.replace(table, rows, turn=turn, loop=loop)

    def append(self, table: Table, rows: "pl.DataFrame") -> None:
        with self.held_open() as statements:
            statements.append(table, rows)

    def sampled(self, query: Query, rows: int, seed: int) -> Query:
        return sampled(query, rows, seed)

    @cached_property
    def _address(self) -> Address:
        return Address(self.url)

    @contextmanager
    def _connected(self, *, kept: bool = True) -> Iterator["psycopg.Connection[Any]"]:
        with self._address.connected(self.lock_timeout_s, kept=kept) as connection:
            if self.url.get_secret_value() not in _PREPARED:
                make_tables(connection, self.name)
                _PREPARED.add(self.url.get_secret_value())
            yield connection


def sampled(query: Query, rows: int, seed: int) -> Query:
    """A query for `rows` rows of another, those whose hashes come first."""
    text = f"select * from ({query.sql}) as every order by hash(every, {seed}) limit {rows}"
    return Query(text, query.parameters)


def _given(said: Translated, parameters: Parameters | None) -> list[Any]:
    missing = [name for name in said.names if name not in (parameters or {})]
    if missing:
        raise StatementError(f"The statement needs a value for {', '.join(missing)}.")
    return [(parameters or {})[name] for name in said.names]


def _frame(columns: Sequence[tuple[str, int]], rows: Sequence[Sequence[Any]]) -> "pl.DataFrame":
    """Rows as a frame with the types that DuckDB would give: numbers of any precision are integers or doubles."""
    import polars as pl

    kinds: dict[int, Any] = {
        16: pl.Boolean, 20: pl.Int64, 21: pl.Int16, 23: pl.Int32, 700: pl.Float32, 701: pl.Float64, 1082: pl.Date,
        1114: pl.Datetime("us"), 1184: pl.Datetime("us", "UTC"), 1005: pl.List(pl.Int16), 1007: pl.List(pl.Int32),
        1016: pl.List(pl.Int64), 1022: pl.List(pl.Float64), 1009: pl.List(pl.String),
    }  # fmt: skip
    series = []
    for place, (name, kind) in enumerate(columns):
        values = [row[place] for row in rows]
        if kind == 1700:
            values, typed = _numbers(values)
        else:
            typed = kinds.get(kind, pl.String)
        series.append(pl.Series(name, values, dtype=typed, strict=True))
    return pl.DataFrame(series)


def _numbers(values: list[Any]) -> tuple[list[Any], Any]:
    """Numerics as whole numbers where all of them are declared so, such as sums of integers; else as doubles."""
    import polars as pl

    whole = any(value is not None for value in values) and all(
        value is None or value.as_tuple().exponent == 0 for value in values
    )
    if whole:
        return [None if value is None else int(value) for value in values], pl.Int64
    return [None if value is None else float(value) for value in values], pl.Float64
