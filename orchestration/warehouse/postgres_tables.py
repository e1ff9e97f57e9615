"""The flywheel's tables in a Postgres database: made once, or brought up to date, by whichever process comes first.

Here: types, indexes, helper functions, and refusing a database that orders text otherwise than DuckDB.
Not here: what the tables mean (tables), rows (postgres).
"""

from typing import TYPE_CHECKING, Any

from orchestration.tables import SCHEMA, TABLES
from orchestration.warehouse.dialect import HELPERS
from orchestration.warehouse.partitions import lacking
from orchestration.warehouse.postgres_connection import told
from orchestration.warehouse.protocol import WarehouseError

if TYPE_CHECKING:
    import psycopg

TYPES = {
    "VARCHAR": "text",
    "BIGINT": "bigint",
    "INTEGER": "integer",
    "DOUBLE": "double precision",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "TIMESTAMP": "timestamp",
}
"""A declared column's type there."""
_COLUMNS = """
    select c.relname, a.attname from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    join pg_attribute as a on a.attrelid = c.oid
    where n.nspname = $1 and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
"""
_IN_ORDER = ("C", "POSIX", "C.UTF-8", "C.UTF8", "UCS_BASIC")


def make_tables(connection: "psycopg.Connection[Any]", name: str) -> None:
    """Make the tables that are missing, and in those of an earlier version the columns that they lack.

    `name` is the database in messages.
    Raises WarehouseError, naming the remedy, for a database that orders text by a language.
    """
    with told():
        _refuse_other_orders(connection, name)
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(hashtextextended($1, 0))", [f"{SCHEMA} tables"])
            found = connection.execute(_COLUMNS, [SCHEMA]).fetchall()
            missing = list(lacking(found))
            if not missing:
                return
            present = {table for table, _ in found}
            connection.execute(f"create schema if not exists {SCHEMA}")
            for table, column, kind in missing:
                if table.name in present:
                    connection.execute(f"alter table {table.qualified} add column {column} {TYPES[kind]}")
            for table in TABLES.values():
                columns = ", ".join(f"{column} {TYPES[kind]}" for column, (kind, _) in table.columns.items())
                connection.execute(f"create table if not exists {table.qualified} ({columns})")
                by = [column for column in ("turn", "loop") if column in table.columns]
                if by:
                    index = f"{table.name}_by_{'_'.join(by)}"
                    connection.execute(f"create index if not exists {index} on {table.qualified} ({', '.join(by)})")
            for helper in HELPERS:
                connection.execute(helper)


def _refuse_other_orders(connection: "psycopg.Connection[Any]", name: str) -> None:
    """Where text is ordered by a language, rows come in another order than in DuckDB, and ties fall otherwise."""
    row = connection.execute(
        "select datcollate, pg_encoding_to_char(encoding) from pg_database where datname = current_database()"
    ).fetchone()
    collation, encoding = row or ("", "")
    if collation.upper() not in _IN_ORDER or encoding != "UTF8":
        raise WarehouseError(
            f"The {name} orders text by {collation} in {encoding}; turns repeat only where text is ordered by its "
            "bytes. Make one: create database NAME template template0 encoding 'UTF8' lc_collate 'C' "
            "lc_ctype 'C.UTF-8'."
        )
