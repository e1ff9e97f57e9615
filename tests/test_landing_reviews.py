"""What becomes of landed decisions: each once, on a candidate that exists, by a reviewer under a pseudonym."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration.landing.folder import FileReport
from orchestration.landing.pseudonyms import Pseudonyms
from orchestration.testing.landed_events import LOOP, NOW, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    with shop.warehouse.connect() as connection:
        connection.execute("""
            insert into flywheel.candidates by name
            select date '2026-01-05' as turn, loop, loop || '-c' || n as candidate_id
            from range(5) as numbers(n), (values ('content'), ('support')) as loops(loop)""")
    return shop


def decision(number: int, **other: Any) -> dict[str, Any]:
    moment = datetime(2026, 1, 6, 9) + timedelta(minutes=number)
    return {
        "candidate_id": f"content-c{number}",
        "decision": "approve",
        "text": None,
        "reviewer": "jane",
        "reason": None,
        "decided_at": moment,
    } | other


def ingest(shop: Shop, *rows: dict[str, Any], name: str = "a") -> FileReport:
    shop.landing.write("reviews", "content", rows, name)
    (report,) = shop.landing.ingest_reviews(LOOP, run_id="run", progress=lambda _: None)
    return report


def quarantined(shop: Shop) -> dict[int, str]:
    return dict(shop.warehouse.read("select line, reason from flywheel.quarantine").iter_rows())


def test_a_decision_is_stored_with_its_reviewer_under_a_pseudonym(shop: Shop) -> None:
    ingest(
        shop,
        decision(1, decision="edit", text="Better beans", reason="clearer"),
        decision(2, decision="reject", text="only edits have a text"),
    )

    rows = shop.warehouse.read(
        "select * exclude (review_id, file_hash) from flywheel.landed_reviews order by decided_at"
    )

    jane = Pseudonyms.of(shop.settings).pseudonym("jane")
    assert rows.rows() == [
        ("content", "content-c1", "edit", "Better beans", None, False, jane, "clearer", datetime(2026, 1, 6, 9, 1)),
        ("content", "content-c2", "reject", None, None, False, jane, None, datetime(2026, 1, 6, 9, 2)),
    ]


def test_an_edit_may_name_fields_beside_a_text_or_instead_of_one(shop: Shop) -> None:
    ingest(
        shop,
        decision(1, decision="edit", edits={"minutes": 7, "tags": ["a"]}),
        decision(2, decision="edit", text="Better", edits='{"minutes": 7}'),
        decision(3, edits={"minutes": 7}),
    )
    rows = shop.warehouse.read("select candidate_id, text, edits from flywheel.landed_reviews order by decided_at")
    assert rows.rows() == [
        ("content-c1", None, '{"minutes":7,"tags":["a"]}'),
        ("content-c2", "Better", '{"minutes": 7}'),
        ("content-c3", None, None),
    ]


def test_two_edits_of_other_fields_are_two_decisions(shop: Shop) -> None:
    report = ingest(
        shop,
        decision(1, decision="edit", edits={"minutes": 7}),
        decision(1, decision="edit", edits={"minutes": 8}),
        decision(1, decision="edit", edits={"minutes": 7}),
    )
    assert (report.accepted, report.duplicates) == (2, 1)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_fields_land_as_text_in_tables(shop: Shop, suffix: str) -> None:
    folder = shop.settings.landing / "content" / "reviews"
    folder.mkdir(parents=True)
    rows = [decision(n, decision="edit") for n in range(3)]
    edits = ['{"minutes": 7}', "[7]", None]
    frame = pl.DataFrame(rows, schema_overrides={"text": pl.String, "reason": pl.String})
    frame = frame.with_columns(edits=pl.Series(edits, dtype=pl.String))
    if suffix == "csv":
        frame.with_columns(pl.col("decided_at").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(folder / "a.csv")
    else:
        frame.write_parquet(folder / "a.parquet")
    (report,) = shop.landing.ingest_reviews(LOOP, run_id="run", progress=lambda _: None)
    assert report.accepted == 1
    assert sorted(quarantined(shop).values()) == ["missing_text", "wrong_type"]


def test_a_decision_counts_once(shop: Shop) -> None:
    ingest(shop, decision(1), decision(1))
    report = ingest(shop, decision(1), decision(1, reviewer="john"), name="b")

    assert (report.accepted, report.duplicates) == (1, 1)
    ids = shop.warehouse.read("select review_id from flywheel.landed_reviews")["review_id"]
    assert len(ids) == ids.n_unique() == 2


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"candidate_id": "content-c9"}, "unknown_candidate"),
        ({"candidate_id": "support-c1"}, "unknown_candidate"),
        ({"candidate_id": ""}, "missing_candidate_id"),
        ({"decision": "maybe"}, "unknown_decision"),
        ({"decision": None}, "missing_decision"),
        ({"decision": "edit"}, "missing_text"),
        ({"decision": "edit", "text": "  "}, "missing_text"),
        ({"decision": "edit", "text": "x" * 20_001}, "too_long"),
        ({"decision": "edit", "edits": {}}, "missing_text"),
        ({"decision": "edit", "text": " ", "edits": {"minutes": 7}}, "missing_text"),
        ({"decision": "edit", "edits": [7]}, "wrong_type"),
        ({"decision": "edit", "edits": "minutes"}, "wrong_type"),
        ({"decision": "edit", "edits": 7}, "wrong_type"),
        ({"decision": "edit", "edits": {"body": "x" * 20_001}}, "too_long"),
        ({"decision": "edit", "text": "Beans", "override": True}, "missing_reason"),
        ({"reviewer": None}, "missing_reviewer"),
        ({"reviewer": ["jane"]}, "wrong_type"),
        ({"decided_at": None}, "missing_decided_at"),
        ({"decided_at": "today"}, "bad_timestamp"),
        ({"decided_at": NOW + timedelta(minutes=6)}, "future_timestamp"),
    ],
)
def test_a_decision_that_cannot_be_obeyed_is_quarantined(shop: Shop, wrong: dict[str, Any], reason: str) -> None:
    report = ingest(shop, decision(1), decision(2, **wrong))

    assert quarantined(shop) == {2: reason}
    assert report.accepted == 1
