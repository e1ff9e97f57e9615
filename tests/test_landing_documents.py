"""What becomes of landed documents: every version once, the latest in force, what cannot be used in quarantine."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration.graph.library import finder
from orchestration.landing.folder import FileReport, RefusedFilesError
from orchestration.testing.landed_events import Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def document(number: int, **other: Any) -> dict[str, Any]:
    return {"document_id": f"d{number}", "title": f"Title {number}", "text": f"Text\n{number}", "url": None} | other


def land(shop: Shop, rows: list[dict[str, Any]], name: str, corpus: str = "articles") -> None:
    shop.landing.write("documents", corpus, rows, name)


def ingest(shop: Shop, corpus: str = "articles") -> list[FileReport]:
    return shop.landing.ingest_documents(corpus, run_id="run", progress=lambda _: None)


def stored(shop: Shop, columns: str = "document_id, title, text, source, url") -> list[tuple[Any, ...]]:
    return shop.warehouse.read(f"select {columns} from flywheel.landed_documents order by landed_order").rows()


def test_a_document_is_stored_with_its_corpus_and_found_again(shop: Shop) -> None:
    land(shop, [document(1, source="handbook", note="not asked for"), document(2, url="https://example.org/2")], "a")

    (report,) = ingest(shop)

    assert (report.loop, report.accepted, report.ignored) == ("articles", 2, ("note",))
    assert stored(shop, "corpus, document_id, title, text, source, url, landed_order") == [
        ("articles", "d1", "Title 1", "Text\n1", "handbook", None, 1),
        ("articles", "d2", "Title 2", "Text\n2", None, "https://example.org/2", 2),
    ]
    assert shop.landing.corpora() == ["articles"]
    assert shop.landing.pending("documents", "articles") == []


def test_each_file_counts_once_and_each_version_once(shop: Shop) -> None:
    for name, text in (("a", "old"), ("b", "new"), ("c", "old")):
        land(shop, [document(1, text=text, note=name), document(2)], name)
        (report,) = ingest(shop)
    land(shop, [document(1, text="new", note="b"), document(2)], "b-under-another-name")

    (again,) = ingest(shop)

    assert (report.accepted, report.duplicates) == (1, 1)
    assert again.already_ingested
    assert stored(shop, "document_id, text") == [("d2", "Text\n2"), ("d1", "new"), ("d1", "old")]


def test_a_document_needs_its_identity_its_title_and_its_text(shop: Shop) -> None:
    land(shop, [document(1), document(2, title=" "), document(3, text=None), document(4, text="x" * 1_000_001)], "a")

    (report,) = ingest(shop)

    assert report.accepted == 1
    assert shop.warehouse.read("select kind, loop, line, reason from flywheel.quarantine order by line").rows() == [
        ("documents", "articles", 2, "missing_title"),
        ("documents", "articles", 3, "missing_text"),
        ("documents", "articles", 4, "too_long"),
    ]


def test_a_file_without_texts_is_refused_as_a_whole(shop: Shop) -> None:
    land(shop, [{"document_id": "d1", "title": "t", "body": "b"}], "a")

    with pytest.raises(RefusedFilesError, match=r"documents/articles/a\.ndjson misses the column 'text'"):
        ingest(shop)
    assert stored(shop) == []


def test_two_corpora_may_hold_the_same_document(shop: Shop) -> None:
    for corpus in ("articles", "price_list"):
        land(shop, [document(1)], "a", corpus)
        assert [report.accepted for report in ingest(shop, corpus)] == [1]

    assert shop.landing.corpora() == ["articles", "price_list"]
    assert stored(shop, "corpus, document_id") == [("articles", "d1"), ("price_list", "d1")]


def test_passages_are_found_in_what_is_in_force(shop: Shop) -> None:
    land(shop, [document(1, title="Returns", text="Thirty days."), document(2, title="Fees", text="None.")], "a")
    ingest(shop)
    land(shop, [document(1, title="Returns", text="Sixty days.")], "b")
    ingest(shop)

    find = finder(shop.warehouse, ["articles"])

    assert find is not None
    assert [(found.document_id, found.text) for found in find("articles", "returns, how many days", 1)] == [
        ("d1", "Sixty days.")
    ]
    assert finder(shop.warehouse, ["price_list"]) is None
    with pytest.raises(LookupError, match="put files into landing/documents/price_list/"):
        find("price_list", "anything", 1)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_every_format_gives_the_same_documents(shop: Shop, tmp_path: Path, suffix: str) -> None:
    rows = [document(number, text=f'A "quoted"\ntext, no. {number}', source="s") for number in range(40)]
    land(shop, rows, "a")
    ingest(shop)
    other = Shop(tmp_path / "other")
    folder = other.settings.landing / "documents" / "articles"
    folder.mkdir(parents=True)
    frame = pl.DataFrame(rows, schema_overrides={"url": pl.String})
    frame.write_csv(folder / "a.csv") if suffix == "csv" else frame.write_parquet(folder / "a.parquet")

    ingest(other)

    assert stored(other) == stored(shop)
