"""A landed file as the temporary relation `arrived`: one typed row per row of the file.

Here: opening NDJSON, CSV and Parquet, and refusing a file whose schema has changed.
Not here: what becomes of the rows (landing.intake) and the files as such (landing.folder).

A text file is turned into Parquet slab by slab, in a hidden folder beside it, and read from there: rows of any number
then take little memory, and every later step reads only the columns it needs.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.landing.landed_text import first_line, slabs
from orchestration.landing.rules import rows
from orchestration.landing.rules.columns import Column, literal, quoted

if TYPE_CHECKING:
    import duckdb

Progress = Callable[[str], object]
SUFFIXES = (".ndjson", ".csv", ".parquet")
_SAMPLE = 2_000


class FileRefusedError(ValueError):
    """A landed file cannot be taken in as a whole; the message says why and what to do."""


@dataclass(frozen=True)
class Arrival:
    """What stands in `arrived`: `read` rows, from a file with the columns `found`."""

    read: int
    found: tuple[str, ...]


@contextmanager
def arrive(
    connection: "duckdb.DuckDBPyConnection",
    path: Path,
    columns: Sequence[Column],
    *,
    progress: Progress,
    breaks_in_fields: bool = False,
) -> Iterator[Arrival]:
    """Put the rows of `path` into `arrived`, for as long as the block runs.

    One block at a time in a folder: it clears away what a killed process has left. `breaks_in_fields` lets a quoted
    field of CSV hold line breaks. Raises FileRefusedError when a required column is missing, or missing from every row
    of NDJSON, and when the file is none of its kind.
    """
    scratch = path.with_name(f".{path.name}.arrived")
    for left in path.parent.glob(".*.arrived"):  # by a process that was killed
        shutil.rmtree(left)
    scratch.mkdir()
    try:
        match path.suffix:
            case ".parquet":
                found = _parquet(connection, path, columns)
            case ".csv":
                found = _csv(connection, path, scratch, columns, progress, breaks_in_fields)
            case ".ndjson":
                found = _ndjson(connection, path, scratch, columns, progress)
            case _:
                raise FileRefusedError(_OTHER)
        yield Arrival(_count(connection, "arrived"), tuple(found))
    finally:
        shutil.rmtree(scratch)


def schema_problem(path: Path, columns: Sequence[Column]) -> str | None:
    """What `arrive` would refuse the file for, from its header or, for NDJSON, its first rows; None when nothing."""
    try:
        match path.suffix:
            case ".parquet":
                with _in_memory() as connection:
                    types = _types(connection, path)
                return rows.changed_schema(columns, list(types), types)
            case ".csv":
                return rows.changed_schema(columns, rows.header_of(first_line(path)))
            case ".ndjson":
                found = _keys(path)
                return rows.changed_schema(columns, found) if found else None
    except FileRefusedError as refusal:
        return str(refusal)
    return _OTHER


def is_damaged(path: Path) -> bool:
    """Whether a Parquet file cannot be read to its end."""
    import duckdb

    with _in_memory() as connection:
        try:
            connection.execute("select bit_xor(hash(file)) from read_parquet($path) as file", {"path": str(path)})
        except duckdb.Error:
            return True
    return False


def _parquet(connection: "duckdb.DuckDBPyConnection", path: Path, columns: Sequence[Column]) -> list[str]:
    types = _types(connection, path)
    _refuse(rows.changed_schema(columns, list(types), types))
    connection.execute(f"create temp view arrived as {rows.of_parquet(str(path), columns, types)}")
    return list(types)


def _csv(
    connection: "duckdb.DuckDBPyConnection",
    path: Path,
    scratch: Path,
    columns: Sequence[Column],
    progress: Progress,
    breaks_in_fields: bool,
) -> list[str]:
    header = rows.header_of(first_line(path))
    _refuse(rows.changed_schema(columns, header))
    if not breaks_in_fields:
        _through_parquet(connection, path, scratch, columns, rows.of_csv(columns, header), progress)
        return header
    connection.execute("create temp table texts (line bigint, text varchar)")
    for slab in slabs(path):
        connection.register("lines", slab)
        connection.execute("insert into texts from lines")
        connection.unregister("lines")
    connection.execute(f"create temp table records as {rows.csv_records(len(header), 'texts')}")
    connection.execute(f"create temp table arrived as {rows.of_csv(columns, header, 'records')}")
    return header


def _ndjson(
    connection: "duckdb.DuckDBPyConnection",
    path: Path,
    scratch: Path,
    columns: Sequence[Column],
    progress: Progress,
) -> list[str]:
    _through_parquet(connection, path, scratch, columns, rows.of_ndjson(columns), progress)
    found = _keys(path)
    if found:
        counted = ", ".join(f"count({quoted(column.name)})" for column in columns)
        counts = connection.execute(f"select {counted} from arrived").fetchone() or ()
        present = {column.name for column, count in zip(columns, counts, strict=True) if count}
        _refuse(rows.changed_schema(columns, sorted({*found, *present})))
    return found


def _through_parquet(
    connection: "duckdb.DuckDBPyConnection",
    path: Path,
    scratch: Path,
    columns: Sequence[Column],
    select: str,
    progress: Progress,
) -> None:
    """Make `arrived` of `select` over the file's `lines`, one part a slab."""
    read = 0
    parts: list[str] = []
    # Not on the warehouse's connection: what is registered in a transaction is held in memory until it ends.
    with _in_memory() as reader:
        for slab in slabs(path):
            part = literal(str(scratch / f"{len(parts)}.parquet"))
            reader.register("lines", slab)
            reader.execute(f"copy ({select}) to {part} (format parquet)")
            reader.unregister("lines")
            parts.append(part)
            read += slab.num_rows
            progress(f"{path.name}: {read:,} lines read")
    if parts:
        connection.execute(f"create temp view arrived as from read_parquet([{', '.join(parts)}])")
    else:
        connection.execute(rows.none(columns))


def _keys(path: Path) -> list[str]:
    """Keys of the objects at the start of the file."""
    slab = next(slabs(path, chunks=1), None)
    if slab is None:
        return []
    with _in_memory() as reader:
        reader.register("lines", slab)
        keys = reader.execute(f"""
            select distinct unnest(json_keys(text)) as key from (
                select text from lines where case when json_valid(text) then json_type(text) = 'OBJECT' else false end
                limit {_SAMPLE}
            ) order by key""").fetchall()
    return [key for (key,) in keys]


def _in_memory() -> "duckdb.DuckDBPyConnection":
    import duckdb

    connection = duckdb.connect(config={"preserve_insertion_order": False})  # rows carry their line
    connection.execute("set timezone = 'UTC'")
    return connection


def _types(connection: "duckdb.DuckDBPyConnection", path: Path) -> dict[str, str]:
    import duckdb

    try:
        described = connection.execute("describe select * from read_parquet($path)", {"path": str(path)}).fetchall()
    except (duckdb.InvalidInputException, duckdb.IOException) as error:
        raise FileRefusedError("cannot be read as Parquet. Write it again, and land it again.") from error
    return {name: kind for name, kind, *_ in described}


def _count(connection: "duckdb.DuckDBPyConnection", table: str) -> int:
    counted = connection.execute(f"select count(*) from {table}").fetchone()
    return int(counted[0]) if counted else 0


def _refuse(problem: str | None) -> None:
    if problem:
        raise FileRefusedError(problem)


_OTHER = f"is none of {', '.join(SUFFIXES)}. Convert it, or take it out of the folder."
