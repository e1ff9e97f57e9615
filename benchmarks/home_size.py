"""Does a home stop growing once only its newest turns are kept? Turn 60 against turn 20, with FLYWHEEL_KEEP_TURNS=12.

Here: sixty turns of the whole graph in one home, and the size of each part of it on the way.
Not here: the wheel (timed_wheel), how long a turn takes (history).
"""

import tempfile
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from benchmarks.report import Row, measured, write
from benchmarks.timed_wheel import TimedWheel

TURNS, EARLY = 60, 20
KEEP = 12
SUBJECTS, EXPOSURES = 200, 20_000
GOAL = 1.2
PARTS: Mapping[str, tuple[str, ...]] = {
    "warehouse": ("warehouse.duckdb",),
    "Dagster's records": ("dagster",),
    "MLflow": ("mlflow.db", "mlartifacts"),
    "landed files": ("landing",),
    "outbox": ("outbox",),
}


def main(turns: int = TURNS, early: int = EARLY, keep: int = KEEP) -> None:
    """Turn that many times, and write the sizes at the turn `early` and at the last one."""
    started = time.perf_counter()
    sizes: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as home:
        wheel = TimedWheel(Path(home), SUBJECTS, EXPOSURES, first_turn=date(2024, 1, 1), keep_turns=keep)
        for number in range(1, turns + 1):
            turn = wheel.turn(number)
            wheel.produce(turn)
            wheel.play(turn)
            wheel.learn(turn)
            sizes[number] = sizes_of(Path(home))
            shown = ", ".join(f"{part} {size:.1f}" for part, size in sizes[number].items())
            print(f"  {number}/{turns}: {shown} MB", flush=True)
    write("home_size", rows_of(sizes[early], sizes[turns], early, turns, keep), time.perf_counter() - started)


def rows_of(before: Mapping[str, float], after: Mapping[str, float], early: int, turns: int, keep: int) -> list[Row]:
    """The whole home against the goal, and each of its parts."""
    what = f"home after {turns} turns of {SUBJECTS} subjects and {EXPOSURES:,} exposures, {keep} kept"
    peer = f"after {early}"
    whole = measured(what, sum(after.values()), "MB", peer=sum(before.values()), peer_name=peer, goal=GOAL)
    return [whole, *(measured(f"{part} of it", after[part], "MB", peer=before[part], peer_name=peer) for part in after)]


def sizes_of(home: Path) -> dict[str, float]:
    """Megabytes on disk of each part of a home."""
    found = {part: sum(size_of(home / name) for name in names) for part, names in PARTS.items()}
    return {**found, "all else": size_of(home) - sum(found.values())}


def size_of(path: Path) -> float:
    """Megabytes that a file or a folder takes."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files) / 2**20


if __name__ == "__main__":
    main()
