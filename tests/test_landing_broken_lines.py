"""Broken lines: each in quarantine with its reason, none lost, and the good rows among them unharmed."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.landing.rules.problems import SENTENCES, explained
from orchestration.testing.landed_events import BROKEN, FIRST, LOOPS, SECOND, Shop, as_ndjson, broken_lines, event
from tests.test_landing_events import ingest, quarantined, stored

LINES = 10_000


def test_ten_thousand_broken_lines_are_quarantined_each_with_its_reason(tmp_path: Path) -> None:
    good = [event(number) for number in range(LINES)]
    broken = list(broken_lines(LINES, start=LINES))
    assert len(BROKEN) >= 12
    clean = Shop(tmp_path / "clean").release(FIRST)
    (clean.events_folder / "good.ndjson").write_bytes(as_ndjson(good))
    mixed = Shop(tmp_path / "mixed").release(FIRST)
    (mixed.events_folder / "mixed.ndjson").write_bytes(
        b"".join(as_ndjson([row]) + line + b"\n" for row, (line, _) in zip(good, broken, strict=True))
    )

    ingest(clean)
    (report,) = ingest(mixed)

    expected = {2 * number + 2: reason for number, (_, reason) in enumerate(broken)}
    assert quarantined(mixed) == expected
    assert report.reasons == Counter(expected.values())
    assert (report.read, report.accepted, report.duplicates, report.quarantined) == (2 * LINES, LINES, 0, LINES)
    assert stored(mixed).equals(stored(clean))


@pytest.mark.parametrize("reason", BROKEN)
def test_every_reason_has_a_sentence_without_a_value(reason: str) -> None:
    code = "missing:unit_id" if reason.startswith("missing_") and reason not in SENTENCES else reason
    _, sentence = explained(code)

    assert sentence
    assert "{" not in sentence


def test_the_detail_names_the_column_and_not_its_value(tmp_path: Path) -> None:
    shop = Shop(tmp_path).release(FIRST)
    (shop.events_folder / "events.ndjson").write_bytes(as_ndjson([event(1), event(2, unit_id=[40_817])]))
    ingest(shop)

    rows = shop.warehouse.read("select line, reason, detail, kind, loop from flywheel.quarantine").rows()

    assert rows == [(2, "wrong_type", "unit_id has a value of the wrong type.", "events", None)]


def test_a_file_of_nothing_but_rubbish_is_quarantined_line_by_line(tmp_path: Path) -> None:
    shop = Shop(tmp_path).release(FIRST)
    (shop.events_folder / "events.ndjson").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40)

    (report,) = ingest(shop)

    assert report.read == report.quarantined > 40
    assert set(report.reasons) <= {"bad_encoding", "not_json", "empty_line"}


def test_an_endless_line_and_a_deep_one_harm_nobody(tmp_path: Path) -> None:
    shop = Shop(tmp_path).release(FIRST)
    endless = b'{"event_id": "' + b"x" * (24 << 20) + b'"}'
    deep = json.dumps(event(3) | {"more": None}).replace('"more": null', '"more": ' + "[" * 50_000 + "]" * 50_000)
    (shop.events_folder / "events.ndjson").write_bytes(
        as_ndjson([event(1)]) + endless + b"\n" + as_ndjson([event(2)]) + deep.encode() + b"\n" + endless
    )

    (report,) = ingest(shop)

    assert quarantined(shop) == {2: "too_long", 5: "too_long"}
    assert report.accepted == 3


def test_broken_lines_of_csv_are_quarantined_too(tmp_path: Path) -> None:
    shop = Shop(tmp_path).release(FIRST)
    names = ("event_id", "event_type", "loop", "subject_id", "variant_id", "unit_id", "occurred_at", "value")
    good = event(1, value=2.5)
    line = ",".join(str(good[name]) for name in names)
    lines = [
        ",".join(names),
        line,
        line + ",more",
        line.rpartition(",")[0],
        "",
        line.replace("exposure", '"exposure'),
        line.replace("exposure", '"exposure"s'),
        line.replace("2.5", "2,5"),
        line.replace("2.5", "-2.5"),
        line.replace("2.5", "much"),
        line.replace("2.5", "inf"),
        line.replace(good["occurred_at"], "05/01/2026 10:00"),
        line.replace(good["unit_id"], ""),
        line.replace(good["unit_id"], '""'),
        line.replace(good["event_id"], '"a, ""b"""'),
    ]
    body = "\r\n".join(lines).encode() + b"\r\n" + line.encode().replace(b"visitor", b"\xfe") + b"\r\n"
    (shop.events_folder / "events.csv").write_bytes(body)

    (report,) = ingest(shop)

    fields = "wrong_number_of_fields"
    expected = [None, fields, fields, "empty_line", "broken_quotes", "broken_quotes", fields, "negative_value"]
    expected += ["not_a_number", "not_a_number", "ambiguous_date", "missing_unit_id", "missing_unit_id", None]
    expected += ["bad_encoding"]
    assert quarantined(shop) == {number: reason for number, reason in enumerate(expected, 2) if reason}
    assert stored(shop, "event_id")["event_id"].to_list() == sorted([good["event_id"], 'a, "b"'])
    assert report.read == len(expected)


