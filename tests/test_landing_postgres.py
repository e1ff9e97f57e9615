"""Landed files on their way into Postgres: DuckDB decides on their rows, and the database keeps what a file would keep.

Not here: what is decided (test_landing_events, _subjects, _reviews, _broken_lines).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration.landing.folder import FileReport
from orchestration.tables import TABLES
from orchestration.testing.landed_events import FIRST, LOOP, LOOPS, SECOND, Shop, event
from orchestration.testing.postgres import PostgresServer
from tests.test_landing_reviews import decision

KEPT = ("events", "landed_subjects", "landed_reviews", "quarantine", "landed_files")
WHEN = {"ingested_at", "run_id", "modified_ns", "changed_ns"}


@pytest.fixture
def in_file(tmp_path: Path) -> Shop:
    return opened(Shop(tmp_path / "file"))


@pytest.fixture
def in_database(tmp_path: Path, postgres: PostgresServer) -> Shop:
    return opened(Shop(tmp_path / "database", url=postgres.new_database()))


def opened(shop: Shop) -> Shop:
    """Two turns released, and candidates to be decided on."""
    candidates = pl.DataFrame(
        {"turn": [FIRST] * 4, "loop": ["content"] * 4, "candidate_id": [f"content-c{number}" for number in range(4)]}
    ).with_columns(pl.col("turn").str.to_date())
    shop.release(FIRST, SECOND).warehouse.append(TABLES["candidates"], candidates)
    return shop


def land(shop: Shop, kind: str, rows: Sequence[dict[str, Any]], name: str) -> list[FileReport]:
    shop.landing.write(kind, None if kind == "events" else "content", rows, name)  # type: ignore[arg-type]
    return ingest(shop, kind)


def ingest(shop: Shop, kind: str, stop_at: str | None = None) -> list[FileReport]:
    def told(line: str) -> None:
        if stop_at and stop_at in line:
            raise KilledError

    if kind == "events":
        return shop.landing.ingest_events(loops=LOOPS, run_id="run", progress=told)
    taking = shop.landing.ingest_subjects if kind == "subjects" else shop.landing.ingest_reviews
    return taking(LOOP, run_id="run", progress=told)


class KilledError(Exception):
    """What a test breaks ingestion off with."""


def kept(shop: Shop) -> dict[str, pl.DataFrame]:
    return {
        name: rows.select(column for column in rows.columns if column not in WHEN)
        for name, rows in ((name, shop.warehouse.rows(TABLES[name])) for name in KEPT)
    }


def assert_kept_alike(one: Shop, other: Shop) -> None:
    mine, theirs = kept(one), kept(other)
    for name in KEPT:
        assert mine[name].equals(theirs[name]), name


def test_events_known_broken_and_new_are_kept_as_in_a_file(in_file: Shop, in_database: Shop) -> None:
    again = [event(number) for number in range(200, 400)]
    twice = [
        event(7, SECOND),
        event(7, SECOND),
        event(8, SECOND, variant_id="of nobody"),
        event(9, SECOND, loop="none"),
    ]
    reports = []
    for shop in (in_file, in_database):
        reports.append(land(shop, "events", [event(number) for number in range(300)], "a"))
        reports.append(land(shop, "events", [*again, *twice], "b"))
        assert ingest(shop, "events") == []
    assert [str(report) for report in reports[0] + reports[1]] == [str(report) for report in reports[2] + reports[3]]
    (second,) = reports[3]
    assert (second.accepted, second.duplicates, second.quarantined) == (101, 101, 2)
    assert_kept_alike(in_file, in_database)


def test_a_version_that_returns_takes_the_place_of_its_first_coming(in_file: Shop, in_database: Shop) -> None:
    def product(number: int, text: str) -> dict[str, Any]:
        return {
            "product_id": f"p{number}", "brand": "Ünïcode, \"quoted\"", "size": "3 oz", "category": "toys",
            "description": text,
        }  # fmt: skip

    for shop in (in_file, in_database):
        land(shop, "subjects", [product(1, "first"), product(2, "other"), product(3, "")], "a")
        land(shop, "subjects", [product(1, "second\nline")], "b")
        land(shop, "subjects", [product(1, "first"), product(2, "other")], "c")
    rows = in_database.warehouse.rows(TABLES["landed_subjects"])
    newest = rows.filter(pl.col("subject_id") == "p1").sort("landed_order").row(-1, named=True)
    assert newest["original"] == "first"
    assert rows.height == 3
    assert_kept_alike(in_file, in_database)


def test_decisions_of_people_are_kept_as_in_a_file(in_file: Shop, in_database: Shop) -> None:
    for shop in (in_file, in_database):
        land(shop, "reviews", [decision(1), decision(2, decision="edit", text="Better"), decision(9)], "a")
        land(shop, "reviews", [decision(1), decision(3)], "b")
    assert in_database.warehouse.rows(TABLES["landed_reviews"]).height == 3
    assert_kept_alike(in_file, in_database)


@pytest.mark.parametrize("stage", ["lines read", "events decided on", "events written"])
def test_a_file_broken_off_leaves_nothing_and_is_taken_in_whole_later(in_database: Shop, stage: str) -> None:
    in_database.landing.write("events", None, [event(number) for number in range(100)], "a")
    with pytest.raises(KilledError):
        ingest(in_database, "events", stop_at=stage)
    assert all(rows.is_empty() for rows in kept(in_database).values())
    (report,) = ingest(in_database, "events")
    assert report.accepted == in_database.warehouse.rows(TABLES["events"]).height == 100


def test_threads_take_a_file_in_once_between_them(in_database: Shop) -> None:
    in_database.landing.write("events", None, [event(number) for number in range(500)], "a")
    with ThreadPoolExecutor(3) as pool:
        reports = [report for found in pool.map(lambda _: ingest(in_database, "events"), range(3)) for report in found]
    assert sum(report.accepted for report in reports) == 500
    assert in_database.warehouse.rows(TABLES["events"]).height == 500
