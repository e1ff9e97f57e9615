"""A landed file as the temporary relation `arrived`: one typed row per row of the file.

Here: opening NDJSON, CSV and Parquet, refusing a file whose schema has changed, and looking at a sample of one.
Not here: bytes (landing.landed_bytes), what becomes of rows (landing.intake) and files as such (landing.folder).

A text file is turned into Parquet slab by slab, in a hidden folder beside it, and read from there: rows of any number
then take little memory, and every later step reads only the columns it needs.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.landing.landed_bytes import FileRefusedError, as_text
from orchestration.landing.landed_text import first_lines, slabs
from orchestration.landing.rules import rows
from orchestration.landing.rules.columns import Column, literal, quoted

if TYPE_CHECKING:
    import duckdb
    import polars as pl

__all__ = [
    "Arrival",
    "FileForm",
    "FileRefusedError",
    "Progress",
    "Sample",
    "arrive",
    "is_damaged",
    "read_whole",
    "sample",
]

Progress = Callable[[str], object]
OfFound = Callable[[Sequence[str]], Sequence[Column]]
"""From the columns that a file has to those that are read of it."""
_SAMPLE = 2_000
_SAMPLE_BYTES = 4 << 20


@dataclass(frozen=True)
class Arrival:
    """What stands in `arrived`: `read` rows, from a file with the columns `found`, of which `columns` were read.
    `before` rows are counted in front of the first one: the header of CSV."""

    read: int
    found: tuple[str, ...]
    before: int = 0
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True)
class FileForm:
    """What is declared of a file beside its columns: whether a quoted field of CSV may hold line breaks, what separates
    fields (found out when None), and which columns are read where that depends on those that the file has."""

    breaks_in_fields: bool = False
    separator: str | None = None
    of_found: OfFound | None = None

    def columns(self, declared: Sequence[Column], found: Sequence[str]) -> tuple[Column, ...]:
        return tuple(self.of_found(found) if self.of_found else declared)


LINES_ALONE = FileForm()


@dataclass(frozen=True)
class Sample:
    """The first rows of a file: how many were looked at, and how many of them cannot be read, by problem."""

    rows: int
    problems: Mapping[str, int]


@contextmanager
def arrive(
    connection: "duckdb.DuckDBPyConnection",
    path: Path,
    columns: Sequence[Column],
    *,
    progress: Progress,
    form: FileForm = LINES_ALONE,
) -> Iterator[Arrival]:
    """Put the rows of `path` into `arrived`, for as long as the block runs.

    One block at a time in a folder: it clears away what a killed process has left. Raises FileRefusedError when a
    required column is missing, or missing from every row of NDJSON, and when the file is none of its kind.
    """
    scratch = path.with_name(f".{path.name}.arrived")
    for left in path.parent.glob(".*.arrived"):  # by a process that was killed
        shutil.rmtree(left)
    scratch.mkdir()
    try:
        yield _arrived(connection, path, scratch, columns, progress, form)
    finally:
        shutil.rmtree(scratch)


def read_whole(path: Path, columns: Sequence[Column]) -> "tuple[pl.DataFrame, Arrival]":
    """All rows of a file of modest size, wherever it lies: `_line` from 1, `_problem` and the columns.

    Raises as `arrive`.
    """
    with tempfile.TemporaryDirectory() as scratch, _in_memory() as connection:
        arrival = _arrived(connection, path, Path(scratch), columns, lambda _: None, FileForm(breaks_in_fields=True))
        return connection.execute("from arrived order by _line").pl(), arrival


def sample(path: Path, columns: Sequence[Column], form: FileForm = LINES_ALONE) -> Sample:
    """What becomes of reading the first rows of a file; it is left as it is. Raises as `arrive`."""
    with tempfile.TemporaryDirectory() as scratch, _in_memory() as connection:
        landed = as_text(path, Path(scratch), _SAMPLE_BYTES)
        start = landed.path
        if landed.form != "parquet":
            start = Path(scratch) / f"start.{landed.form}"
            with landed.path.open("rb") as whole:
                lines = whole.readlines(_SAMPLE_BYTES)[: _SAMPLE + 2]
            if landed.path.stat().st_size >= _SAMPLE_BYTES and not lines[-1].endswith(b"\n"):
                lines.pop()  # it may have been cut off
            start.write_bytes(b"".join(lines))
        _arrived(connection, start, Path(scratch), columns, lambda _: None, form)
        found = connection.execute(
            f"select _problem, count(*) from (from arrived limit {_SAMPLE}) group by all order by 2 desc, 1"
        ).fetchall()
    return Sample(sum(count for _, count in found), {problem: count for problem, count in found if problem})


def _arrived(
    connection: "duckdb.DuckDBPyConnection",
    path: Path,
    scratch: Path,
    columns: Sequence[Column],
    progress: Progress,
    form: FileForm,
) -> Arrival:
    def told(line: str) -> None:
        progress(f"{path.name}: {line}")

    landed = as_text(path, scratch)
    if landed.told:
        told(landed.told)
    before = 0
    match landed.form:
        case "parquet":
            types = _types(connection, landed.path)
            found = list(types)
            columns = form.columns(columns, found)
            _parquet(connection, landed.path, columns, types)
        case "csv":
            header = rows.header_of(first_lines(landed.path), columns, form.separator)
            found, before = list(header.names), header.line
            columns = form.columns(columns, found)
            _csv(connection, landed.path, scratch, columns, header, told, form.breaks_in_fields)
        case "ndjson":
            found = _keys(landed.path, chunks=None if form.of_found else 1)
            columns = form.columns(columns, found)
            _ndjson(connection, landed.path, scratch, columns, told, found)
    return Arrival(_count(connection, "arrived"), tuple(found), before, tuple(columns))


def is_damaged(path: Path) -> bool:
    """Whether a Parquet file cannot be read to its end."""
    import duckdb

    with _in_memory() as connection:
        try:
            connection.execute("select bit_xor(hash(file)) from read_parquet($path) as file", {"path": str(path)})
        except duckdb.Error:
            return True
    return False


def _parquet(
    connection: "duckdb.DuckDBPyConnection", path: Path, columns: Sequence[Column], types: Mapping[str, str]
) -> None:
    _refuse(rows.changed_schema(columns, list(types), types))
    connection.execute(f"create temp view arrived as {rows.of_parquet(str(path), columns, types)}")


def _csv(
    connection: "duckdb.DuckDBPyConnection",
    path: Path,
    scratch: Path,
    columns: Sequence[Column],
    header: rows.Header,
    progress: Progress,
    breaks_in_fields: bool,
) -> None:
    _refuse(rows.changed_schema(columns, header.names))
    if not breaks_in_fields:
        _through_parquet(connection, path, scratch, columns, rows.of_csv(columns, header), progress)
        return
    connection.execute("create temp table texts (line bigint, text varchar)")
    for slab in slabs(path):
        connection.register("lines", slab)
        connection.execute("insert into texts from lines")
        connection.unregister("lines")
    connection.execute(f"create temp table records as {rows.csv_records(header, 'texts')}")
    connection.execute(f"create temp table arrived as {rows.of_csv(columns, header, 'records')}")


def _ndjson(
    connection: "duckdb.DuckDBPyConnection",
    path: Path,
    scratch: Path,
    columns: Sequence[Column],
    progress: Progress,
    found: Sequence[str],
) -> None:
    _through_parquet(connection, path, scratch, columns, rows.of_ndjson(columns), progress)
    if found:
        counted = ", ".join(f"count({quoted(column.name)})" for column in columns)
        counts = connection.execute(f"select {counted} from arrived").fetchone() or ()
        present = {column.name for column, count in zip(columns, counts, strict=True) if count}
        _refuse(rows.changed_schema(columns, sorted({*found, *present})))


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
            progress(f"{read:,} lines read")
    if parts:
        connection.execute(f"create temp view arrived as from read_parquet([{', '.join(parts)}])")
    else:
        connection.execute(rows.none(columns))


def _keys(path: Path, chunks: int | None = 1) -> list[str]:
    """Keys of the objects at the start of the file; of all of them when `chunks` is None."""
    most = "" if chunks is None else f"limit {_SAMPLE}"
    found: set[str] = set()
    with _in_memory() as reader:
        for slab in slabs(path) if chunks is None else islice(slabs(path, chunks=chunks), 1):
            reader.register("lines", slab)
            keys = reader.execute(f"""
                select distinct unnest(json_keys(text)) as key from (
                    select text from lines
                    where case when json_valid(text) then json_type(text) = 'OBJECT' else false end {most}
                )""").fetchall()
            reader.unregister("lines")
            found.update(key for (key,) in keys)
    return sorted(found)


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
