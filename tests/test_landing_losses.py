"""No row is lost that nobody hears of: each kind of refusal, and what comes again after its cause has gone."""

import json
from pathlib import Path
from typing import Any

import pytest

from orchestration.landing.folder import RefusedFilesError
from orchestration.loops.declaration import Loop
from orchestration.testing.landed_events import FIRST, LOOP, LOOPS, SECOND, Shop, as_ndjson, event
from tests.test_landing_events import ingest, land, quarantined, stored


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path).release(FIRST, SECOND)


def come_again(path: Path) -> None:
    """The same bytes, landed once more."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def test_a_second_event_under_a_known_event_id_is_refused_by_name_and_the_same_one_sent_again_is_a_duplicate(
    shop: Shop,
) -> None:
    land(shop, [event(1), event(2)], "a.ndjson")
    ingest(shop)
    land(shop, [event(1), event(2, unit_id="visitor-other"), event(3), event(3, value=7.0), event(3)], "b.csv")

    (report,) = ingest(shop)

    assert (report.accepted, report.duplicates, report.reasons) == (1, 2, {"event_id_reused": 2})
    assert quarantined(shop) == {3: "event_id_reused", 5: "event_id_reused"}
    assert len(stored(shop)) == 3


def test_rows_refused_before_their_release_are_taken_in_once_when_the_file_comes_again(tmp_path: Path) -> None:
    shop = Shop(tmp_path).release(SECOND)
    path = land(shop, [event(1), event(2, SECOND), event(2, SECOND), event(3, unit_id="null")], "e.csv")
    (report,) = ingest(shop)
    assert (report.accepted, report.duplicates, report.reasons) == (1, 1, {"unknown_subject": 1, "junk_unit": 1})
    assert ingest(shop) == [], "nothing has come since"

    shop.release(FIRST)
    come_again(path)
    assert shop.landing.pending("events") == [path]
    (again,) = ingest(shop)
    assert (again.read, again.accepted, again.duplicates, again.reasons) == (2, 1, 0, {"junk_unit": 1})
    assert "came again" in str(again)

    come_again(path)
    (last,) = ingest(shop)
    assert (last.read, last.accepted, last.quarantined) == (1, 0, 1)
    manifest = shop.warehouse.read("select rows_read, accepted, duplicates, quarantined from flywheel.landed_files")
    assert manifest.rows() == [(4, 2, 1, 1)]
    assert len(stored(shop)) == 2
    assert len(shop.warehouse.read("from flywheel.quarantine")) == 1
    assert shop.landing.pending("events") == []


def test_a_copy_and_its_original_do_not_come_again_for_ever(tmp_path: Path) -> None:
    shop = Shop(tmp_path).release(SECOND)
    path = land(shop, [event(1), event(2, SECOND)])
    ingest(shop)
    path.with_name("copy.ndjson").write_bytes(path.read_bytes())
    for _ in range(2):
        reports = ingest(shop)
    assert all(report.already_ingested for report in reports)
    assert shop.landing.pending("events") == []


def test_a_file_refused_for_its_columns_is_taken_in_once_they_are_declared(shop: Shop) -> None:
    wide = Loop(**{**vars(LOOP), "subjects": LOOP.subjects.__class__(
        key="product_id", facts=("brand", "size", "colour"), original="description", pool="category")})  # fmt: skip
    row = {"product_id": "p1", "brand": "b", "size": "s", "category": "c", "description": "d"}
    shop.landing.write("subjects", "content", [row], "narrow")
    path = shop.landing.write("subjects", "content", [row | {"product_id": "p2", "colour": "red"}], "wide")
    run: dict[str, Any] = {"run_id": "run", "progress": lambda _: None}
    with pytest.raises(RefusedFilesError, match=r"narrow\.ndjson misses the column 'colour'"):
        shop.landing.ingest_subjects(wide, **run)

    narrow = shop.landing.ingest_subjects(LOOP, **run)
    assert [report.accepted for report in narrow] == [1], "the wide file is known"

    come_again(path)
    (report,) = shop.landing.ingest_subjects(LOOP, **run)
    facts = "select facts from flywheel.landed_subjects where subject_id = 'p2' order by landed_order desc limit 1"
    assert (report.accepted, report.came_again) == (1, True)
    assert json.loads(shop.warehouse.read(facts).item()) == {"brand": "b", "size": "s"}


@pytest.mark.parametrize(
    "unit",
    ["undefined", "null", "NULL", " Null ", "'null'", '"undefined"', "NaN", "None", "nil", "[object Object]",
     "[object Promise]", "(not set)", "<null>", "anonymous", "ANONYMOUS", "guest",
     "00000000-0000-0000-0000-000000000000", "{00000000-0000-0000-0000-000000000000}", "\u200bundefined\u200b",
     "undefined-undefined", "${user.id}",
     "n/a", "-", "0", "\\N", "“null”", "ffffffff-ffff-ffff-ffff-ffffffffffff", "distinct_id"],
)  # fmt: skip
def test_what_stands_for_nobody_is_refused_as_a_unit(junk: dict[str, str], unit: str) -> None:
    assert junk[unit] == "junk_unit"


@pytest.mark.parametrize(
    "unit", ["\t", "\u00a0", "\u200b", "\ufeff", "\u3164", "\u2800", "\U000e0041", "\u00ad \u2060"]
)
def test_what_cannot_be_seen_is_no_unit(junk: dict[str, str], unit: str) -> None:
    assert junk[unit] == "missing_unit_id"


@pytest.mark.parametrize(
    "unit", ["7", "1", "anna", "nana", "nullable", "日本", "visitor-0", "id-7", "noneck", "müller"]
)
def test_an_unusual_unit_is_taken_in(junk: dict[str, str], unit: str) -> None:
    assert unit not in junk


@pytest.fixture(scope="module")
def junk(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The reason of every unit that the tests above name, taken in as one file."""
    shop = Shop(tmp_path_factory.mktemp("junk")).release(FIRST)
    marks = [mark for test in (test_what_stands_for_nobody_is_refused_as_a_unit, test_what_cannot_be_seen_is_no_unit,
                               test_an_unusual_unit_is_taken_in) for mark in test.pytestmark]  # fmt: skip
    units = [unit for mark in marks for unit in mark.args[1]]
    land(shop, [event(number, unit_id=unit) for number, unit in enumerate(units, 1)])
    (report,) = ingest(shop)
    assert report.accepted + report.quarantined == len(units)
    return {units[line - 1]: reason for line, reason in quarantined(shop).items()}


