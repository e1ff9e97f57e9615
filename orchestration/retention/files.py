"""Landed files and files of the outbox that no kept turn needs.

Here: which ones those are, by the manifest and the rows that came from them, and removing them.
Not here: the rows themselves (rows).

A file that is not in the manifest as it lies there is never touched: nothing of it may have been taken in.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from orchestration.turns import Calendar, Turn
from orchestration.warehouse.protocol import Warehouse

# Per file, whether a row of it is still needed: facts in force or used by a kept turn, events of a kept turn.
UNNEEDED = """
    with in_force as (
        select loop, subject_id, max(landed_order) as landed_order
        from flywheel.landed_subjects group by loop, subject_id
    ),
    needed as (
        select s.file_hash from flywheel.landed_subjects as s
        join in_force using (loop, subject_id, landed_order)
        union
        select s.file_hash from flywheel.landed_subjects as s
        join flywheel.subjects as u on u.loop = s.loop and u.subject_id = s.subject_id and u.version = s.version
        where u.turn >= $first
        union
        select file_hash from flywheel.events where turn >= $first
        union
        select l.file_hash from flywheel.landed_reviews as l
        where not exists (
            select 1 from flywheel.reviews as r
            where r.loop = l.loop and r.candidate_id = l.candidate_id and r.decided_by = 'person' and r.turn < $first
        )
        union
        select file_hash from flywheel.landed_documents
    )
    select f.name, f.bytes, f.modified_ns from flywheel.landed_files as f
    where f.accepted > 0 and not exists (select 1 from needed as n where n.file_hash = f.file_hash)
    order by f.name
"""


def unneeded_landed(warehouse: Warehouse, landing: Path, first: date) -> Iterator[Path]:
    """Files below landing/ that were taken in as they lie there, and of which turns from `first` on need no row."""
    for name, size, modified_ns in warehouse.read(UNNEEDED, {"first": first.isoformat()}).iter_rows():
        path = landing / name
        if not path.is_file():
            continue
        stat = path.stat()
        if (stat.st_size, stat.st_mtime_ns) == (size, modified_ns):
            yield path


def unneeded_outbox(outbox: Path, first: date, calendar: Calendar) -> Iterator[Path]:
    """Files of turns before `first`: an application reads the newest, and a release can be written again."""
    for path in sorted(outbox.glob("*/*.ndjson")) if outbox.is_dir() else []:
        try:
            turn = Turn.of(path.stem, calendar)
        except ValueError:
            continue
        if turn.first_day < first:
            yield path
