"""The warehouse as everything above this room sees it: queries in, frames out, and changes kept whole or not at all.

Here: the protocol, a query with its parameters, and the errors that every engine raises alike.
Not here: the engines (duckdb_file, postgres), which of them is used (engines), what rows mean (assets, dbt_project).

SQL is written in DuckDB's dialect with `$named` parameters; every other engine translates it.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from orchestration.tables import Table

if TYPE_CHECKING:
    import duckdb
    import polars as pl

Parameters = Mapping[str, Any]


class WarehouseError(RuntimeError):
    """The warehouse could not do what was asked; the message names what, and never a password."""


class WarehouseBusyError(WarehouseError):
    """Another process held the warehouse for longer than FLYWHEEL_LOCK_TIMEOUT_S."""


class WarehouseUnreachableError(WarehouseError):
    """The warehouse that FLYWHEEL_WAREHOUSE names does not answer, or does not let this user in."""


class StatementError(WarehouseError):
    """A statement that the warehouse refuses: an unknown column, a type that does not fit, a value that is none."""


@dataclass(frozen=True)
class Query:
    """A SELECT and its `$named` parameters, for rows that need not pass through Python."""

    sql: str
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True)
class DbtTarget:
    """Where dbt builds: an output of profiles.yml, the database's name there, and the variables that it reads."""

    output: str
    database: str
    environment: Mapping[str, str] = field(repr=False)

    @property
    def key(self) -> tuple[str, str]:
        return self.output, self.database

    @property
    def for_parsing(self) -> "DbtTarget":
        """The same without where it lies: that would void a partial parse, and parsing opens no warehouse."""
        variables = {"FLYWHEEL_WAREHOUSE_FILE": f"{self.database}.duckdb", "PGDATABASE": self.database}
        return DbtTarget(self.output, self.database, {**dict.fromkeys(self.environment, "0"), **variables})


class Statements(Protocol):
    """What can be asked of an open warehouse. Statements see each other's changes."""

    def read(self, sql: str, parameters: Parameters | None = None) -> "pl.DataFrame":
        """Rows of a query. Raises StatementError when the warehouse refuses it."""

    def rows(self, table: Table, *, turn: str | None = None, loop: str | None = None) -> "pl.DataFrame":
        """Rows of `table`, of one turn and one loop where given, in the order of its columns."""

    def replace(
        self, table: Table, rows: "pl.DataFrame | Query", *, turn: str | None = None, loop: str | None = None
    ) -> int:
        """Put `rows` in the place of the partition's rows, in one transaction; how many there are now.

        A table without turns is replaced for the loop alone. Raises ValueError naming the columns when a frame has
        not exactly those of the table.
        """

    def append(self, table: Table, rows: "pl.DataFrame") -> None:
        """Add rows to a table of facts. Columns that the frame lacks are null."""

    def sampled(self, query: Query, rows: int, seed: int) -> Query:
        """A query for at most `rows` rows of another, the same ones whenever it is asked with the same seed."""


class OpenWarehouse(Statements, Protocol):
    """A warehouse that is kept open, with what dbt's build needs to know of its views.

    `views_outlive_tables`: whether a view stands when a table that it reads is dropped and made anew.
    """

    views_outlive_tables: ClassVar[bool]

    def view_comments(self) -> dict[str, str]:
        """The comment on every view that has one, by `schema.name`."""

    def comment_on_view(self, view: str, comment: str) -> None:
        """Put a comment of letters and digits on the view `schema.name`."""


class IntakeSession(Protocol):
    """One landed file on its way in: DuckDB decides on its rows, whatever engine keeps them.

    What the statements on `connection` change in schema `flywheel` is kept in one transaction when the block ends
    well. Another engine's rows are there only as far as `bring` was asked for them.
    """

    @property
    def connection(self) -> "duckdb.DuckDBPyConnection": ...

    def read(self, sql: str, parameters: Parameters | None = None) -> "pl.DataFrame":
        """Rows of a query over the whole warehouse, as it stood before this session changed it."""

    def bring(self, table: Table, columns: tuple[str, ...], where: str, parameters: Parameters | None = None) -> None:
        """Have the rows of `table` under the condition `where` at hand on `connection`, at least these columns."""


class Warehouse(Statements, Protocol):
    """A place for the flywheel's tables. It is opened by each call anew, and by a block once for all inside it."""

    @property
    def name(self) -> str:
        """What it is called in messages: a file or a database, never a password."""

    def held_open(self) -> AbstractContextManager[OpenWarehouse]:
        """The warehouse kept open while the block runs, so that what is asked inside costs no opening."""

    def held_alone(self) -> AbstractContextManager[OpenWarehouse]:
        """The same, and whoever else asks for it alone waits: for work on tables that turns share."""

    def kept(self) -> AbstractContextManager[None]:
        """A run: opening the warehouse again costs nothing while the block runs, and others may come in between."""

    def transaction(self) -> AbstractContextManager[Statements]:
        """Changes that are kept all together, or not at all when the block raises."""

    def intake(self) -> AbstractContextManager[IntakeSession]:
        """A session for one landed file; a second one waits for the first to end."""

    def dbt_target(self, memory: str | None = None) -> DbtTarget:
        """How dbt reaches it; `memory` limits what an engine in this process takes."""

    def relations(self, schema: str) -> set[str]:
        """Names of the tables and views in a schema, none when there is no such schema."""
