"""Shopify's product export (CSV) becomes subjects of the content loop, a product in each of its placements.

Here: the documented columns, of the form with `Handle` and of the newer one with `URL handle`.
Not here: which facts a loop uses: all that the export says of a product are written, under plain names.

Rows that share a handle are one product: the first one names it, the others add its variants and pictures.
"""

import csv
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path

from orchestration.connectors.converted import Converted, text_of

NAMES = {
    "handle": ("Handle", "URL handle"),
    "title": ("Title",),
    "body": ("Body (HTML)", "Description"),
    "brand": ("Vendor",),
    "category": ("Product Category", "Product category"),
    "type": ("Type",),
    "tags": ("Tags",),
    "status": ("Status",),
    "price": ("Variant Price", "Price"),
}
OPTIONS = tuple(
    (f"Option{n} {name}", f"Option{n} {value}") for n in (1, 2, 3) for name, value in (("Name", "Value"),)
) + (tuple((f"Option{n} name", f"Option{n} value") for n in (1, 2, 3)))
PLACEMENTS = ("description", "headline", "social")
NOT_FOR_SALE = "a product whose status is not active"
NO_TEXT = "a product without a title"


def convert(file: Path, placements: Sequence[str] = PLACEMENTS) -> Converted:
    """Subjects of the content loop. Raises ValueError when the file is no product export."""
    with io.StringIO(text_of(file), newline="") as opened:
        reader = csv.DictReader(opened)
        columns = reader.fieldnames or []
        if not any(name in columns for name in NAMES["handle"]) or "Title" not in columns:
            raise ValueError(
                f"{file.name} is no product export of Shopify: it has neither `Handle` nor `URL handle` with `Title` "
                f"(found: {', '.join(columns[:8])}). Export it under Products > Export, as plain CSV."
            )
        products: dict[str, list[dict[str, str]]] = {}
        for row in reader:
            products.setdefault(_cell(row, "handle"), []).append(row)
    found = Converted()
    for handle, rows in products.items():
        first = rows[0]
        if not handle or not _cell(first, "title"):
            found.left_out[NO_TEXT] += 1
        elif _cell(first, "status").lower() not in ("", "active"):
            found.left_out[NOT_FOR_SALE] += 1
        else:
            found.rows += [_subject(handle, rows, placement) for placement in placements]
    return found


def _subject(handle: str, rows: list[dict[str, str]], placement: str) -> dict[str, str]:
    first = rows[0]
    title, body = _cell(first, "title"), plain(_cell(first, "body"))
    category = _cell(first, "category").rpartition(">")[2].strip()
    prices = sorted({price for row in rows if (price := _cell(row, "price"))}, key=float)
    facts = {
        "title": title,
        "brand": _cell(first, "brand"),
        "department": _cell(first, "category").partition(">")[0].strip() or category,
        "type": _cell(first, "type") or title,
        "tags": _cell(first, "tags"),
        "price": f"{prices[0]} to {prices[-1]}" if len(prices) > 1 else "".join(prices),
        **_options(rows),
    }
    return {
        "subject_id": f"{handle}-{placement}",
        "format": placement,
        "category": category or _cell(first, "type") or "other",
        "original": body if placement == "description" and body else title,
        "size": "",
        **facts,
    }


def _options(rows: list[dict[str, str]]) -> dict[str, str]:
    """What a product comes in, such as size and colour: each option's values in their order."""
    found: dict[str, list[str]] = {}
    for name_column, value_column in OPTIONS:
        name = (rows[0].get(name_column) or "").strip().lower()
        values = [value for row in rows if (value := (row.get(value_column) or "").strip())]
        if name and name != "title" and values:
            found.setdefault(name, []).extend(dict.fromkeys(values))
    return {name: ", ".join(values) for name, values in found.items()}


def plain(markup: str) -> str:
    """The text of a product's HTML body, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def _cell(row: dict[str, str], name: str) -> str:
    return next((value for column in NAMES[name] if (value := (row.get(column) or "").strip())), "")
