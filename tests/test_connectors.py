"""Exports of other systems, in the forms that their makers document, become rows that landing takes in."""

import csv
import json

import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.connectors import ga4_events, segment_events, shopify_products
from orchestration.connectors.converted import NO_VARIANT, NOT_COUNTED, NOT_READ

SHOPIFY = [
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,"
    "Option2 Value,Variant SKU,Variant Price,Image Src,Status",
    'wool-jumper,Wool jumper,"<p>Knitted in <b>merino</b> wool.</p><p>Wash&nbsp;cold.</p>",Nordlys,'
    'Apparel & Accessories > Clothing,Jumper,"winter, wool",true,Size,S,Colour,Blue,J-S,79.00,,active',
    "wool-jumper,,,,,,,,,M,,Blue,J-M,79.00,,",
    "wool-jumper,,,,,,,,,L,,Red,J-L,84.00,,",
    "old-hat,Old hat,,Nordlys,,Hat,,false,Title,Default Title,,,H,20.00,,archived",
]
NEWER = [
    "Title,URL handle,Description,Vendor,Product category,Type,Tags,Status,SKU,Option1 name,Option1 value,Price",
    "Tea,tea,Black tea.,Leaf,Food > Drinks,Tea,,Active,T,Title,Default Title,4.50",
]


def written(folder, name, lines):
    file = folder / name
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return file


def test_a_product_with_its_variants_is_one_subject_in_each_placement(tmp_path):
    found = shopify_products.convert(written(tmp_path, "products.csv", SHOPIFY))
    assert [row["subject_id"] for row in found.rows] == [
        "wool-jumper-description",
        "wool-jumper-headline",
        "wool-jumper-social",
    ]
    jumper = found.rows[0]
    assert jumper["original"] == "Knitted in merino wool. Wash cold."
    assert found.rows[1]["original"] == "Wool jumper"
    assert (jumper["size"], jumper["colour"]) == ("S, M, L", "Blue, Red")
    assert (jumper["brand"], jumper["type"], jumper["price"]) == ("Nordlys", "Jumper", "79.00 to 84.00")
    assert (jumper["department"], jumper["category"]) == ("Apparel & Accessories", "Clothing")
    assert dict(found.left_out) == {shopify_products.NOT_FOR_SALE: 1}


def test_the_newer_form_of_the_export_is_read_too(tmp_path):
    found = shopify_products.convert(written(tmp_path, "products.csv", NEWER), placements=["description"])
    (tea,) = found.rows
    assert (tea["subject_id"], tea["original"], tea["price"], tea["size"]) == (
        "tea-description",
        "Black tea.",
        "4.50",
        "",
    )


def test_a_file_that_is_no_product_export_is_refused_with_what_it_holds(tmp_path):
    with pytest.raises(ValueError, match=r"no product export of Shopify.*found: a, b"):
        shopify_products.convert(written(tmp_path, "orders.csv", ["a,b", "1,2"]))


GA4 = {"event_timestamp": "1768212000123456", "user_pseudo_id": "17.42", "event_bundle_sequence_id": 1}


def test_google_analytics_typed_parameters_become_exposures_and_purchases_of_each_item(tmp_path):
    def parameter(key, value):
        return {"key": key, "value": {"string_value": value, "int_value": None}}

    shown = {
        **GA4,
        "event_name": "view_item",
        "event_params": [
            parameter("subject_id", "tea-description"),
            parameter("variant_id", "v1"),
            parameter("release_id", "r1"),
        ],
    }
    items = [{"item_id": "tea", "price": 4.5, "quantity": 2}, {"item_id": "cup", "price": 9.0}]
    bought = {**GA4, "event_name": "purchase", "event_params": [], "items": items}
    untagged = {**GA4, "event_name": "view_item", "items": [{"item_id": "tea"}]}
    lines = [shown, bought, untagged, {**GA4, "event_name": "scroll"}, {"event_name": "view_item"}, 7]
    found = ga4_events.convert(written(tmp_path, "export.json", lines), "content")
    exposure, tea, cup = found.rows
    assert exposure["occurred_at"] == "2026-01-12T10:00:00.123456Z"
    assert (exposure["variant_id"], exposure["release_id"], exposure["unit_id"]) == ("v1", "r1", "17.42")
    assert (tea["subject_id"], tea["value"], cup["value"]) == ("tea", 9.0, 9.0)
    assert len({row["event_id"] for row in found.rows}) == 3
    assert dict(found.left_out) == {NO_VARIANT: 1, NOT_COUNTED: 1, NOT_READ: 2}


def test_track_calls_of_segment_and_rudderstack_are_one_form(tmp_path):
    def call(event, message, **properties):
        about = {"type": "track", "anonymousId": "a1", "messageId": message, "timestamp": "2026-01-12T10:00:00.000Z"}
        return {**about, "event": event, "properties": properties}

    lines = [
        call("Product Viewed", "m1", product_id="p1", variant_id="v1", unit_id="u1"),
        call("Order Completed", "m2", products=[{"product_id": "p1", "price": 5, "quantity": 3}, {"sku": "p2"}]),
        call("Newsletter Joined", "m3", subject_id="p1", value="2.5"),
        {"type": "page", "messageId": "m4"},
    ]
    names = segment_events.NAMES.changed([], ["complaint = Newsletter Joined"])
    found = segment_events.convert(written(tmp_path, "calls.ndjson", lines), "content", names)
    viewed, first, second, joined = found.rows
    assert (viewed["event_type"], viewed["unit_id"], first["unit_id"]) == ("exposure", "u1", "a1")
    assert (first["value"], "value" in second, joined["event_type"]) == (15.0, False, "complaint")
    assert dict(found.left_out) == {NOT_READ: 1}


def test_the_same_export_converted_twice_gives_the_same_events(tmp_path):
    file = written(tmp_path, "export.json", [{**GA4, "event_name": "purchase", "items": [{"item_id": "tea"}]}])
    assert ga4_events.convert(file, "content").rows == ga4_events.convert(file, "content").rows


def test_the_command_lands_what_it_converted_and_says_what_it_left_out(tmp_path, monkeypatch):
    monkeypatch.setenv("FLYWHEEL_HOME", str(tmp_path / "home"))
    file = written(tmp_path, "products.csv", SHOPIFY)
    tried = CliRunner().invoke(app, ["convert", "shopify", str(file), "--dry-run"])
    assert "3 rows." in tried.output
    assert not (tmp_path / "home" / "landing").exists()
    done = CliRunner().invoke(app, ["convert", "shopify", str(file)])
    assert "1 left out: a product whose status is not active" in done.output
    (landed,) = (tmp_path / "home" / "landing" / "content" / "subjects").glob("*.ndjson")
    assert len(landed.read_text(encoding="utf-8").splitlines()) == 3


def test_an_outcome_that_names_no_event_is_refused():
    with pytest.raises(ValueError, match="OUTCOME=EVENT"):
        segment_events.NAMES.changed([], ["click"])


def test_a_text_with_line_breaks_in_a_cell_is_one_product(tmp_path):
    file = tmp_path / "products.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([["Handle", "Title", "Body (HTML)"], ["a", "A", "one\ntwo, three"]])
    assert shopify_products.convert(file, ["description"]).rows[0]["original"] == "one two, three"
