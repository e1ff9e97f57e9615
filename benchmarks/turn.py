"""What a turn costs: produce and learn, against the same graph on Dagster's multiprocess executor and against bare SQL.

Here: both executors in turns over homes prepared alike, the bare statements and fits, and the seconds of every step.
Not here: larger turns (scale), turns with a long history (history), what the model takes (generation).

Both sides run the same definitions and record into a Dagster instance of the same settings; only the executor differs,
at Dagster's defaults. The first turn of each home warms both up and is not counted.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import dagster as dg

from benchmarks import bare_turn, multiprocess_location
from benchmarks.report import measured, write
from benchmarks.timed_wheel import Timed, TimedWheel
from orchestration.home import prepare_home
from orchestration.turns import Turn

SUBJECTS, EXPOSURES, TURNS = 200, 100_000, 3
GOAL = 1 / 5


def main() -> None:
    started = time.perf_counter()
    ours: list[tuple[Timed, Timed]] = []
    peer, bare = [], []
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        wheel, opponent = TimedWheel(Path(one), SUBJECTS, EXPOSURES), TimedWheel(Path(other), SUBJECTS, EXPOSURES)
        for number in range(TURNS + 1):
            turn = wheel.turn(number + 1)
            produced = wheel.produce(turn)
            wheel.play(turn)
            halves = produced, wheel.learn(turn)
            if number == 0:  # prepared the same way: the first turn on the executor that is quicker
                opponent.produce(turn)
                opponent.play(turn)
                opponent.learn(turn)
                continue
            ours.append(halves)
            bare.append(bare_seconds(wheel, turn))
            peer.append(multiprocess_seconds(opponent, turn))
            print(
                f"  turn {number}: produce {halves[0].seconds:.2f} s, learn {halves[1].seconds:.2f} s, "
                f"multiprocess {peer[-1]:.1f} s, bare {bare[-1]:.2f} s",
                flush=True,
            )
    _print_steps(ours)
    seconds = [produced.seconds + learned.seconds for produced, learned in ours]
    what = f"produce and learn, {SUBJECTS} subjects and {EXPOSURES:,} exposures (simulated)"
    rows = [
        measured(what, seconds, "s", peer=peer, peer_name="multiprocess executor", goal=GOAL),
        measured("the same", seconds, "s", peer=bare, peer_name="its bare SQL and fits"),
        measured("produce of it", [produced.seconds for produced, _ in ours], "s"),
        measured("learn of it", [learned.seconds for _, learned in ours], "s"),
    ]
    write("turn", rows, time.perf_counter() - started)


def bare_seconds(wheel: TimedWheel, turn: Turn) -> float:
    """Seconds of the statements and fits alone; raises RuntimeError when their totals are not those of the marts."""
    path = wheel.settings.warehouse_path
    seconds = bare_turn.copied(path, wheel.settings.landing / "events" / f"simulated-content-{turn.key}.parquet")
    seconds += bare_turn.statements(path, turn.key)
    if found := bare_turn.differences(path, turn.key):
        raise RuntimeError(f"The bare statements compute something else: {found}")
    seconds += bare_turn.fits(path, turn.key)
    bare_turn.forget(path)
    return seconds


def multiprocess_seconds(wheel: TimedWheel, turn: Turn) -> float:
    """Seconds of produce and learn with a process for every step."""
    with _variables(wheel.environment):
        seconds = _executed(wheel, turn, multiprocess_location.produce)
        wheel.play(turn)
        return seconds + _executed(wheel, turn, multiprocess_location.learn)


def _executed(wheel: TimedWheel, turn: Turn, job: Callable[[], dg.JobDefinition]) -> float:
    prepare_home(wheel.settings)
    start = time.perf_counter()
    with (
        dg.DagsterInstance.get() as instance,
        dg.execute_job(dg.reconstructable(job), instance=instance, tags={"dagster/partition": turn.key}) as result,
    ):
        if not result.success:
            raise RuntimeError(f"{job.__name__} of turn {turn.key} failed on the multiprocess executor.")
        return time.perf_counter() - start


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _print_steps(halves: Sequence[tuple[Timed, Timed]]) -> None:
    """Median seconds of every step, and what the graph takes beside its steps."""
    for which, name in enumerate(("produce", "learn")):
        timed = [pair[which] for pair in halves]
        steps = {step: median(one.steps[step] for one in timed) for step in timed[0].steps}
        beside = median(one.seconds for one in timed) - sum(steps.values())
        print(f"  {name}: {median(one.seconds for one in timed):.2f} s, of which {beside:.2f} s beside the steps")
        for step, seconds in sorted(steps.items(), key=lambda item: -item[1]):
            print(f"    {seconds:6.2f} s  {step}")


if __name__ == "__main__":
    main()
