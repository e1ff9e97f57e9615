"""How a benchmark reports: one JSON file, and a table in this folder's README.

Here: the row, where results are written, and the table made of all of them.
Not here: any measurement.
"""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "results"
README = FOLDER / "README.md"
START, END = "<!-- results: written by benchmarks/report.py -->", "<!-- end of results -->"
_HEAD = "| benchmark | what | ours | peer | ratio | goal | holds |\n|---|---|---|---|---|---|---|\n"


@dataclass(frozen=True)
class Row:
    """One figure. `ours` and `peer` are medians in `unit`, `ratio` is ours / peer, `low` and `high` the spread of ours.

    `goal` is a bound on the ratio where there is a peer, else on ours; None where a figure is only reported.
    """

    what: str
    ours: float
    unit: str
    peer: float | None = None
    peer_name: str | None = None
    ratio: float | None = None
    goal: float | None = None
    holds: bool | None = None
    low: float | None = None
    high: float | None = None


def measured(
    what: str,
    ours: Sequence[float] | float,
    unit: str,
    *,
    peer: Sequence[float] | float | None = None,
    peer_name: str | None = None,
    goal: float | None = None,
    better: Literal["lower", "higher"] = "lower",
) -> Row:
    """A row from repeated measurements: medians, the spread of ours, and whether the goal holds."""
    runs = [float(value) for value in (ours if isinstance(ours, Sequence) else [ours])]
    middle = statistics.median(runs)
    against = None if peer is None else statistics.median(peer) if isinstance(peer, Sequence) else float(peer)
    ratio = middle / against if against else None
    held = ratio if ratio is not None else middle
    return Row(
        what=what,
        ours=middle,
        unit=unit,
        peer=against,
        peer_name=peer_name,
        ratio=ratio,
        goal=goal,
        holds=None if goal is None else held <= goal if better == "lower" else held >= goal,
        low=min(runs) if len(runs) > 1 else None,
        high=max(runs) if len(runs) > 1 else None,
    )


def write(name: str, rows: Sequence[Row], seconds: float) -> Path:
    """Write the results of a benchmark that took `seconds`, bring the README's table up to date, and print it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    document = {
        "name": name,
        "commit": _commit(),
        "machine": _machine(),
        "seconds": round(seconds, 1),
        "rows": [
            {
                key: _rounded(value)
                for key, value in asdict(row).items()
                if key not in ("low", "high") or value is not None
            }
            for row in rows
        ],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
    _refresh_readme()
    for line in _lines(document):
        print(line)
    return path


def _refresh_readme() -> None:
    """Rebuild the table between the markers from every results file there is."""
    page = README.read_text() if README.exists() else f"# Benchmarks\n\n{START}\n{END}\n"
    before, _, rest = page.partition(START)
    _, _, after = rest.partition(END)
    documents = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    table = _HEAD + "".join(f"{line}\n" for document in documents for line in _lines(document))
    runs = "".join(
        f"- `{one['name']}`: {one['machine']}, commit {one['commit']}, {one['seconds']:g} s\n" for one in documents
    )
    README.write_text(f"{before}{START}\n{table}\n{runs}{END}{after}")


def _lines(document: dict) -> Iterator[str]:
    for row in document["rows"]:
        ours = f"{_shown(row['ours'])} {row['unit']}"
        if row.get("low") is not None:
            ours += f" ({_shown(row['low'])} to {_shown(row['high'])})"
        peer = "" if row["peer"] is None else f"{_shown(row['peer'])} {row['unit']}, {row['peer_name']}"
        holds = {None: "", True: "yes", False: "**no**"}[row["holds"]]
        cells = (document["name"], row["what"], ours, peer, _shown(row["ratio"]), _shown(row["goal"]), holds)
        yield f"| {' | '.join(cells)} |"


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _rounded(value: object) -> object:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _commit() -> str:
    asked = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


def _machine() -> str:
    """Cores, memory and system: what a figure depends on, and nothing that names the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GB, {system}"
