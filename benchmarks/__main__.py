"""Run the benchmarks: `python -m benchmarks [--only NAME]`.

Here: which there are and in which order. Not here: what they measure (a module each, with a `main`).
"""

import argparse
import importlib
import importlib.util
import sys

NAMES = ("turn", "scale", "history", "generation", "compounding", "crash", "learning", "reward", "evidence")


def main() -> int:
    there = [name for name in NAMES if importlib.util.find_spec(f"benchmarks.{name}") is not None]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="NAME", choices=there, help=f"one of: {', '.join(there)}")
    only = parser.parse_args().only
    for name in [only] if only else there:
        print(f"# {name}", flush=True)
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
