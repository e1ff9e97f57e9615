"""Does the wheel compound? Lift over the holdout, turn by turn, where texts matter and where they do not.

Here: eight turns through the real graph for each seed, in a responsive and in an indifferent world, and the slopes.
Not here: the audience (worlds), the graph (definitions) and the model that stands in for an endpoint (instant_model).

A slope is fitted to the log lift over the holdout that the mart `momentum` reports, for each seed alone; the interval
is Student's over seeds. The audience is simulated, so the true lift is known too and is reported beside it.
"""

import logging
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.report import Row, write
from orchestration.worlds.simulated.audience import World

TURNS = 8
SEEDS = 10
SUBJECTS = 42
EXPOSURES = 100_000
WORLDS: tuple[World, ...] = ("responsive", "indifferent")


@dataclass(frozen=True)
class Course:
    """One wheel's course: log lifts over the holdout by turn, as the mart reports them and as they truly were."""

    world: World
    seed: int
    reported: tuple[float, ...]
    true: tuple[float, ...]
    promotions: int
    refused: int = 0


def course(world: World, seed: int, turns: int = TURNS, exposures: int = EXPOSURES) -> Course:
    """Turn a new wheel in a home of its own. A turn that a gate refuses, by chance, is not learned: its lift is nan."""
    logging.disable(logging.WARNING)
    from orchestration.commands.report import turn_lines
    from orchestration.graph.driver import Flywheel, TurnFailedError
    from orchestration.settings import Settings
    from orchestration.testing.instant_model import InstantLanguageModel
    from orchestration.turns import Turn
    from orchestration.warehouse.engines import open_warehouse
    from orchestration.worlds.simulated.catalogue import land_catalogue
    from orchestration.worlds.simulated.sandbox import Sandbox

    with tempfile.TemporaryDirectory() as home:
        settings = Settings(_env_file=None, home=Path(home), seed=seed, subjects_per_turn=SUBJECTS)
        land_catalogue(settings.landing, SUBJECTS)
        sandbox = Sandbox(seed, exposures_per_turn=exposures, world=world, file_format="parquet")
        wheel = Flywheel(settings, resources={"model": InstantLanguageModel()})
        turn = Turn.of(settings.first_turn, settings)
        true = []
        refused = 0
        for _ in range(turns):
            wheel.produce(turn.key)
            played = sandbox.play(settings.outbox / "content" / f"{turn.key}.ndjson", settings.landing, turn)
            try:
                wheel.learn(turn.key)
            except TurnFailedError as error:
                if not error.refused_by:
                    raise
                refused += 1
            true.append(played.true_lift)
            turn = turn.next()
        lines = turn_lines(open_warehouse(settings))
    assert all(line["simulated"] for line in lines)
    return Course(
        world,
        seed,
        tuple(float("nan") if line["lift"] is None else float(np.log1p(line["lift"])) for line in lines),
        tuple(true),
        sum(bool(line["promoted"]) for line in lines),
        refused,
    )


def _course(task: tuple[World, int]) -> Course:
    return course(*task)


def slope(lifts: Sequence[float]) -> float:
    """Least-squares slope of log lift per turn, over the turns whose lift is known."""
    known = np.flatnonzero(np.isfinite(lifts))
    return float(np.polyfit(known, np.asarray(lifts)[known], 1)[0])


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval over seeds (Student's t)."""
    from scipy.stats import t

    mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
    reach = float(t.ppf(0.975, len(values) - 1)) * error
    return mean, mean - reach, mean + reach


def rows_of(courses: Sequence[Course]) -> list[Row]:
    """Slopes, in per cent a turn, and lifts of the first and last turn, in per cent, all on the log scale.

    `low` and `high` are 95 % intervals over seeds. The goal is met in the responsive world when the slope's interval
    lies above zero, in the indifferent one when it covers zero.
    """
    rows = []
    for world in WORLDS:
        mine = [one for one in courses if one.world == world]
        what = f"{world} world, {len(mine)} seeds (simulated)"
        mean, low, high = interval([100 * slope(one.reported) for one in mine])
        holds = low > 0 if world == "responsive" else low <= 0 <= high
        of_lift = f"{what}: slope of the lift over the holdout"
        rows.append(Row(of_lift, ours=mean, unit="% a turn", goal=0.0, holds=holds, low=low, high=high))
        rows.append(_row(f"{what}: true slope", [100 * slope(one.true) for one in mine], "% a turn"))
        for turn in (1, len(mine[0].true)):
            of_turn = f"{what}: lift in turn {turn}"
            known = [100 * one.reported[turn - 1] for one in mine if np.isfinite(one.reported[turn - 1])]
            rows.append(_row(of_turn, known, "%"))
            rows.append(_row(of_turn.replace("lift", "true lift"), [100 * one.true[turn - 1] for one in mine], "%"))
        rows.append(
            _row(f"{what}: promotions in {len(mine[0].true)} turns", [one.promotions for one in mine], "policies")
        )
        rows.append(Row(f"{what}: turns that a gate refused", ours=sum(one.refused for one in mine), unit="turns"))
    return rows


def _row(what: str, values: Sequence[float], unit: str) -> Row:
    mean, low, high = interval(values)
    return Row(what, ours=mean, unit=unit, low=low, high=high)


def main() -> None:
    started = time.perf_counter()
    tasks = [(world, seed) for seed in range(1, SEEDS + 1) for world in WORLDS]
    courses: list[Course] = []
    # One process a core and wheel: Dagster's home is a variable of the process, and wheels are independent.
    with get_context("spawn").Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        for one in pool.imap(_course, tasks):
            courses.append(one)
            lifts = " ".join(f"{100 * lift:+.1f}" for lift in one.reported)
            print(f"  {one.world} {one.seed}: {lifts} % (simulated), {one.promotions} promoted", flush=True)
    write("compounding", rows_of(courses), time.perf_counter() - started)


if __name__ == "__main__":
    main()
