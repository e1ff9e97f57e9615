"""Replaying the published headline tests, and a log in which rows cannot be true.

Here: seconds, order, records of decisions, clicks gained; and what becomes of a thousand broken rows of a kind.
Not here: the replay (commands.replay) and what is learned beyond what it shows (learning).
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import polars as pl
from rich.console import Console

from benchmarks.report import Row, measured, write
from benchmarks.upworthy import upworthy_file
from orchestration.commands.replay import SUMMARY, run_replay
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from orchestration.worlds.replayed.logged_tests import read_logged_tests

SECONDS = 300.0
BROKEN = 1_000
Arm = dict[str, object]


def main() -> None:
    started = time.perf_counter()
    rows = list(_broken_rows())
    file = upworthy_file()
    if file is None:
        print("replay: the published tests are left out, no data sets (FLYWHEEL_DATA)", flush=True)
    else:
        rows = [*_published(file), *rows]
    write("replay", rows, time.perf_counter() - started)


def _published(file: Path) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        run_replay(home, file, "upworthy", Console(), units=1_000, turns_in_force=1, seed=7)
        summary = json.loads((home / SUMMARY).read_text())
        held = DuckDBWarehouse(home / "warehouse.duckdb").read(
            "select turn::varchar as turn, count(*) as conditions from flywheel.promotion_conditions group by all"
        )
    turns = summary["turns"]
    met = [turn for turn in turns if turn["refused"] is None]
    conditions = dict(held.iter_rows())
    unrecorded = sum(turn["reason"] is None or not conditions.get(turn["turn"]) for turn in met)
    total = summary["total"]
    what = f"{len(turns)} weeks of headline tests"
    yield measured(f"{what}: replayed in", summary["seconds"], "s", goal=SECONDS)
    out_of_order = sum(one >= other for one, other in pairwise(turn["turn"] for turn in turns))
    yield measured(f"{what}: turns out of order", out_of_order, "turns", goal=0)
    yield measured(f"{what}: refused for their sample ratio", len(turns) - len(met), "turns")
    yield measured(f"{what}: decisions without a record", unrecorded, "turns", goal=0)
    yield measured(f"{what}: promotions", sum(bool(turn["promoted"]) for turn in met), "policies")
    yield _gained(f"{what}: clicks over even shares", total)
    promoted = min((turn["turn"] for turn in met if turn["promoted"]), default=None)
    if promoted:
        after = [turn for turn in met if turn["turn"] > promoted]
        yield measured(
            f"{what}: clicks over even shares since the first promotion",
            100 * sum(turn["gained"] for turn in after) / sum(turn["clicks_even"] for turn in after),
            "%",
        )


def _gained(what: str, gain: dict[str, float]) -> Row:
    low, middle, high = (100 * gain[name] / gain["clicks_even"] for name in ("gained_low", "gained", "gained_high"))
    return Row(what, ours=middle, unit="%", low=low, high=high)


BREAKS: dict[str, Callable[[list[Arm]], list[Arm]]] = {
    "the test's other arms are missing": lambda arms: arms[:1],
    "a count is negative": lambda arms: [{**arms[0], "rewards": -1}, *arms[1:]],
    "more responses than units that could respond": lambda arms: [{**arms[0], "rewards": 10_000}, *arms[1:]],
    "the same row stands further up": lambda arms: [*arms, arms[-1]],
    "the text is missing": lambda arms: [{**arms[0], "text": ""}, *arms[1:]],
    "a count is missing or no whole number": lambda arms: [{**arms[0], "units": None}, *arms[1:]],
}


def _broken_rows() -> Iterator[Row]:
    """A log of good tests with BROKEN tests of each kind among them; every refusal with its row and reason."""
    log: list[Arm] = []
    expected: dict[int, str] = {}
    good = 0
    for kind, (reason, broken) in enumerate(BREAKS.items()):
        for number in range(BROKEN):
            sound, bad = (_arms(f"{state} {kind} {number}") for state in ("good", "bad"))
            good += 1
            log += sound
            made = broken(bad)
            place = len(made) - 1 if reason == "the same row stands further up" else 0
            expected[len(log) + place + 1] = reason
            log += made
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "log.csv"
        pl.DataFrame(log, infer_schema_length=None).write_csv(file)
        read = read_logged_tests(file, "tests")
    found = {refusal.row: refusal.reason for refusal in read.refusals}
    what = f"{len(expected):,} tests broken in {len(BREAKS)} ways"
    wrong = sum(found.get(row) != reason for row, reason in expected.items()) + len(set(found) - set(expected))
    yield measured(f"{what}: not refused with their row and reason", wrong, "rows", goal=0)
    yield measured(f"{what}: good tests lost", good - read.arms["group"].n_unique(), "tests", goal=0)


def _arms(test: str) -> list[Arm]:
    seed = sum(map(ord, test))
    return [
        {
            "test": test,
            "started_at": "2026-01-05",
            "text": f"Text {place} of {test}",
            "units": 1_000 + (seed * place) % 97,
            "rewards": 20 + (seed * place) % 13,
        }
        for place in (1, 2, 3)
    ]


if __name__ == "__main__":
    main()
