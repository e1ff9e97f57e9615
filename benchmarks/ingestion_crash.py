"""Ingestion killed with SIGKILL: what a second attempt makes of it.

Here: a process that takes files in and stops at a stage until it is killed, and the comparison with one left alone.
Not here: kills in generation and in the warehouse's write of a turn (crash).

`python -m benchmarks.ingestion_crash HOME STAGE` is that process; it prints `reached` when it has come to the stage.
"""

import subprocess
import sys
import time
from pathlib import Path

from orchestration.testing.landed_events import FIRST, LOOPS, SECOND, Shop, as_ndjson, broken_lines, event

STAGES = ("lines read", "events decided on", "units pseudonymised", "events written")
"""What ingestion tells on its way through one file, up to the moment before the transaction is kept."""
EVENTS = 20_000
ROOT = Path(__file__).resolve().parent.parent


def prepared(home: Path, events: int = EVENTS) -> Shop:
    """A shop in which two overlapping files have landed, a broken line in every ten."""
    shop = Shop(home).release(FIRST, SECOND)
    broken = [line + b"\n" for line, _ in broken_lines(events // 10)]
    for name, start in (("a", 0), ("b", events // 2)):
        rows = [event(number, FIRST if number % 3 else SECOND) for number in range(start, start + events)]
        (shop.events_folder / f"{name}.ndjson").write_bytes(as_ndjson(rows) + b"".join(broken))
    return shop


def rows_of(shop: Shop) -> dict[str, list[tuple]]:
    """Everything that ingestion stored, without the moments at which it did."""
    tables = {
        "events": "* exclude (ingested_at)",
        "quarantine": "*",
        "landed_files": "* exclude (ingested_at, run_id, modified_ns, changed_ns)",
    }
    return {
        table: shop.warehouse.read(f"select {columns} from flywheel.{table} order by all").rows()
        for table, columns in tables.items()
    }


def killed_at(home: Path, stage: str) -> None:
    """Take in what has landed in another process, and kill it when it comes to `stage` of its first file.

    Raises RuntimeError with what the process said when it ends by itself.
    """
    command = [sys.executable, "-m", "benchmarks.ingestion_crash", str(home), stage]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        said: list[str] = []
        for line in process.stdout or ():
            said.append(line)
            if line.strip() == "reached":
                process.kill()
                return
    raise RuntimeError(f"Ingestion never came to {stage!r}: {''.join(said)[-2_000:]}")


def killed_after(home: Path, seconds: float) -> bool:
    """Take in what has landed in another process, and kill it that long after it started; whether it still ran."""
    command = [sys.executable, "-m", "benchmarks.ingestion_crash", str(home), "start"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if line.strip() == "reached":
                break
        time.sleep(seconds)
        running = process.poll() is None
        process.kill()
    return running


def ingest(shop: Shop, stage: str = "") -> None:
    """Take in what has landed. With a stage, wait for the end when it is reached; `start` only tells of the start."""

    def told(message: str) -> None:
        if stage and stage in message:
            print("reached", flush=True)
            time.sleep(3_600)

    if stage == "start":
        print("reached", flush=True)
    shop.landing.ingest_events(loops=LOOPS, run_id="run", progress=told)


if __name__ == "__main__":
    ingest(Shop(Path(sys.argv[1])), sys.argv[2])
