"""What taking event files in costs, against the bare statement that copies the same file into a table.

Here: one and ten million events, each measured in a process of its own. Not here: what a turn costs (turn, scale).

Ingestion reads, checks every row against the release, tells duplicates, pseudonymises units and stores; the bare
statement only stores, so a ratio above 1 is the price of all the rest.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb

from benchmarks.report import Row, measured, write
from orchestration.testing.landed_events import FIRST, LOOPS, Shop

SUBJECTS = 200
ROOT = Path(__file__).resolve().parent.parent
SIZES = (("parquet", 1_000_000, 3), ("ndjson", 1_000_000, 3), ("csv", 1_000_000, 3), ("parquet", 10_000_000, 1))
MOST_GB = 6.0

EVENTS = """
    select
        'e-' || md5(i::varchar) as event_id,
        case when i % 10 = 0 then 'click' else 'exposure' end as event_type,
        'content' as loop,
        's' || (hash(i) % {subjects}) as subject_id,
        's' || (hash(i) % {subjects}) || '-v' || (hash(i * 7) % 4) as variant_id,
        'visitor-' || (hash(i * 13) % {units}) as unit_id,
        ['new', 'loyal', 'lapsed'][1 + (hash(i * 5) % 3)::integer] as segment,
        strftime(timestamp '{first}' + to_seconds((hash(i * 3) % 604800)::integer), '%Y-%m-%dT%H:%M:%SZ')
            as occurred_at,
        null::double as value,
        0.25 as propensity,
        true as simulated
    from range({rows}) as numbers(i)"""


def main(sizes: Sequence[tuple[str, int, int]] = SIZES) -> None:
    started = time.perf_counter()
    rows: list[Row] = []
    for suffix, events, times in sizes:
        rows += compared(suffix, events, times)
    write("ingestion", rows, time.perf_counter() - started)


def compared(suffix: str, events: int, times: int) -> list[Row]:
    """Rows of the report for a file of that many events, each side measured `times` times in turn."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"events.{suffix}"
        write_events(file, events)
        ours, bare, most = [], [], 0.0
        for _ in range(times):
            seconds, memory = _measured("ours", file)
            ours.append(seconds)
            most = max(most, memory)
            bare.append(_measured("bare", file)[0])
    what = f"{events:,} events as {suffix}"
    return [
        measured(what, ours, "s", peer=bare, peer_name="create table as select"),
        measured(f"{what}: peak memory", most, "GB", goal=MOST_GB),
    ]


def write_events(file: Path, events: int) -> None:
    """Write a turn's events of 200 subjects and three times fewer units than events."""
    select = EVENTS.format(subjects=SUBJECTS, units=max(1, events * 3 // 10), first=FIRST, rows=events)
    form = {"ndjson": "json", "csv": "csv", "parquet": "parquet"}[file.suffix[1:]]
    with duckdb.connect() as connection:
        connection.execute(f"copy ({select}) to '{file}' (format {form})")


def ours(file: Path, folder: Path) -> float:
    """Seconds to take `file` in, in a new home."""
    shop = Shop(folder).release(FIRST, subjects=SUBJECTS)
    (shop.events_folder / file.name).hardlink_to(file)
    start = time.perf_counter()
    (report,) = shop.landing.ingest_events(loops=LOOPS, run_id="benchmark", progress=lambda _: None)
    seconds = time.perf_counter() - start
    if report.accepted != report.read:
        raise RuntimeError(f"Every event should have been accepted: {report}")
    return seconds


def bare(file: Path, folder: Path) -> float:
    """Seconds to copy `file` into a table of a new database."""
    start = time.perf_counter()
    with duckdb.connect(folder / "bare.duckdb") as connection:
        connection.execute(f"create table events as from '{file}'")
    return time.perf_counter() - start


def _measured(side: str, file: Path) -> tuple[float, float]:
    """Seconds and peak memory in GB of one side, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ingestion", side, str(file)]
    said = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds, memory = json.loads(said.splitlines()[-1])
    return seconds, memory


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        with tempfile.TemporaryDirectory(dir=Path(sys.argv[2]).parent) as scratch:
            spent = {"ours": ours, "bare": bare}[sys.argv[1]](Path(sys.argv[2]), Path(scratch))
        print(json.dumps([spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9]))
