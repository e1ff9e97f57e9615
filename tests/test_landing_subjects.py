"""What becomes of landed subjects: every version once, the latest in force, personal columns under pseudonyms."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration.assignment import holdout_salt, point
from orchestration.delivery import PerUnit
from orchestration.landing.folder import FileReport
from orchestration.landing.pseudonyms import Pseudonyms
from orchestration.loops.declaration import Loop, Subjects
from orchestration.testing.landed_events import LOOP, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def product(number: int, **other: Any) -> dict[str, Any]:
    return {
        "product_id": f"p{number}",
        "brand": "store brand",
        "size": "8 oz",
        "description": f"Green beans {number}",
        "category": "pantry",
    } | other


def land(shop: Shop, rows: list[dict[str, Any]], name: str) -> None:
    shop.landing.write("subjects", LOOP.name, rows, name)


def ingest(shop: Shop, loop: Loop = LOOP) -> list[FileReport]:
    return shop.landing.ingest_subjects(loop, run_id="run", progress=lambda _: None)


def in_force(shop: Shop, column: str = "original") -> dict[str, str]:
    latest = f"arg_max({column}, landed_order)"
    rows = shop.warehouse.read(f"select subject_id, {latest} from flywheel.landed_subjects group by all order by all")
    return dict(rows.iter_rows())


def quarantined(shop: Shop) -> dict[int, str]:
    return dict(shop.warehouse.read("select line, reason from flywheel.quarantine").iter_rows())


def test_a_row_becomes_a_subject_with_its_facts_in_the_order_declared(shop: Shop) -> None:
    land(shop, [product(1, size=None, note="not asked for")], "a")

    (report,) = ingest(shop)

    (row,) = shop.warehouse.read("select * exclude (file_hash) from flywheel.landed_subjects").to_dicts()
    assert len(row.pop("version")) == 32
    assert row == {
        "loop": "content",
        "subject_id": "p1",
        "format": "description",
        "category": "pantry",
        "original": "Green beans 1",
        "facts": '{"brand":"store brand","size":""}',
        "holdout_point": point(holdout_salt("content"), "p1"),
        "withdrawn": False,
        "landed_order": 1,
        "language": None,
    }
    assert (report.loop, report.accepted, report.ignored) == ("content", 1, ("note",))


def test_a_row_that_says_nothing_new_is_a_duplicate(shop: Shop) -> None:
    land(shop, [product(1), product(2), product(1)], "a")
    ingest(shop)
    land(shop, [product(1), product(2, size="16 oz"), product(3)], "b")

    (report,) = ingest(shop)

    assert (report.accepted, report.duplicates) == (2, 1)
    assert in_force(shop, "facts")["p2"] == '{"brand":"store brand","size":"16 oz"}'
    versions = shop.warehouse.read("select subject_id, version, landed_order from flywheel.landed_subjects")
    assert len(versions) == versions.unique(["subject_id", "version"]).height == 4
    assert versions["landed_order"].n_unique() == 4


def test_what_was_undone_is_in_force_again(shop: Shop) -> None:
    for name, text in (("a", "old"), ("b", "new"), ("c", "old")):
        land(shop, [product(1, description=text, note=name), product(2, note=name)], name)
        (report,) = ingest(shop)

    assert (report.accepted, report.duplicates) == (1, 1)
    assert in_force(shop)["p1"] == "old"
    assert len(shop.warehouse.read("from flywheel.landed_subjects")) == 3


def test_of_several_versions_in_a_file_the_last_is_in_force(shop: Shop) -> None:
    land(shop, [product(1, description=text) for text in ("one", "two", "one", "one")], "a")

    (report,) = ingest(shop)

    assert in_force(shop) == {"p1": "one"}
    assert (report.read, report.accepted, report.duplicates) == (4, 2, 2)


@pytest.mark.parametrize("column", ["product_id", "description", "category"])
def test_a_subject_needs_its_key_its_text_and_its_category(shop: Shop, column: str) -> None:
    land(shop, [product(1), product(2, **{column: " "}), product(3, **{column: None})], "a")

    (report,) = ingest(shop)

    assert quarantined(shop) == {2: f"missing_{column}", 3: f"missing_{column}"}
    assert report.accepted == 1


def test_facts_may_be_numbers_and_not_lists(shop: Shop) -> None:
    land(shop, [product(7, product_id=7, size=1.5, brand=True), product(2, size=["8", "oz"])], "a")

    ingest(shop)

    assert in_force(shop, "facts") == {"7": '{"brand":"true","size":"1.5"}'}
    assert quarantined(shop) == {2: "wrong_type"}


def test_the_format_comes_from_its_column_where_one_is_declared(shop: Shop) -> None:
    loop = replace(LOOP, subjects=replace(LOOP.subjects, format="placement"))
    land(shop, [product(1, placement="headline"), product(2, placement="")], "a")

    ingest(shop, loop)

    assert in_force(shop, "format") == {"p1": "headline"}
    assert quarantined(shop) == {2: "missing_placement"}


def test_personal_columns_are_stored_under_pseudonyms(shop: Shop) -> None:
    people = Subjects(
        key="customer",
        facts=("e-mail", "order"),
        original="letter",
        pool="tier",
        personal=("customer", "e-mail"),
    )
    row = {"customer": "jane", "e-mail": "jane@example.org", "order": "tea", "letter": "Dear customer", "tier": "gold"}
    land(shop, [row, row | {"customer": None}], "a")

    ingest(shop, replace(LOOP, subjects=people, delivery=PerUnit(unit="customer")))

    name = Pseudonyms.of(shop.settings).pseudonym
    (stored,) = shop.warehouse.read("select subject_id, facts from flywheel.landed_subjects").rows()
    assert stored[0] == name("jane")
    assert json.loads(stored[1]) == {"e-mail": name("jane@example.org"), "order": "tea"}
    assert quarantined(shop) == {2: "missing_customer"}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_every_format_gives_the_same_subjects(shop: Shop, tmp_path: Path, suffix: str) -> None:
    rows = [product(number, description=f'A "fine"\nbean, no. {number}', size='24"') for number in range(40)]
    land(shop, rows, "a")
    ingest(shop)
    other = Shop(tmp_path / "other")
    folder = other.settings.landing / "content" / "subjects"
    folder.mkdir(parents=True)
    frame = pl.DataFrame(rows)
    frame.write_csv(folder / "a.csv") if suffix == "csv" else frame.write_parquet(folder / "a.parquet")

    ingest(other)

    rows_of = "select * exclude (file_hash) from flywheel.landed_subjects order by landed_order"
    assert other.warehouse.read(rows_of).equals(shop.warehouse.read(rows_of))


def test_a_stray_quotation_mark_spoils_its_own_line_only(shop: Shop) -> None:
    folder = shop.settings.landing / "content" / "subjects"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text(
        "product_id,brand,size,description,category\n"
        'p1,b,24" wide,fine as it is,c\n'
        'p2,b,s,"never closed,c\n'
        "p3,b,s,unharmed,c\n"
        'p4,b,s,"closed, after all",c\n'
        "p5,b,s,unharmed too,c\n"
    )

    (report,) = ingest(shop)

    assert sorted(in_force(shop)) == ["p1", "p3", "p4", "p5"]
    assert in_force(shop)["p4"] == "closed, after all"
    assert in_force(shop, "facts")["p1"] == json.dumps({"brand": "b", "size": '24" wide'}, separators=(",", ":"))
    assert quarantined(shop) == {3: "broken_quotes"}
    assert (report.read, report.accepted) == (5, 4)


def test_two_loops_may_land_the_same_file(shop: Shop) -> None:
    other = replace(LOOP, name="knowledge")
    for loop in (LOOP, other):
        shop.landing.write("subjects", loop.name, [product(1), product(2, category="")], "a")

    reports = [*ingest(shop), *ingest(shop, other)]

    assert [report.accepted for report in reports] == [1, 1]
    assert reports[0].file_hash == reports[1].file_hash
    assert shop.warehouse.read("select loop, line from flywheel.quarantine order by loop").rows() == [
        ("content", 2),
        ("knowledge", 2),
    ]


def test_what_has_landed_is_not_rewritten(shop: Shop) -> None:
    path = shop.landing.write("subjects", "content", [product(1)], "a")

    assert shop.landing.write("subjects", "content", [product(1)], "a.ndjson") == path
    with pytest.raises(FileExistsError, match="land these under another name"):
        shop.landing.write("subjects", "content", [product(2)], "a")
    with pytest.raises(ValueError, match="no plain file name"):
        shop.landing.write("subjects", "content", [product(2)], "../a")
    with pytest.raises(ValueError, match="belong to a loop"):
        shop.landing.write("subjects", None, [product(2)], "a")
    assert [file.name for file in path.parent.iterdir()] == ["a.ndjson"]


def speaking(**options: Any) -> Loop:
    return replace(LOOP, subjects=replace(LOOP.subjects, language="language", **options))


def test_a_subject_may_say_its_language_and_a_file_may_lack_it(shop: Shop) -> None:
    land(shop, [product(1), product(2, language="DE"), product(3, language="de_AT"), product(4, language=" ")], "a")
    land(shop, [product(5)], "b")

    ingest(shop, speaking())

    assert in_force(shop, "coalesce(language, '')") == {"p1": "", "p2": "de", "p3": "de", "p4": "", "p5": ""}


def test_what_is_no_language_is_refused_and_another_language_is_a_new_version(shop: Shop) -> None:
    land(shop, [product(1), product(2, language="German"), product(3, language="d3"), product(4)], "a")
    land(shop, [product(1, language="fr"), product(4)], "b")

    ingest(shop, LOOP)
    _, again = ingest(shop, speaking()) or (None, None)

    assert again is None or again.duplicates == 1
    land(shop, [product(1, language="fr"), product(4), product(5, language="German")], "c")
    (report,) = ingest(shop, speaking())
    assert (report.accepted, report.duplicates, report.quarantined) == (1, 1, 1)
    assert list(quarantined(shop).values()) == ["unknown_language"]


def test_a_segment_may_stand_for_a_language(shop: Shop) -> None:
    loop = replace(LOOP, subjects=replace(LOOP.subjects, language="market", languages={"dach": "de", "latam": "es"}))
    land(shop, [product(1, market="dach"), product(2, market="latam"), product(3, market="moon"), product(4)], "a")

    ingest(shop, loop)

    assert in_force(shop, "coalesce(language, '')") == {"p1": "de", "p2": "es", "p4": ""}
    assert quarantined(shop) == {3: "unknown_language"}
