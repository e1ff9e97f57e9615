"""Run the benchmarks: `python -m benchmarks [--only NAME]`.

Here: which there are and in which order. Not here: what they measure: every module here with a `main` is one.
"""

import argparse
import importlib
import sys
from pathlib import Path

FIRST = (
    "turn",
    "scale",
    "history",
    "generation",
    "compounding",
    "shapes",
    "crash",
    "bad_input",
    "trials",
    "learning",
    "decisions",
    "reward",
    "evidence",
    "replay",
)


def names() -> list[str]:
    """Benchmarks in the order in which they run: the known ones first, then any other."""
    there = {path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if "\ndef main(" in path.read_text()}
    return [name for name in FIRST if name in there] + sorted(there - set(FIRST))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="NAME", choices=names(), help=f"one of: {', '.join(names())}")
    only = parser.parse_args().only
    for name in [only] if only else names():
        print(f"# {name}", flush=True)
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
