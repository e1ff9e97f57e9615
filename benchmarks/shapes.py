"""Benchmark `shapes`: does a loop learn however it is delivered, and is what it says of itself true?

Here: loops of each way of delivery turned through the real graph in simulated worlds whose truth is known.
Not here: the worlds (orchestration.worlds.simulated.shapes), the truth of a turn (shape_truth) and the graph. All
audiences and tests here are simulated.

A world is drawn anew for each seed. The true lift of a turn is that of the very answers it released: the mean true
worth of what was chosen over that of the holdout, within strata, with the weights of `momentum`.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.compounding import interval
from benchmarks.report import Row, measured, write
from benchmarks.simulated_decisions import returning
from orchestration.learning.policies.contextual import ContextualPolicy, fit_contextual
from orchestration.learning.proof.decision_comparison import increment_of_decisions
from orchestration.learning.proof.paired_estimate import looks
from orchestration.worlds.simulated.shapes import MOVES_AT_MOST

if TYPE_CHECKING:
    from orchestration.testing.turning import TurningLoops
    from orchestration.worlds.simulated.shapes import Shape

SEEDS = int(os.environ.get("FLYWHEEL_BENCH_SEEDS", "20"))
PROCESSES = int(os.environ.get("FLYWHEEL_BENCH_PROCESSES", str(os.cpu_count() or 1)))
FLYWHEELS = int(os.environ.get("FLYWHEEL_BENCH_FLYWHEELS", "100"))
BATCH = 10  # loops that share a home and its jobs
TURNS = 8
INDIFFERENT_TURNS = 20
MOMENTUM = "select * from marts.momentum where loop = $loop order by turn"
PROMOTED = "select turn, promoted from flywheel.promotions where loop = $loop order by turn"
SHAPES = {"titles": "SharedTraffic", "offers": "PerUnit", "programs": "Trial", "prices": "PerUnit, a price"}


def purchases(rng: np.random.Generator, count: int) -> np.ndarray:
    """Bought, less twice what left."""
    return (rng.random(count) < 0.25) - 2.0 * (rng.random(count) < 0.02)


def trials(rng: np.random.Generator, count: int) -> np.ndarray:
    """Passed in at most two rounds, less a twentieth for each."""
    first, second = rng.random((2, count)) < 0.35
    return 1.0 * (first | second) - 0.05 * np.where(first, 1, 2)


INDIFFERENT = (("offers", "PerUnit", purchases), ("programs", "Trial", trials))


@dataclass(frozen=True, kw_only=True)
class Course:
    """One loop's course over its turns.

    `worth` and `holdout` are the true mean rewards of what was chosen and of the holdout; `true` is the true lift,
    relative, or per unit in a turn whose mart has no interval of a quotient, and `low` to `high` the mart's interval,
    nan where there is none. `outside` is how far a price lay out of bounds, `moved` the largest relative move of a
    subject's price between turns.
    """

    shape: str
    seed: int
    worth: tuple[float, ...]
    holdout: tuple[float, ...]
    true: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    promotions: int
    refused: int
    outside: float
    moved: float
    seconds: float

    @property
    def covered(self) -> list[bool]:
        """For each turn with an interval, whether the true lift lies in it."""
        ends = zip(self.low, self.true, self.high, strict=True)
        return [low <= true <= high for low, true, high in ends if np.isfinite([low, true, high]).all()]


def courses(name: str, seeds: Sequence[int], strength: float = 1.0, turns: int = TURNS) -> list[Course]:
    """Turn a loop for each seed, all in one home, and set what each reports beside the truth."""
    logging.disable(logging.WARNING)
    from orchestration.graph.driver import TurnFailedError
    from orchestration.testing.scripted_model import ScriptedModel
    from orchestration.testing.turning import Turner, TurningLoops, key_of_turn
    from orchestration.worlds.simulated.shapes import world

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        worlds = [world(name, Path(folder) / f"recipes-{seed}", seed, strength) for seed in seeds]
        script = worlds[0].script  # asks nothing of the seed: one for all
        wheel = TurningLoops(
            home=Path(folder) / "home",
            turners=[Turner(loop=one.loop, subjects=one.subjects, audience=one.audience) for one in worlds],
            model=ScriptedModel(script) if script else None,
            options={"seed": seeds[0]},
        )
        for place in range(turns):
            begun = time.perf_counter()
            try:
                wheel.turn(key_of_turn(place))
            except TurnFailedError as error:
                if not error.refused_by:
                    raise
                print(f"  {name}, turn {place + 1}: refused by {dict(error.refused_by)}", file=sys.stderr, flush=True)
            print(f"  {name}, turn {place + 1}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
        return [_course(name, seed, one, wheel, turns, started) for seed, one in zip(seeds, worlds, strict=True)]


def _course(name: str, seed: int, shape: "Shape", wheel: "TurningLoops", turns: int, started: float) -> Course:
    from benchmarks.shape_truth import price_moves, true_sides

    named = {"loop": shape.loop.name}
    sides = list(true_sides(wheel.warehouse, shape))
    reported = wheel.warehouse.read(MOMENTUM, named).to_dicts()
    decided = wheel.warehouse.read(PROMOTED, named)["promoted"]
    outside, moved = price_moves(wheel.warehouse, shape) if shape.is_priced else (0.0, 0.0)
    kinds = ["difference" if row["lift_low"] is None else "lift" for row in reported]
    pairs = list(zip(sides, kinds, strict=True))
    return Course(
        shape=name,
        seed=seed,
        worth=tuple(treated for treated, _ in sides),
        holdout=tuple(held for _, held in sides),
        true=tuple(ours / held - 1 if kind == "lift" else ours - held for (ours, held), kind in pairs),
        low=tuple(_number(row[f"{kind}_low"]) for row, kind in zip(reported, kinds, strict=True)),
        high=tuple(_number(row[f"{kind}_high"]) for row, kind in zip(reported, kinds, strict=True)),
        promotions=int(decided.sum()),
        refused=turns - len(decided),
        outside=outside,
        moved=moved,
        seconds=(time.perf_counter() - started) / len(wheel.turners),
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def played(names: Sequence[str], seeds: int) -> list[Course]:
    """The courses of every world and seed, BATCH loops a process: Dagster's home is a variable of the process."""
    tasks = [
        (name, range(first, min(first + BATCH, seeds + 1))) for first in range(1, seeds + 1, BATCH) for name in names
    ]

    def batch(task: tuple[str, range]) -> list[Course]:
        command = [sys.executable, "-m", "benchmarks.shapes", task[0], ",".join(map(str, task[1]))]
        said = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
        return read_courses(said.splitlines()[-1])

    with ThreadPoolExecutor(PROCESSES) as pool:
        return [course for found in pool.map(batch, tasks) for course in found]


