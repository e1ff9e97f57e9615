"""Inputs that nobody would think of, generated in great numbers: no traceback, no hang, nothing lost, nothing twice.

Here: the parts that are there, how many inputs each gets, and the report.
Not here: how a part generates and judges its inputs (fuzz_replies, and every other fuzz_* module).
"""

import importlib
import time
from pathlib import Path

from benchmarks.report import Row, measured, write

SEED = 20260105
PARTS = (("replies", 100_000), ("events", 100_000), ("settings", 2_000), ("commands", 2_000))
"""A part is the module `fuzz_NAME` with a function `fuzz_NAME(count, seed)`, which returns counts by what they count:
`read`, which is only told, and whatever must not happen, whose goal is 0."""
TOLD = frozenset({"read", "accepted", "duplicates", "quarantined"})


def parts() -> tuple[tuple[str, int], ...]:
    """The parts that are there."""
    return tuple(part for part in PARTS if (Path(__file__).parent / f"fuzz_{part[0]}.py").exists())


def main() -> None:
    started = time.perf_counter()
    rows: list[Row] = []
    for name, count in parts():
        module = importlib.import_module(f"benchmarks.fuzz_{name}")
        found: dict[str, int] = getattr(module, f"fuzz_{name}")(count, SEED)
        print(f"{name}: {found}", flush=True)
        rows += [
            measured(f"{count} generated {name}: {what}", number, "", goal=None if what in TOLD else 0)
            for what, number in found.items()
        ]
    write("fuzz", rows, time.perf_counter() - started)


if __name__ == "__main__":
    main()
