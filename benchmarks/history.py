"""Does a turn grow dearer with the turns behind it? Turn 60 against turn 3, in one process and one home.

Here: sixty turns of the whole graph, and the seconds of produce and learn in each.
Not here: the wheel (timed_wheel), larger turns (scale).
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from statistics import median

from benchmarks.report import Row, measured, write
from benchmarks.timed_wheel import Timed, TimedWheel

TURNS = 60
EARLY, LATE = (3, 4, 5), (58, 59, 60)
"""The first two turns warm the process up; three at a time, since one turn may meet a busy machine."""
SUBJECTS, EXPOSURES = 200, 20_000
GOAL = 1.3


def main(turns: int = TURNS) -> None:
    started = time.perf_counter()
    halves: list[tuple[Timed, Timed]] = []
    with tempfile.TemporaryDirectory() as home:
        wheel = TimedWheel(Path(home), SUBJECTS, EXPOSURES, first_turn=date(2024, 1, 1))
        for number in range(1, turns + 1):
            turn = wheel.turn(number)
            produced = wheel.produce(turn)
            wheel.play(turn)
            halves.append((produced, wheel.learn(turn)))
            print(
                f"  {number}/{turns}: produce {produced.seconds:.2f} s, learn {halves[-1][1].seconds:.2f} s", flush=True
            )
    _print_growth(halves)
    what = f"turns 58 to 60, {SUBJECTS} subjects and {EXPOSURES:,} exposures each"

    def seconds(numbers: Sequence[int], of: Callable[[Timed], float], halves_of: Sequence[int] = (0, 1)) -> list[float]:
        return [sum(of(halves[number - 1][half]) for half in halves_of) for number in numbers]

    def row(
        what: str, of: Callable[[Timed], float], halves_of: Sequence[int] = (0, 1), goal: float | None = None
    ) -> Row:
        early, late = seconds(EARLY, of, halves_of), seconds(LATE, of, halves_of)
        return measured(what, late, "s", peer=early, peer_name="turns 3 to 5", goal=goal)

    rows = [
        row(what, lambda timed: timed.seconds, goal=GOAL),
        row(f"{what}: seconds of computing", lambda timed: timed.computing),
        row("produce of them", lambda timed: timed.seconds, (0,)),
        row("learn of them", lambda timed: timed.seconds, (1,)),
    ]
    write("history", rows, time.perf_counter() - started)


def _print_growth(halves: Sequence[tuple[Timed, Timed]]) -> None:
    """The steps that grew most, in seconds between the early turns and the late ones."""
    grown = []
    for which in (0, 1):
        for step in halves[-1][which].steps:
            early, late = (
                median(halves[number - 1][which].steps.get(step, 0.0) for number in numbers)
                for numbers in (EARLY, LATE)
            )
            grown.append((late - early, step, early, late))
    for growth, step, early, late in sorted(grown, reverse=True)[:8]:
        print(f"  {step}: {early:.2f} s, later {late:.2f} s ({growth:+.2f})")


if __name__ == "__main__":
    main()
