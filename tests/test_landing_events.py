"""What becomes of landed events: stored once, in their turn, under a pseudonym."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration.assignment import in_holdout
from orchestration.landing.folder import FileReport, Landing
from orchestration.landing.pseudonyms import Pseudonyms
from orchestration.testing.landed_events import FIRST, LOOP, LOOPS, NOW, SECOND, THIRD, Event, Shop, as_ndjson, event


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path).release(FIRST, SECOND)


def land(shop: Shop, rows: list[Event], name: str = "events.ndjson") -> Path:
    path = shop.events_folder / name
    frame = pl.DataFrame(rows, infer_schema_length=None)
    match path.suffix:
        case ".ndjson":
            path.write_bytes(as_ndjson(rows))
        case ".csv":
            frame.write_csv(path)
        case ".parquet":
            frame.write_parquet(path)
    return path


def ingest(shop: Shop) -> list[FileReport]:
    return shop.landing.ingest_events(loops=LOOPS, run_id="run", progress=lambda _: None)


def stored(shop: Shop, columns: str = "* exclude (ingested_at, file_hash)") -> pl.DataFrame:
    return shop.warehouse.read(f"select {columns} from flywheel.events order by all")


def quarantined(shop: Shop) -> dict[int, str]:
    return dict(shop.warehouse.read("select line, reason from flywheel.quarantine").iter_rows())


def test_an_event_is_stored_with_its_turn_its_pseudonym_and_its_moment_in_utc(shop: Shop) -> None:
    row = event(1, SECOND, unit_id="visitor-7", occurred_at="2026-01-13T01:30:00.25+02:00", segment="loyal")
    land(shop, [row])

    (report,) = ingest(shop)

    assert stored(shop).to_dicts() == [
        {
            "turn": datetime(2026, 1, 12).date(),
            "event_id": row["event_id"],
            "event_type": "exposure",
            "loop": "content",
            "subject_id": "s1",
            "variant_id": "s1-v1",
            "unit_id": Pseudonyms.of(shop.settings).pseudonym("visitor-7"),
            "segment": "loyal",
            "occurred_at": datetime(2026, 1, 12, 23, 30, 0, 250_000),
            "value": None,
            "propensity": 0.25,
            "in_holdout": in_holdout("content", "visitor-7", LOOP.delivery.holdout),
            "simulated": True,
            "release_id": None,
        }
    ]
    assert (report.read, report.accepted, report.turns) == (1, 1, {SECOND: 1})


@pytest.mark.parametrize("name", ["events.csv", "events.parquet"])
def test_every_format_gives_the_same_rows(shop: Shop, tmp_path: Path, name: str) -> None:
    rows = [event(number) for number in range(500)]
    land(shop, rows)
    ingest(shop)
    other = Shop(tmp_path / "other").release(FIRST, SECOND)
    land(other, rows, name)

    (report,) = ingest(other)

    assert report.accepted == 500
    assert stored(other).equals(stored(shop))


@pytest.mark.parametrize("type_of_moment", [pl.Datetime("us"), pl.Datetime("ms"), pl.Datetime("us", "Europe/Berlin")])
def test_parquet_may_hold_moments_and_whole_numbers_as_such(shop: Shop, type_of_moment: pl.DataType) -> None:
    frame = pl.DataFrame([event(number, segment=None, value=None) for number in range(1, 20, 10)])
    moments = pl.col("occurred_at").str.to_datetime(time_zone="UTC")
    zone = getattr(type_of_moment, "time_zone", None)
    moments = moments.dt.convert_time_zone(zone) if zone else moments.dt.replace_time_zone(None)
    frame = frame.with_columns(moments.dt.cast_time_unit(type_of_moment.time_unit), unit_id=pl.lit(17))
    frame.write_parquet(shop.events_folder / "events.parquet")

    (report,) = ingest(shop)

    assert report.reasons == {}
    expected = [datetime.fromisoformat(event(number)["occurred_at"][:-1]) for number in range(1, 20, 10)]
    assert sorted(stored(shop)["occurred_at"]) == sorted(expected)
    assert set(stored(shop)["unit_id"]) == {Pseudonyms.of(shop.settings).pseudonym("17")}


def test_a_file_is_taken_in_once(shop: Shop) -> None:
    land(shop, [event(number) for number in range(50)])
    ingest(shop)
    before = stored(shop, "*")

    assert shop.landing.pending("events") == []
    assert ingest(shop) == []
    assert stored(shop, "*").equals(before)


def test_the_same_content_under_another_name_changes_nothing(shop: Shop) -> None:
    path = land(shop, [event(number) for number in range(50)])
    ingest(shop)
    before, manifest = stored(shop, "*"), shop.warehouse.read("from flywheel.landed_files")
    copy = path.with_name("again.ndjson")
    copy.write_bytes(path.read_bytes())
    path.rename(path.with_name("renamed.ndjson"))

    reports = ingest(shop)

    assert {report.name for report in reports if report.already_ingested} == {
        "events/again.ndjson",
        "events/renamed.ndjson",
    }
    assert stored(shop, "*").equals(before)
    assert shop.warehouse.read("from flywheel.landed_files").equals(manifest)
    assert shop.landing.pending("events") == []


def test_a_known_file_is_not_read_again(shop: Shop) -> None:
    path = land(shop, [event(1)])
    ingest(shop)
    stat = path.stat()
    path.write_bytes(b"?" * stat.st_size)  # would be pending if its content were looked at
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    assert shop.landing.pending("events") == []


def test_a_touched_file_is_not_pending(shop: Shop) -> None:
    path = land(shop, [event(1)])
    ingest(shop)
    os.utime(path, ns=(0, 0))

    assert shop.landing.pending("events") == []


def test_files_that_are_being_written_are_left_alone(shop: Shop) -> None:
    for name in (".hidden.ndjson", "events.ndjson.partial"):
        (shop.events_folder / name).write_bytes(as_ndjson([event(1)]))

    assert shop.landing.pending("events") == []
    assert ingest(shop) == []


def test_overlapping_files_share_no_event(shop: Shop) -> None:
    land(shop, [event(number) for number in range(100)], "a.ndjson")
    land(shop, [event(number) for number in range(60, 130)], "b.csv")

    first, second = ingest(shop)

    assert (first.accepted, first.duplicates) == (100, 0)
    assert (second.accepted, second.duplicates) == (30, 40)
    assert stored(shop)["event_id"].n_unique() == len(stored(shop)) == 130


def test_of_an_event_that_repeats_in_its_file_the_first_counts(shop: Shop) -> None:
    land(shop, [event(1, propensity=0.1), event(2), event(1, propensity=0.2), event(1, propensity=0.1)])

    (report,) = ingest(shop)

    assert (report.accepted, report.duplicates, report.reasons) == (2, 1, {"event_id_reused": 1})
    assert stored(shop, "propensity")["propensity"].to_list() == [0.1, 0.25]


def test_a_broken_row_does_not_shadow_the_good_one_with_its_identity(shop: Shop) -> None:
    land(shop, [event(1, propensity=7), event(1, propensity=0.2)])

    (report,) = ingest(shop)

    assert (report.accepted, report.duplicates, report.reasons) == (1, 0, {"bad_propensity": 1})


def test_an_identity_may_return_in_another_turn(shop: Shop) -> None:
    land(shop, [event(1), event(1, SECOND, event_id=event(1)["event_id"])])

    (report,) = ingest(shop)

    assert report.turns == {FIRST: 1, SECOND: 1}


def test_late_rows_go_to_the_turn_that_they_belong_to(shop: Shop) -> None:
    land(shop, [event(number) for number in range(10)], "a.ndjson")
    ingest(shop)
    land(shop, [event(number, SECOND) for number in range(10)] + [event(number) for number in (8, 9, 10)], "b.ndjson")

    (report,) = ingest(shop)

    assert report.turns == {FIRST: 1, SECOND: 10}
    assert report.duplicates == 2
    counts = shop.warehouse.read("select turn::varchar, count(*) from flywheel.events group by turn order by turn")
    assert counts.rows() == [(FIRST, 11), (SECOND, 10)]


def test_turns_may_be_days(tmp_path: Path) -> None:
    shop = Shop(tmp_path).release("2026-01-06", "2026-01-07")
    settings = shop.settings.model_copy(update={"cadence": "daily"})
    landing = Landing(settings.landing, shop.warehouse, Pseudonyms.of(settings), settings, now=lambda: NOW)
    land(shop, [event(1, occurred_at="2026-01-06T23:59:59Z"), event(2, occurred_at="2026-01-07T00:00:00Z")])

    (report,) = landing.ingest_events(loops=LOOPS, run_id="run", progress=lambda _: None)

    assert report.turns == {"2026-01-06": 1, "2026-01-07": 1}


def test_an_outcome_may_follow_an_exposure_of_the_turn_before(tmp_path: Path) -> None:
    shop = Shop(tmp_path).release(FIRST)
    bought = {"event_type": "purchase", "value": 3.0}
    land(
        shop,
        [
            event(1, SECOND, **bought),
            event(2, SECOND, variant_id=None, **bought),
            event(3, SECOND),  # an exposure to what is no longer in force
            event(4, THIRD, **bought),  # further back than any outcome reaches
        ],
    )

    (report,) = ingest(shop)

    assert report.turns == {SECOND: 2}
    assert quarantined(shop) == {3: "unknown_variant", 4: "unknown_subject"}


def test_an_outcome_need_not_name_its_variant(shop: Shop) -> None:
    rows = [event(10, variant_id=None), event(20, variant_id="")]
    for row in rows:
        del row["segment"], row["value"], row["propensity"], row["simulated"]
    land(shop, rows)

    (report,) = ingest(shop)

    assert report.accepted == 2
    unknown = stored(shop, "variant_id, segment, value, propensity, simulated")
    assert unknown.rows() == [(None, None, None, None, False)] * 2


def test_the_sender_may_be_ahead_by_minutes_and_no_more(shop: Shop) -> None:
    shop.release("2026-01-26")
    moments = [f"{NOW:%Y-%m-%dT%H}:{minute:02d}:00Z" for minute in (0, 5, 6)]
    land(shop, [event(number, occurred_at=moment) for number, moment in enumerate(moments, 1)])

    (report,) = ingest(shop)

    assert (report.accepted, report.reasons) == (2, {"future_timestamp": 1})


def test_a_unit_is_held_out_by_the_rule_of_assignment(shop: Shop) -> None:
    units = [f"visitor-{number}" for number in range(2_000)]
    land(shop, [event(number, unit_id=unit) for number, unit in enumerate(units)])
    ingest(shop)

    held = dict(stored(shop, "unit_id, in_holdout").iter_rows())

    pseudonyms = Pseudonyms.of(shop.settings)
    assert held == {pseudonyms.pseudonym(unit): in_holdout("content", unit, 0.10) for unit in units}
    assert 150 < sum(held.values()) < 250


def test_columns_nobody_asked_for_are_ignored_and_named(shop: Shop) -> None:
    land(shop, [event(1, page="/", utm={"source": "mail"})])

    (report,) = ingest(shop)

    assert report.ignored == ("page", "utm")
    assert "ignored columns: page, utm" in str(report)


def test_escapes_and_any_script_come_through(shop: Shop) -> None:
    odd = 'a "quoted" \\ name,\tnaïve\n日本 🙂 \u2028'
    land(shop, [event(1, event_id=odd)], "a.ndjson")
    (shop.events_folder / "b.ndjson").write_text(
        as_ndjson([event(2)]).decode().replace('"event_id": "', '"event_id": "\\u00e9\\ud83d\\ude42\\/'), "utf-8-sig"
    )
    ingest(shop)

    assert stored(shop, "event_id")["event_id"].to_list() == sorted([odd, f"é🙂/{event(2)['event_id']}"])


def test_nothing_stored_holds_an_identifier(shop: Shop) -> None:
    secret = "jane.roe@example.org"
    rows: list[dict[str, Any]] = [
        event(1, unit_id=secret),
        event(2, unit_id=secret, occurred_at="yesterday"),
        event(3, unit_id=secret, event_type=secret),
        event(4, unit_id=secret, variant_id=secret),
    ]
    path = land(shop, rows)
    path.write_bytes(path.read_bytes() + f'{{"unit_id": "{secret}"'.encode())
    ingest(shop)

    with shop.warehouse.connect() as connection:
        tables = [name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()]
        holding = "select count(*) from flywheel.{} as row where row::varchar like '%jane%'"
        found = {table for table in tables if connection.execute(holding.format(table)).fetchone() != (0,)}
    assert quarantined(shop) == {2: "bad_timestamp", 3: "unknown_event_type", 4: "unknown_variant", 5: "truncated_json"}
    assert found == set()
    kept = [path for path in shop.home.rglob("*") if path.is_file() and shop.settings.landing not in path.parents]
    assert kept
    assert not any(secret.encode() in path.read_bytes() for path in kept)


def test_threads_take_a_file_in_once_between_them(shop: Shop) -> None:
    land(shop, [event(number) for number in range(2_000)])
    with ThreadPoolExecutor(3) as pool:
        reports = [report for reports in pool.map(lambda _: ingest(shop), range(3)) for report in reports]

    assert sum(report.accepted for report in reports) == len(stored(shop)) == 2_000


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        ("0000-01-01T00:00:00Z", "before_first_turn"),
        ("0044-03-15T12:00:00+00:00", "before_first_turn"),
        ("99999-01-01T00:00:00Z", "future_timestamp"),
        ("294246-12-31T23:59:59+00:00", "future_timestamp"),
        ("999999-01-01T00:00:00+00:00", "bad_timestamp"),
        ("2026-01-06T10:00:00+25:00", "bad_timestamp"),
        ("2026-01-06T10:00:00 Europe/Berlin", "bad_timestamp"),
        ("2026-01-06T10:61:00Z", "bad_timestamp"),
    ],
)
def test_moments_at_the_edge_of_what_can_be_are_refused(shop: Shop, moment: str, reason: str) -> None:
    land(shop, [event(1), event(2, occurred_at=moment)])
    ingest(shop)

    assert quarantined(shop) == {2: reason}


def test_what_reading_needs_for_a_while_is_gone_afterwards(shop: Shop) -> None:
    path = land(shop, [event(1)])
    (path.parent / ".of a killed process.arrived").mkdir()
    ingest(shop)

    assert list(shop.events_folder.iterdir()) == [path]