def test_broken_rows_of_parquet_are_quarantined_by_number(tmp_path: Path) -> None:
    shop = Shop(tmp_path).release(FIRST)
    rows = [event(1), event(2, value=float("nan")), event(3, unit_id=None), event(4, occurred_at="soon"), event(5)]
    pl.DataFrame(rows).write_parquet(shop.events_folder / "events.parquet")

    (report,) = ingest(shop)

    assert quarantined(shop) == {2: "not_a_number", 3: "missing_unit_id", 4: "bad_timestamp"}
    assert report.accepted == 2


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    return tmp_path_factory.mktemp("shops")


WAYS = [change for changes in BROKEN.values() for change in changes]
GOOD = st.tuples(st.sampled_from([FIRST, SECOND]), st.integers(0, 8)).map(lambda of: as_ndjson([event(of[1], of[0])]))
BAD = st.tuples(st.sampled_from(WAYS), st.integers(0, 8)).map(lambda of: of[0](event(of[1])) + b"\n")
ANYTHING = st.binary(max_size=30).map(lambda text: text + b"\n")
FILES = st.lists(st.lists(st.one_of(GOOD, GOOD, BAD, ANYTHING), max_size=12), max_size=3)


@given(files=FILES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_row_read_is_accepted_repeated_or_quarantined(shops: Path, files: list[list[bytes]]) -> None:
    """Whatever lands, in whatever files: the parts add up, and an event is stored once."""
    shop = Shop(shops / str(len(list(shops.iterdir())))).release(FIRST, SECOND, subjects=9)
    contents = {b"".join(lines) for lines in files}
    whole = as_ndjson([event(0)])  # so that no file lacks a column in every row, or is taken for another kind
    for number, content in enumerate(sorted(contents)):
        (shop.events_folder / f"{number}.ndjson").write_bytes(whole + content)

    reports = ingest(shop)

    manifest = shop.warehouse.read("select rows_read, accepted, duplicates, quarantined from flywheel.landed_files")
    assert len(manifest) == len(reports) == len(contents)
    for read, accepted, duplicates, refused in manifest.iter_rows():
        assert accepted + duplicates + refused == read
    assert sum(report.read for report in reports) == sum((whole + content).count(b"\n") for content in contents)
    assert len(shop.warehouse.read("from flywheel.quarantine")) == manifest["quarantined"].sum()
    events = shop.warehouse.read("select turn, event_id from flywheel.events")
    assert len(events) == events.unique().height == manifest["accepted"].sum()
    assert shop.landing.ingest_events(loops=LOOPS, run_id="again", progress=lambda _: None) == []