@pytest.mark.parametrize("suffix", ["ndjson", "csv", "parquet"])
def test_an_absurd_amount_or_a_number_that_is_none_is_refused_and_the_rest_goes_on(shop: Shop, suffix: str) -> None:
    bought = {"event_type": "purchase", "variant_id": None, "propensity": None}
    odd = [1e30, 1e13, float("inf"), float("nan"), -1.0]
    rows = [event(number, value=float(value), **bought) for number, value in enumerate([9.5, *odd, 1e12], 1)]
    if suffix == "ndjson":
        (shop.events_folder / "e.ndjson").write_bytes(as_ndjson(rows))
    else:
        land(shop, rows, f"e.{suffix}")

    (report,) = ingest(shop)

    assert report.reasons == {"absurd_amount": 2, "not_a_number": 2, "negative_value": 1}
    total = shop.warehouse.read("select sum(value::decimal(30, 6))::double, sum(value * value) from flywheel.events")
    assert total.row(0)[0] == 1e12 + 9.5


def test_refusals_are_told_by_reason_at_once_with_what_was_expected(shop: Shop) -> None:
    told: list[str] = []
    land(shop, [event(1), event(2, unit_id="null"), event(3, unit_id="null"), event(4, occurred_at="05/01/2026 10:00")])
    shop.landing.ingest_events(loops=LOOPS, run_id="run", progress=told.append)

    assert any("3 quarantined (junk_unit 2, ambiguous_date 1)" in line for line in told)
    assert any(line.startswith("  1 x ambiguous_date: occurred_at does not say whether the day") for line in told)


def test_a_subject_of_a_format_that_no_recipe_writes_is_refused_and_the_others_are_taken_in(tmp_path: Path) -> None:
    from orchestration.loops.content import declare

    loop = declare()
    shop = Shop(tmp_path)
    assert loop.subjects.format is not None
    (known, *_) = shop.landing._formats(loop)
    row = dict.fromkeys(loop.subjects.columns, "x") | {loop.subjects.format: known}
    rows = [row | {loop.subjects.key: f"s{number}", loop.subjects.format: form} for number, form in
            enumerate([known, "banner", known.title(), known.upper(), f" {known}"])]  # fmt: skip
    shop.landing.write("subjects", loop.name, [*rows, row | {loop.subjects.key: "undefined"}], "a")

    (report,) = shop.landing.ingest_subjects(loop, run_id="run", progress=lambda _: None)

    assert report.accepted == 1
    assert report.reasons == {"unknown_format": 4, "junk_key": 1}
    assert known in report.details["unknown_format"]


def test_of_what_is_refused_the_turn_the_loop_and_the_type_are_kept_as_far_as_they_are_known(shop: Shop) -> None:
    rows = [event(number, SECOND) for number in range(3)]
    rows += [event(10, SECOND, event_type="Clicks"), event(20, SECOND, event_type="order", loop="Content")]
    rows += [event(30, occurred_at="soon"), event(41, unit_id="null")]
    path = land(shop, rows)
    path.write_bytes(path.read_bytes() + b"{\n")
    ingest(shop)

    kept = "select line, event_turn::varchar, event_loop, event_type from flywheel.quarantine order by line"
    assert shop.warehouse.read(kept).rows() == [
        (4, SECOND, "content", "click"),
        (5, SECOND, "content", None),
        (6, SECOND, "content", "click"),
        (7, FIRST, "content", "exposure"),
        (8, SECOND, None, None),
    ]


def test_a_refused_event_that_comes_in_good_order_is_marked_as_mended(shop: Shop) -> None:
    land(shop, [event(10, occurred_at="soon"), event(20, occurred_at="soon")], "bad.ndjson")
    ingest(shop)
    land(shop, [event(10)], "good.ndjson")
    ingest(shop)

    assert shop.warehouse.read("select line from flywheel.quarantine where mended_by is null").rows() == [(2,)]