def read_courses(text: str) -> list[Course]:
    found: list[dict[str, Any]] = json.loads(text)
    series = ("worth", "holdout", "true", "low", "high")
    return [Course(**one | {name: tuple(one[name]) for name in series}) for one in found]


def rows_of(courses_of: Sequence[Course]) -> list[Row]:
    """Slopes of the true worth, coverage of the lift's interval, promotions, and what prices kept to."""
    rows, every = [], []
    for name, way in SHAPES.items():
        mine = [one for one in courses_of if one.shape == name]
        if not mine:
            continue
        turns = len(mine[0].worth)
        what = f"{name} ({way}), {len(mine)} seeds, {turns} turns (simulated)"
        # In per cent of what the holdout truly earns, so that worlds of all seeds can be averaged.
        slopes = [100 * slope(one.worth) / float(np.mean(one.holdout)) for one in mine]
        mean, low, high = interval(slopes)
        rows.append(
            Row(
                f"{what}: slope of the true worth of what is chosen",
                ours=mean,
                unit="% of the holdout's a turn",
                goal=0.0,
                holds=low > 0,
                low=low,
                high=high,
            )
        )
        for turn in (1, turns):
            lifts = [100 * (one.worth[turn - 1] / one.holdout[turn - 1] - 1) for one in mine]
            rows.append(_mean(f"{what}: true lift in turn {turn}", lifts, "%"))
        covered = [inside for one in mine for inside in one.covered]
        every += covered
        rows.append(_share(f"{what}: turns whose 95 % interval covers the true lift", covered))
        rows.append(_mean(f"{what}: promotions", [one.promotions for one in mine], "policies"))
        rows.append(Row(f"{what}: turns that a gate refused", ours=sum(one.refused for one in mine), unit="turns"))
        if name == "prices":
            rows.append(measured(f"{what}: most outside the bounds", max(one.outside for one in mine), "GBP", goal=0.0))
            moved = 100 * max(one.moved for one in mine)
            rows.append(measured(f"{what}: largest move of a price", moved, "%", goal=100 * MOVES_AT_MOST + 1e-9))
    rows.append(_share("all: turns whose 95 % interval covers the true lift", every, (0.93, 0.97)))
    return rows


def slope(values: Sequence[float]) -> float:
    """Least-squares slope over the turns."""
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


def _mean(what: str, values: Sequence[float], unit: str) -> Row:
    mean, low, high = interval(values)
    return Row(what, ours=mean, unit=unit, low=low, high=high)


def _share(
    what: str, flags: Sequence[bool], within: tuple[float, float] | None = None, most: float | None = None
) -> Row:
    """A share in per cent with its Wilson interval; the goal is a range (its middle is shown) or the most."""
    from scipy.stats import binomtest

    spread = binomtest(int(sum(flags)), len(flags)).proportion_ci(method="wilson")
    share = float(np.mean(flags))
    holds = within[0] <= share <= within[1] if within else share <= most if most is not None else None
    goal = 95.0 if within else 100 * most if most is not None else None
    return Row(
        what, 100 * share, "%", goal=goal, holds=holds, low=100 * float(spread.low), high=100 * float(spread.high)
    )


def indifferent() -> list[Row]:
    """Loops in which no option is better, of subjects that return every turn: how many ever prove a challenger?

    The learning side alone, since twenty turns of a hundred loops are too many for the graph: decisions drawn evenly
    and logged as the graph logs them, judged after each turn as it judges them.
    """
    rows = []
    for name, way, reward in INDIFFERENT:
        proven = []
        for seed in range(FLYWHEELS):
            log = returning(seed, INDIFFERENT_TURNS + 1, 150, reward)
            days = sorted(log["turn"].unique())[1:]
            found = [increment_of_decisions(log, fit_contextual, ContextualPolicy.first(), day) for day in days]
            proven.append(any(look.low > 0 for look in looks([one[0] for one in found if one])))
        what = f"indifferent {name} ({way}), {FLYWHEELS} loops (simulated): ever promoted in {INDIFFERENT_TURNS} turns"
        rows.append(_share(what, proven, most=0.05))
    return rows


def main() -> None:
    started = time.perf_counter()
    rows = rows_of(played(list(SHAPES), SEEDS)) + indifferent()
    write("shapes", rows, time.perf_counter() - started)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asked, chosen_seeds = sys.argv[1:]
        found = courses(asked, [int(seed) for seed in chosen_seeds.split(",")])
        print(json.dumps([asdict(each) for each in found]))
    else:
        main()
