"""A changed schema: the file is refused as a whole, its columns named, and no other file suffers."""

from pathlib import Path

import polars as pl
import pytest

from orchestration.landing.folder import RefusedFilesError
from orchestration.testing.landed_events import FIRST, LOOP, LOOPS, Shop, as_ndjson, event
from tests.test_landing_events import ingest, land, stored

NAMES = list(event(1))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path).release(FIRST)


def renamed(number: int) -> dict[str, object]:
    row = event(number)
    return {"visitor" if name == "unit_id" else name: value for name, value in row.items()}


@pytest.mark.parametrize("suffix", ["ndjson", "csv", "parquet"])
def test_a_renamed_column_refuses_the_file_and_names_both(shop: Shop, suffix: str) -> None:
    land(shop, [renamed(number) for number in range(5)], f"renamed.{suffix}")
    land(shop, [event(number) for number in range(7)], "z-good.ndjson")
    told: list[str] = []

    with pytest.raises(RefusedFilesError) as refusal:
        shop.landing.ingest_events(loops=LOOPS, run_id="run", progress=told.append)

    message = str(refusal.value)
    assert f"events/renamed.{suffix} misses the column 'unit_id' (found: " in message
    assert "visitor" in message
    assert "Add or rename it, and land the file again; `flywheel doctor` checks all files." in message
    assert [report.accepted for report in refusal.value.reports] == [7]
    assert any("renamed" in line for line in told)
    assert len(stored(shop)) == 7
    assert shop.warehouse.read("select name from flywheel.landed_files").rows() == [("events/z-good.ndjson",)]
    assert shop.warehouse.read("from flywheel.quarantine").is_empty()
    assert [path.name for path in shop.landing.pending("events")] == [f"renamed.{suffix}"]


def test_all_refused_files_are_listed(shop: Shop) -> None:
    land(shop, [renamed(1)], "a.csv")
    (shop.events_folder / "b.parquet").write_bytes(b"PAR1 not really")
    (shop.events_folder / "c.xlsx").write_bytes(b"PK")
    (shop.events_folder / "d.csv").write_bytes(b"")

    with pytest.raises(RefusedFilesError) as refusal:
        ingest(shop)

    assert list(refusal.value.refused) == ["events/a.csv", "events/b.parquet", "events/c.xlsx", "events/d.csv"]
    assert "4 landed files were refused" in str(refusal.value)
    assert "found: none" in refusal.value.refused["events/d.csv"]


def test_a_key_missing_from_some_rows_refuses_only_those(shop: Shop) -> None:
    row = event(2)
    del row["unit_id"]
    land(shop, [event(1), row])

    (report,) = ingest(shop)

    assert (report.accepted, report.reasons) == (1, {"missing_unit_id": 1})


def test_a_key_that_is_always_null_is_no_changed_schema(shop: Shop) -> None:
    land(shop, [event(number, unit_id=None) for number in range(3)])

    (report,) = ingest(shop)

    assert report.reasons == {"missing_unit_id": 3}


def test_exposures_without_any_variant_are_a_changed_schema(shop: Shop) -> None:
    rows = [{name: value for name, value in event(number).items() if name != "variant_id"} for number in range(12)]
    land(shop, rows, "events.csv")
    land(shop, [row for row in rows if row["event_type"] == "click"], "clicks.csv")

    with pytest.raises(RefusedFilesError, match="misses the column 'variant_id'") as refusal:
        ingest(shop)

    assert [(report.name, report.accepted) for report in refusal.value.reports] == [("events/clicks.csv", 1)]


def test_a_column_of_another_type_is_a_changed_schema(shop: Shop) -> None:
    frame = pl.DataFrame([event(1)])
    frame.with_columns(occurred_at=pl.lit(True), unit_id=pl.lit(1.5)).write_parquet(shop.events_folder / "e.parquet")

    with pytest.raises(RefusedFilesError, match=r"'unit_id' is DOUBLE, not text; 'occurred_at' is BOOLEAN, not moment"):
        ingest(shop)


def test_a_column_named_twice_is_refused(shop: Shop) -> None:
    lines = [",".join([*NAMES, "unit_id"]), ",".join(["x"] * (len(NAMES) + 1))]
    (shop.events_folder / "events.csv").write_text("\n".join(lines))

    with pytest.raises(RefusedFilesError, match="names the column 'unit_id' twice"):
        ingest(shop)


def test_damage_inside_a_parquet_file_is_found_before_anything_is_stored(shop: Shop) -> None:
    path = land(shop, [event(number) for number in range(5_000)], "events.parquet")
    damaged = bytearray(path.read_bytes())
    damaged[20_000:24_000] = b"\xff" * 4_000
    path.write_bytes(damaged)
    land(shop, [event(number) for number in range(7)], "z-good.ndjson")

    with pytest.raises(RefusedFilesError, match="is damaged"):
        ingest(shop)

    assert len(stored(shop)) == 7


def test_a_file_that_changes_while_it_is_read_is_left_for_later(shop: Shop) -> None:
    path = land(shop, [event(number) for number in range(10)])

    def append(message: str) -> None:
        if "lines read" in message:
            with path.open("ab") as file:
                file.write(as_ndjson([event(11)]))

    with pytest.raises(RefusedFilesError, match=r"changed while it was read.*\.partial"):
        shop.landing.ingest_events(loops=LOOPS, run_id="run", progress=append)
    assert stored(shop).is_empty()

    (report,) = ingest(shop)

    assert report.accepted == 11


def test_headers_can_be_checked_before_anything_is_taken_in(shop: Shop) -> None:
    folder = shop.settings.landing / "content" / "subjects"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("product_id,brand,category,description\n1,b,c,d\n")
    (folder / "b.ndjson").write_text('{"product_id": "1", "brand": "b", "category": "c"}\n')
    (folder / "c.csv").write_text("product_id,brand,category,description,size\n1,b,c,d,e\n")

    samples = [(name, problem) for name, problem, _ in shop.landing.samples("subjects", LOOP) if problem]
    assert [f"{name} {problem}" for name, problem in samples] == [
        "content/subjects/a.csv misses the column 'size' (found: product_id, brand, category, description). "
        "Add it, or map it under [loops.content.subjects] in flywheel.toml; `flywheel doctor` checks all files.",
        "content/subjects/b.ndjson misses the columns 'description', 'size' (found: brand, category, product_id). "
        "Add them, or map them under [loops.content.subjects] in flywheel.toml; `flywheel doctor` checks all files.",
    ]
