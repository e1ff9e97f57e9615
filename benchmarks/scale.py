"""One and ten million exposures a turn: seconds, memory, and what bare DuckDB takes for the same marts.

Here: one turn of each size in a process of its own; ingestion and learning are measured apart.
Not here: the overhead at an ordinary size (turn), files in other formats (ingestion).

`python -m benchmarks.scale EXPOSURES HOME` is that process. The audience writes Parquet in a process before it, so
that its memory is not ours. Turn 1 is the small turn that warms the process up; turn 2 is measured.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks import bare_turn
from benchmarks.report import FOLDER, Row, measured, write
from benchmarks.timed_wheel import TimedWheel

SIZES = ((1_000_000, 3), (10_000_000, 1))
"""Exposures, and how often learning is measured; learning again replaces the same rows."""
SUBJECTS, SMALL = 200, 20_000
FACTS_AND_MARTS = ("events", "exposures", "outcomes", "kpis")
MOST_GB, MOST_TIMES_BARE = 6.0, 3.0


def main() -> None:
    started = time.perf_counter()
    found = {}
    for exposures, repetitions in SIZES:
        with tempfile.TemporaryDirectory() as home:
            for part in ("play", "learn", "bare"):
                said = _process(exposures, home, part, repetitions)
                found[exposures, part] = said
                print(f"  {exposures:,} exposures, {part}: {said}", flush=True)
    rows: list[Row] = []
    for exposures, _ in SIZES:
        learned, bare = found[exposures, "learn"], found[exposures, "bare"]
        what = f"{exposures:,} exposures (simulated)"
        rows += [
            measured(f"{what}: ingest", learned["ingest"], "s"),
            measured(
                f"{what}: learn, nothing pending",
                learned["learn"],
                "s",
                peer=bare["statements"],
                peer_name="bare DuckDB statements for the same facts and marts",
                goal=MOST_TIMES_BARE,
            ),
            measured(
                f"{what}: of it the steps that make the same facts and marts",
                learned["facts and marts"],
                "s",
                peer=bare["statements"],
                peer_name="the same statements",
                goal=MOST_TIMES_BARE,
            ),
            measured(f"{what}: peak memory", learned["gigabytes"], "GB", goal=MOST_GB),
        ]
    (small, _), (large, _) = SIZES
    for name in ("learn", "ingest"):
        rows.append(
            measured(
                f"{name} at {large:,} against {small:,} exposures",
                found[large, "learn"][name],
                "s",
                peer=found[small, "learn"][name],
                peer_name=f"{small:,} exposures",
                goal=large / small,
            )
        )
    write("scale", rows, time.perf_counter() - started)


def _process(exposures: int, home: str, part: str, repetitions: int) -> dict[str, list[float]]:
    command = [sys.executable, "-m", "benchmarks.scale", str(exposures), home, part, str(repetitions)]
    said = subprocess.run(command, cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True, check=True).stdout
    result: dict[str, list[float]] = json.loads(said.splitlines()[-1])
    return result


def play(wheel: TimedWheel, repetitions: int) -> dict[str, list[float]]:  # noqa: ARG001
    """A small turn, then the release of the large one and its audience."""
    small, large = wheel.turn(1), wheel.turn(2)
    replace(wheel, exposures=SMALL).produce(small)
    replace(wheel, exposures=SMALL).play(small)
    wheel.learn(small)
    produced = wheel.produce(large)
    return {"produce": [produced.seconds], "file rows": [float(wheel.play(large).file_rows)]}


def learn(wheel: TimedWheel, repetitions: int) -> dict[str, list[float]]:
    """Ingest, learn the small turn again, which loads what a run needs, and learn."""
    ingest = wheel.ingest()
    wheel.learn(wheel.turn(1))
    seconds, same = [], []
    for number in range(repetitions):
        learned = wheel.learn(wheel.turn(2))
        seconds.append(learned.seconds)
        same.append(sum(learned.steps[step] for step in FACTS_AND_MARTS))
        if number == 0:
            for step, took in sorted(learned.steps.items(), key=lambda item: -item[1])[:8]:
                print(f"    {took:6.2f} s  {step}", file=sys.stderr)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"ingest": [ingest.seconds], "learn": seconds, "facts and marts": same, "gigabytes": [peak]}


def bare(wheel: TimedWheel, repetitions: int) -> dict[str, list[float]]:
    """The bare statements, at least three times; raises RuntimeError when their totals are not those of the marts."""
    path, turn = wheel.settings.warehouse_path, wheel.turn(2).key
    seconds = [bare_turn.statements(path, turn) for _ in range(max(repetitions, 3))]
    if found := bare_turn.differences(path, turn):
        raise RuntimeError(f"The bare statements compute something else: {found}")
    return {"statements": seconds}


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        exposures, home, part, repetitions = sys.argv[1:]
        wheel = TimedWheel(Path(home), SUBJECTS, int(exposures))
        print(json.dumps({"play": play, "learn": learn, "bare": bare}[part](wheel, int(repetitions))))
