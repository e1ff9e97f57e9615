"""Ten thousand broken lines among ten thousand good ones: what becomes of each.

Here: the measurement. Not here: the ways to break a line (landed_events).
"""

import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.report import measured, write
from orchestration.testing.landed_events import BROKEN, FIRST, LOOPS, Shop, as_ndjson, broken_lines, event

LINES = 10_000


def main() -> None:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        clean = Shop(Path(folder) / "clean").release(FIRST)
        good = [event(number) for number in range(LINES)]
        (clean.events_folder / "good.ndjson").write_bytes(as_ndjson(good))
        clean.landing.ingest_events(loops=LOOPS, run_id="benchmark", progress=lambda _: None)

        mixed = Shop(Path(folder) / "mixed").release(FIRST)
        broken = list(broken_lines(LINES, start=LINES))
        lines = [line for row, (bad, _) in zip(good, broken, strict=True) for line in (as_ndjson([row]), bad + b"\n")]
        (mixed.events_folder / "mixed.ndjson").write_bytes(b"".join(lines))
        (report,) = mixed.landing.ingest_events(loops=LOOPS, run_id="benchmark", progress=lambda _: None)

        expected = {2 * number + 2: reason for number, (_, reason) in enumerate(broken)}
        found = dict(mixed.warehouse.read("select line, reason from flywheel.quarantine").iter_rows())
        kept = "select * exclude (ingested_at, file_hash) from flywheel.events order by all"
        unharmed = clean.warehouse.read(kept).equals(mixed.warehouse.read(kept))
    right = sum(found.get(line) == reason for line, reason in expected.items())
    per_reason = Counter(reason for _, reason in broken)
    print(f"{len(BROKEN)} reasons, {min(per_reason.values())} to {max(per_reason.values())} lines each")
    rows = [
        measured("broken lines without their reason in quarantine", LINES - right, "lines", goal=0),
        measured("lines read and not accounted for", abs(2 * LINES - _accounted(report)), "lines", goal=0),
        measured("good rows lost or changed", 0 if unharmed else LINES - report.accepted or LINES, "rows", goal=0),
    ]
    write("bad_input", rows, time.perf_counter() - started)


def _accounted(report: "object") -> int:
    return sum(getattr(report, part) for part in ("accepted", "duplicates", "quarantined"))


if __name__ == "__main__":
    main()
