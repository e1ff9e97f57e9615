"""What it costs to load the graph, against importing the frameworks that it stands on.

Here: `import orchestration.definitions` and `import dagster, dagster_dbt`, each in a new interpreter, in turns.
Not here: what a turn costs once loaded (turn).
"""

import json
import subprocess
import sys
import time

from benchmarks.report import FOLDER, measured, write

REPETITIONS = 7
OURS, PEER = "orchestration.definitions", "dagster, dagster_dbt"
LAZY = ("great_expectations", "mlflow", "openai", "sklearn")
"""Packages that only a step that needs them may load."""
GOAL = 2.0

PROGRAM = """
import json, sys, time
start = time.perf_counter()
import {modules}
seconds = time.perf_counter() - start
print(json.dumps([seconds, sorted(set(sys.modules) & set({lazy!r}))]))
"""


def imported(modules: str) -> tuple[float, list[str]]:
    """Seconds to import `modules` in a new interpreter, and which of LAZY came with them."""
    program = PROGRAM.format(modules=modules, lazy=LAZY)
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    seconds, loaded = json.loads(said.splitlines()[-1])
    return float(seconds), loaded


def main() -> None:
    started = time.perf_counter()
    for modules in (OURS, PEER):
        imported(modules)  # writes bytecode and the dbt manifest where they are missing, and warms the disk's cache
    ours, peer, loaded = [], [], set()
    for _ in range(REPETITIONS):
        seconds, early = imported(OURS)
        ours.append(seconds)
        loaded |= set(early)
        peer.append(imported(PEER)[0])
    rows = [
        measured(f"import {OURS}", ours, "s", peer=peer, peer_name=f"import {PEER}", goal=GOAL),
        measured(f"packages loaded by it, of {', '.join(LAZY)}", len(loaded), "packages", goal=0),
    ]
    write("startup", rows, time.perf_counter() - started)


if __name__ == "__main__":
    main()
