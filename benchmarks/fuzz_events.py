"""Event files of every format filled with whatever senders write: does anything raise, hang or get lost?

Here: generated files, each row sound, odd or broken, taken in one after the other, and the sums that must hold.
Not here: the ways to break a line (testing.landed_events), how fast files are taken in (ingestion).
"""

import gzip
import json
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestration.landing.folder import RefusedFilesError
from orchestration.testing.landed_events import BROKEN, FIRST, LOOPS, SECOND, Event, Shop, event

ROWS_A_FILE = 1_000
SUBJECTS = 9
ODD: tuple[Any, ...] = (
    None, "", " ", "\t", "\u00a0", "\u200b", "null", "undefined", "NaN", "[object Object]", "(not set)", "Beans \ud83d",
    0, -1, 1, 3.0, 1e30, 1e300, -1e300, 2**70, float("nan"), float("inf"), True, False, "true", "12,50", "1.234",
    "1_000", "12.50", "2026-01-05T10:00Z", "2026-01-05t10:00:00z", "2026-01-05 10:00:00 UTC", "05/01/2026", 1768212000,
    1768212000000, "1768212000", "2026-01-06T10:00:00+02:00", "0000-00-00", "'; drop table events; --", '"', "\\",
    "a" * 300, "日本", "\u202e", "=1+1", [], {}, [1], {"a": 1}, "Infinity", "-0", "1e5", "0x1F", "exposure", "click",
)  # fmt: skip
"""Values that any column may hold."""
WAYS = [change for changes in BROKEN.values() for change in changes]


def fuzz_events(count: int, seed: int) -> dict[str, int]:
    """Take in `count` generated rows; files, rows read, accepted, duplicates, quarantined, and whole files refused.

    Raises RuntimeError when a row is lost, and whatever ingestion raises but a refusal in one sentence.
    """
    chance = random.Random(seed)
    sums: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder)).release(FIRST, SECOND, subjects=SUBJECTS)
        while sums["rows"] < count:
            rows = min(ROWS_A_FILE, count - sums["rows"])
            name, write = chance.choice(FORMATS)
            content = write([_row(chance) for _ in range(rows)], chance)
            (shop.events_folder / f"{sums['files']:06d}{name}").write_bytes(content)
            sums += Counter(rows=rows, files=1)
        try:
            reports = shop.landing.ingest_events(loops=LOOPS, run_id="fuzz", progress=lambda _: None)
        except RefusedFilesError as refusal:
            reports = refusal.reports
            sums["files refused"] = len(refusal.refused)
            if any("\n" in why for why in refusal.refused.values()):
                raise RuntimeError("A refusal is more than a sentence.") from refusal
        for report in reports:
            sums += Counter(
                read=report.read,
                accepted=report.accepted,
                duplicates=report.duplicates,
                quarantined=report.quarantined,
            )
        stored, kept = (
            shop.warehouse.read(f"select count(*) from flywheel.{t}").item() for t in ("events", "quarantine")
        )
        if sums["read"] != sums["accepted"] + sums["duplicates"] + sums["quarantined"]:
            raise RuntimeError(f"Rows are lost: {dict(sums)}")
        if (stored, kept) != (sums["accepted"], sums["quarantined"]):
            raise RuntimeError(
                f"{stored:,} events and {kept:,} refused rows are kept, and others reported: {dict(sums)}"
            )
        try:
            again = shop.landing.ingest_events(loops=LOOPS, run_id="again", progress=lambda _: None)
        except RefusedFilesError as refusal:
            again = refusal.reports
        if any(not report.already_ingested for report in again):
            raise RuntimeError("A second look found something to take in.")
        amounts = "select sum(value::decimal(30, 6)), sum(value * value) from flywheel.events"
        shop.warehouse.read(amounts)
    return dict(sums)


def _row(chance: random.Random) -> Event:
    """An event; most are sound, some repeat one, and in some a value or three is odd."""
    row = event(chance.randrange(200_000), chance.choice((FIRST, SECOND)))
    row |= {"subject_id": f"s{chance.randrange(SUBJECTS)}"}
    row["variant_id"] = f"{row['subject_id']}-v{chance.randrange(4)}"
    while chance.random() < 0.3:
        row[chance.choice(list(row))] = chance.choice(ODD)
    return row


def _ndjson(rows: list[Event], chance: random.Random) -> bytes:
    lines = [
        chance.choice(WAYS)(row)
        if chance.random() < 0.1
        else chance.randbytes(chance.randrange(40)).replace(b"\n", b"")
        if chance.random() < 0.02
        else json.dumps(row).encode()
        for row in rows
    ]
    return b"\n".join([json.dumps(event(0)).encode(), *lines]) + b"\n"


def _array(rows: list[Event], chance: random.Random) -> bytes:
    text = json.dumps([event(0), *rows], indent=chance.choice((None, 2)))
    return (text[: chance.randrange(len(text))] if chance.random() < 0.1 else text).encode()


def _csv(separator: str, encoding: str = "utf-8") -> Callable[[list[Event], random.Random], bytes]:
    def written(rows: list[Event], chance: random.Random) -> bytes:
        def field(value: Any) -> str:
            text = "" if value is None else str(value)
            unsafe = any(sign in text for sign in (separator, '"', "\n", "\r"))
            return '"' + text.replace('"', '""') + '"' if unsafe and chance.random() < 0.9 else text

        names = list(event(0))
        lines = [separator.join(names), *(separator.join(field(row[name]) for name in names) for row in rows)]
        return (chance.choice(("\n", "\r\n")).join(lines) + "\n").encode(encoding, "replace")

    return written


def _parquet(rows: list[Event], chance: random.Random) -> bytes:
    import io

    import polars as pl

    def cell(value: Any) -> str | None:
        return None if value is None else str(value).encode("utf-8", "replace").decode()

    frame = pl.DataFrame([{name: cell(value) for name, value in row.items()} for row in rows])
    if chance.random() < 0.5:
        frame = frame.with_columns(pl.col("value", "propensity").cast(pl.Float64, strict=False))
    if chance.random() < 0.3:
        frame = frame.with_columns(occurred_at=pl.lit(datetime.fromisoformat(FIRST)))
    target = io.BytesIO()
    frame.write_parquet(target)
    return target.getvalue()


def _packed(write: Callable[[list[Event], random.Random], bytes]) -> Callable[[list[Event], random.Random], bytes]:
    def written(rows: list[Event], chance: random.Random) -> bytes:
        packed = gzip.compress(write(rows, chance), 1)
        return packed[: chance.randrange(1, len(packed))] if chance.random() < 0.05 else packed

    return written


FORMATS: tuple[tuple[str, Callable[[list[Event], random.Random], bytes]], ...] = (
    (".ndjson", _ndjson), (".jsonl", _ndjson), (".ndjson.gz", _packed(_ndjson)), (".json", _array),
    (".json.gz", _packed(_array)), (".csv", _csv(",")), (".csv", _csv(";")), (".csv", _csv("\t")), (".tsv", _csv("\t")),
    (".csv", _csv("|")), (".csv", _csv(";", "cp1252")), (".csv", _csv(",", "utf-16")), (".csv", _csv(",", "utf-8-sig")),
    (".csv.gz", _packed(_csv(";"))), (".parquet", _parquet), (".parquet.gz", _packed(_parquet)), (".csv", _ndjson),
    (".ndjson", _csv(",")), (".xlsx", _parquet),
)  # fmt: skip
"""What a file may be called, and what it then holds; the last ones hold something else than their names say."""


if __name__ == "__main__":
    print(fuzz_events(100_000, 8))
