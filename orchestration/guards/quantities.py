"""Numbers as they are written, and what they may mean.

Here: reading quantities with their units ("16OZ", "1 1/2 lb", "50 %", "two pounds") and telling whether one states
another.
Not here: what follows when a quantity is stated nowhere (grounding).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from orchestration.guards.lexicon import word_set

_UNITS: dict[str, dict[str, float]] = {  # dimension -> alias -> size in grams, millilitres, metres, ...
    "mass": {
        "mg|milligrams?": 0.001,
        "g|gr|gm|grams?|gramm|grammes?|gramos?|grammi|gramas?": 1,
        "kg|kgs|kilos?|kilograms?|kilogramm": 1000,
        "oz|ozs|onz|ounces?|unzen?|onces?|onzas?|onças?": 28.349523,
        "lb|lbs|pounds?|pfund|livres?|libras?|libbre|pond": 453.59237,
    },
    "volume": {
        "ml|mls|milliliters?|millilitres?": 1,
        "cl|centiliters?|centilitres?": 10,
        "dl|deciliters?|decilitres?": 100,
        "l|lt|ltr|liters?|litres?|litros?|litri": 1000,
        "fl\\.? ?oz|fluid ounces?|oz|ozs|onz|ounces?": 29.573530,
        "pt|pts|pints?": 473.176473,
        "qt|qts|quarts?": 946.352946,
        "gal|gals|gallons?": 3785.411784,
        "cups?": 236.588236,
        "tbsp|tablespoons?": 14.786765,
        "tsp|teaspoons?": 4.928922,
    },
    "length": {
        "mm": 0.001,
        "cm": 0.01,
        "inch|inches|in|”|\"|''": 0.0254,
        "ft|feet|foot": 0.3048,
        "yd|yds|yards?": 0.9144,
    },
    "area": {"sq\\.? ?ft|square feet|square foot": 0.09290304, "sq\\.? ?in|square inch(?:es)?": 0.00064516},
    "share": {"%|pct|percent|per cent|prozent|por ciento|por cento|pour cent|per cento|procent": 0.01},
    "energy": {"cals?|kcal|calories?|kalorien|calorías|calorie": 1},
    "time": {
        "seconds?|secs?": 1,
        "minutes?|mins?|minuten|minutos|minuti": 60,
        "hours?|hrs?|stunden?|heures?|horas?|ore|uur": 3600,
        "days?|tage?|jours?|días?|dias?|giorni|dagen": 86400,
        "weeks?|wochen?|semaines?|semanas?|settimane|weken": 604800,
        "years?|yrs?|jahren?|ans?|años?|anos?|anni|jaar": 31557600,
    },
    "dollars": {"dollars?|usd|bucks": 1, "cents?|¢": 0.01},
    "euros": {"€|euros?|eur": 1},
    "sterling": {"£|gbp": 1},
}
_SIZE = [
    (re.compile(alias, re.IGNORECASE), dimension, size)
    for dimension, aliases in _UNITS.items()
    for alias, size in aliases.items()
]
_ANY_UNIT = "|".join(sorted((alias for of in _UNITS.values() for alias in of), key=len, reverse=True))
_FRACTIONS = {"½": 0.5, "⅓": 1 / 3, "⅔": 2 / 3, "¼": 0.25, "¾": 0.75, "⅛": 0.125}
_WORDS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "hundred": 100,
    "thousand": 1000, "million": 1_000_000, "dozen": 12, "twice": 2,
}  # fmt: skip
_ONLY_WITH_UNIT = {"one": 1.0, "a": 1.0, "an": 1.0, "half": 0.5, "half a": 0.5, "quarter": 0.25}

_COUNTS = frozenset({"st", "nd", "rd", "th", "s", "ct", "pk", "pc", "pcs", "x"})  # may be glued to a number
_NOT_COUNTED = word_set("of and or for in to at with per x by is are a an the that this on from as it - ct")

_PLAIN = r"\d{1,3}(?:[,.]\d{3})+(?:[.,]\d+)?|\d+(?:[.,]\d+)?|[.]\d+"
_NUMBER = (
    r"(?P<whole>\d+)[ -](?P<num>\d+)/(?P<den>\d+)|(?P<n>\d+)/(?P<d>\d+)|"
    rf"(?P<w>\d*) ?(?P<f>[{''.join(_FRACTIONS)}])|(?P<plain>{_PLAIN})"
)
_DIGITS = re.compile(
    rf"(?<![\w.])(?P<money>[$€£#] ?)?(?:{_NUMBER})(?:[ -]?(?P<unit>{_ANY_UNIT})(?![^\W_]))?"
    r"(?P<tail>[^\W\d_]*)(?:[ -](?P<of>[^\W\d_]+))?",
    re.IGNORECASE,
)
_SPELLED = re.compile(
    rf"\b(?P<word>{'|'.join(sorted([*_WORDS, *_ONLY_WITH_UNIT], key=len, reverse=True))})"
    rf"(?:[ -](?:of )?(?P<unit>{_ANY_UNIT})(?![^\W_]))?\b",
    re.IGNORECASE,
)
_MIXED = re.compile(r"(?<![\w#@])(?=\w*\d)(?=\w*[^\W\d_])\w+(?:-\w+)*", re.UNICODE)
_BARE_UNIT = re.compile(rf"^\s*(?P<unit>{_ANY_UNIT})\s*$", re.IGNORECASE)

TOLERANCE = 0.01  # "355 ml" states 12 fl oz


@dataclass(frozen=True)
class Quantity:
    """A number in a text. `readings` are what it may mean: (dimension or None, size in base units, number).

    `counted` is the word that follows a number without a unit, in lower case.
    """

    shown: str
    readings: frozenset[tuple[str | None, float, float]]
    spelled: bool = False
    counted: str | None = None

    def states(self, fact: "Quantity") -> bool:
        """Whether one reading of this is one reading of `fact`.

        Sizes are compared within a dimension, so 16 oz states 1 lb. A number without a measure states any fact of the
        same number ("50" states 50 oz) unless it counts something ("50 crackers" does not); a measure that the fact
        lacks states nothing.
        """
        return any(
            (dimension is None and (known is None or not self.counted) and _close(number, known_number))
            or (dimension is not None and dimension == known and _close(size, known_size))
            for dimension, size, number in self.readings
            for known, known_size, known_number in fact.readings
        )


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE * max(abs(one), abs(other))


def quantities(text: str) -> list[Quantity]:
    """Every number of a text in order: digits, then numbers in English words."""
    return [*_in_digits(text), *_in_words(text)]


def fact_quantities(values: Iterable[str]) -> list[Quantity]:
    """Every number that facts state, in every reading that their short forms allow.

    "2 LB 5 OZ" states its sum too, "6-2 OZ" also the product, "6/12 OZ" a pack of six as well as a half, and a size
    that is only a unit ("PT") one of it.
    """
    found: list[Quantity] = []
    for value in values:
        own = quantities(value)
        if "/" in value:
            own += quantities(value.replace("/", " / "))
        bare = _BARE_UNIT.match(value)
        if bare:
            own.append(_quantity(value, (1.0,), bare["unit"]))
        found += own
        found += [together for pair in pairwise(own) if (together := _together(*pair, value))]
    return found


def mixed_words(text: str) -> list[str]:
    """Words of letters and digits that are no quantity, such as "B12" or "3D"."""
    return [word for word in _MIXED.findall(text) if not (read := _DIGITS.match(word)) or _is_word(read)]


def _is_word(match: re.Match[str]) -> bool:
    return bool(match["tail"]) and match["tail"].lower() not in _COUNTS


def _in_digits(text: str) -> Iterator[Quantity]:
    for match in _DIGITS.finditer(text):
        if _is_word(match):
            continue  # judged as a word
        sign = (match["money"] or "").strip()
        unit = sign if sign in ("€", "£") else "dollars" if sign == "$" else match["unit"]
        counted = (match["of"] or "").lower()
        end = match.start("of") - 1 if match["of"] else match.end()
        shown = text[match.start() : end].strip()
        if unit and unit.lower() == "in" and counted:
            unit = None  # "3 in a row"
        yield _quantity(shown, _values(match), unit, counted=None if counted in _NOT_COUNTED else counted or None)


def _in_words(text: str) -> Iterator[Quantity]:
    for match in _SPELLED.finditer(text):
        word = match["word"].lower()
        if match["unit"] is None and word not in _WORDS:
            continue
        value = _WORDS.get(word, _ONLY_WITH_UNIT.get(word, 0.0))
        time = match["unit"] and any(d == "time" and a.fullmatch(match["unit"]) for a, d, _ in _SIZE)
        if word not in _WORDS and time:
            continue  # "a day", "one week": no claim
        yield _quantity(match[0], (value,), match["unit"], spelled=True)


def _values(match: re.Match[str]) -> tuple[float, ...]:
    if match["den"]:
        return (int(match["whole"]) + int(match["num"]) / max(int(match["den"]), 1),)
    if match["d"]:
        return (int(match["n"]) / max(int(match["d"]), 1),)
    if match["f"]:
        return (float(match["w"] or 0) + _FRACTIONS[match["f"]],)
    plain = match["plain"]
    readings = {plain.replace(",", ""), plain.replace(",", ".")}  # "1,000" is a thousand, or one in much of Europe
    return tuple(float(reading) for reading in readings if reading.count(".") <= 1)


def _quantity(
    shown: str, values: Iterable[float], unit: str | None, spelled: bool = False, counted: str | None = None
) -> Quantity:
    values = tuple(values)
    sizes: list[tuple[str | None, float]] = [
        (dimension, size) for alias, dimension, size in _SIZE if unit and alias.fullmatch(unit)
    ]
    if not sizes:
        return Quantity(shown, frozenset((None, value, value) for value in values), spelled, counted)
    if unit and unit.lower() in ("cup", "cups"):
        sizes.append((None, 1.0))  # also a vessel to count
    readings = frozenset((of, value * size if of else value, value) for value in values for of, size in sizes)
    return Quantity(shown, readings, spelled)


def _together(first: Quantity, second: Quantity, value: str) -> Quantity | None:
    """Two neighbours of a fact as one quantity: a sum of like sizes, or a count of sizes."""
    both = rf"{re.escape(first.shown)}\s*[-xX×/ ]?\s*{re.escape(second.shown)}"
    if not re.search(both, value):
        return None
    readings = frozenset(
        (dimension, size * number if of is None else size + other, 0.0)
        for of, other, number in first.readings
        for dimension, size, _ in second.readings
        if dimension is not None and of in (None, dimension)
    )
    return Quantity(f"{first.shown} {second.shown}", readings) if readings else None
