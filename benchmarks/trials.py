"""Programs that mean harm, and how fast those that mean none are tried.

Here: the measurement. Not here: the programs and the ground they are run on (orchestration.testing.hostile).

The peer of the harmless trials is what one would write without thinking of harm: the same programs with their tests in
one bare `python -I` process, as many at a time. It contains nothing; the ratio is what containment costs.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.report import Row, measured, write
from orchestration.generation.trials import Limits, TrialRequest, code_trial
from orchestration.testing.hostile import Ground, hostile_programs
from orchestration.trials.containment import Containment

ROUNDS, TRIALS, WORKERS, PER_SECOND = 5, 40, 2, 10.0


def main() -> None:
    started = time.perf_counter()
    write("trials", [*_hostile(), *_harmless(), *_published()], time.perf_counter() - started)


def _hostile() -> list[Row]:
    programs = hostile_programs()
    with Ground() as ground:
        began = time.perf_counter()
        results = Containment(workers=WORKERS).run_all([ground.request(one) for one in programs])
        seconds = time.perf_counter() - began
        through = {
            one.name: how for one, result in zip(programs, results, strict=True) if (how := ground.got_through(result))
        }
        left = ground.left_behind()
    for name, how in through.items():
        print(f"{name} got through: {how}", flush=True)
    for what in left:
        print(f"left behind: {what}", flush=True)
    return [
        measured("hostile programs stopped", len(programs) - len(through), "programs", goal=60, better="higher"),
        measured("hostile programs that got through", len(through), "programs", goal=0),
        measured("processes, files and connections that hostile programs left or made", len(left), "things", goal=0),
        measured("all hostile programs, two at a time, 2 s each at most", seconds, "s"),
    ]


def _harmless() -> list[Row]:
    requests = [
        code_trial(
            f"def scaled(numbers):\n    return [number * {factor} for number in numbers]\n",
            [f"assert scaled([1, 2]) == [{factor}, {2 * factor}]", "assert scaled([]) == []"],
        )
        for factor in range(TRIALS)
    ]
    containment = Containment(workers=WORKERS)

    def contained() -> None:
        statuses = {result.status for result in containment.run_all(requests)}
        if statuses != {"passed"}:
            raise RuntimeError(f"A harmless trial did not pass: {statuses}.")

    contained()
    ours, bare = [], []
    for _ in range(ROUNDS):
        ours.append(_rate(contained))
        bare.append(_rate(lambda: _run_bare(requests)))
    peer = "bare python -I, nothing contained"
    return [
        measured("harmless trials, two at a time", ours, "a second", goal=PER_SECOND, better="higher"),
        measured("the same, against no containment at all", ours, "a second", peer=bare, peer_name=peer),
    ]


def _rate(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return TRIALS / (time.perf_counter() - began)


def _run_bare(requests: Sequence[TrialRequest]) -> None:
    def run(request: TrialRequest) -> None:
        script = "\n".join((request.program, *request.tests))
        subprocess.run([sys.executable, "-I", "-c", script], check=True, capture_output=True, timeout=60)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(run, requests))


def _published() -> list[Row]:
    """The reference solutions of published problems: each should pass its own tests."""
    folder = Path(os.environ.get("FLYWHEEL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    problems_file = folder / "mbpp" / "sanitized-mbpp.json"
    if not problems_file.exists():
        print("trials: the published problems are left out, no data sets (FLYWHEEL_DATA)", flush=True)
        return []
    problems = json.loads(problems_file.read_text())
    patient = Limits(seconds=60.0)
    requests = [
        code_trial(one["code"], one["test_list"], imports=one["test_imports"], limits=patient) for one in problems
    ]
    results = Containment(workers=WORKERS).run_all(requests, print)
    for problem, result in zip(problems, results, strict=True):
        if result.status != "passed":
            print(f"problem {problem['task_id']}: {result.status}, {result.failures}", flush=True)
    passed = sum(result.status == "passed" for result in results)
    share = 100 * passed / len(problems)
    return [measured(f"MBPP: reference solutions that pass, of {len(problems)}", share, "%", goal=99, better="higher")]


if __name__ == "__main__":
    main()
