"""Killed in the middle of ingestion: nothing half is kept, and the next attempt gives what an undisturbed one gives."""

from pathlib import Path

import pytest

from benchmarks.ingestion_crash import ingest, killed_at, prepared, rows_of

EVENTS = 2_000


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple]]:
    shop = prepared(tmp_path_factory.mktemp("undisturbed"), EVENTS)
    ingest(shop)
    return rows_of(shop)


@pytest.mark.parametrize(("stage", "files_kept"), [("events decided on", 0), ("events written", 0), ("b.ndjson", 1)])
def test_a_killed_ingestion_is_made_good_by_the_next(
    tmp_path: Path, undisturbed: dict[str, list[tuple]], stage: str, files_kept: int
) -> None:
    shop = prepared(tmp_path, EVENTS)

    killed_at(tmp_path, stage)

    kept = rows_of(shop)
    assert len(kept["landed_files"]) == files_kept
    assert (kept["events"] == []) == (kept["quarantine"] == []) == (files_kept == 0)
    assert set(kept["events"]) < set(undisturbed["events"])
    assert len(shop.landing.pending("events")) == 2 - files_kept

    ingest(shop)

    assert rows_of(shop) == undisturbed
    assert len(undisturbed["landed_files"]) == 2
    assert not list(shop.events_folder.glob(".*"))
