"""Does it say only what the brief's facts say?

Here: numbers, prices, names, addresses on the web and statements of what a thing is made of, held against the facts.
Not here: claims that a brand bans or wants backed (brand), and taste.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestration.guards.fact_values import addresses, codes, posing, trusted
from orchestration.guards.lexicon import word_set
from orchestration.guards.names import Vocabulary, names
from orchestration.guards.prices import Amount, amounts, is_price, prices, without_prices
from orchestration.guards.quantities import Quantity, fact_quantities, mixed_words, quantities
from orchestration.guards.readings import visible
from orchestration.guards.verdict import Draft, Verdict

_MADE = re.compile(
    r"\b(?:made|crafted|prepared|brewed|baked|blended|filled|infused|enriched|fortified|packed|topped|seasoned|flavou?red|"
    r"loaded|bursting|sweetened|mixed|stuffed|coated|sourced|imported|grown|harvested|produced)"
    r" (?:only |entirely |fresh |locally |by hand |right )?(?:with|from|in|of)\b|"
    r"\b(?:contains?|ingredients? (?:are|include)|blend of|mix of|combination of|notes of|hints? of|a touch of)\b",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(
    r"[.!?;:()\n—–]|, (?:so|but|which|this|it|you|we|making|perfect|ideal)\b|\b(?:for|to|that|so|this|it|is|are)\b"
)
_ITEMS = re.compile(r",|&|\+|\band\b|\bor\b", re.IGNORECASE)
# What a thing may be full of without any fact: no substance, place or maker.
_INTANGIBLE = word_set(
    """love care heart hand hands ease mind taste tastes flavor flavors flavour flavours goodness quality freshness
    fun joy ingredient ingredients texture simplicity attention detail family kitchen home season style color
    colour character minute minutes time seconds bowl oven batch batches pan one box bag pack package jar bottle
    can"""
)
_SKIPPED = word_set(
    """a an the our your its real fresh only finest best simple pure natural all more just every each some any most
    delicious rich quality high good great with from of in"""
)


@dataclass(frozen=True)
class Grounded:
    """Blocks numbers and addresses that no fact gives; flags names, and substances and origins, that none gives.

    What came into a fact to be repeated is left to a person even where the fact gives it: addresses, voucher codes, and
    words of a part that poses as another fact.

    A wrong number is wrong whatever a person thinks of it, and reading numbers is exact. Names are read from capitals,
    which may be mere emphasis, so a person decides; so for what a thing is said to be made of, and for numbers spelled
    as words without a unit ("two reasons to smile").
    """

    name: str = "grounded"

    def __call__(self, draft: Draft) -> Verdict:
        facts = trusted(draft.facts)
        values = tuple(facts.values())
        known_prices = _prices(facts, draft.original)
        # A bare price is a number of money and lends itself to nothing that is counted.
        counting = tuple(value for name, value in facts.items() if not is_price(name))
        text = without_prices(draft.text)
        wrong = [
            *_wrong_prices(draft.text, known_prices),
            *_unstated_numbers(text, counting, known_prices),
            *_unstated_addresses(draft.text, values),
        ]
        doubtful = [*_spelled_numbers(text, counting), *_doubtful_prices(draft.text, known_prices)]
        known = Vocabulary.of((*values, *draft.facts))
        repeated = list(_repeated(draft, values, known))
        doubtful += [f"the name {name!s}" for name in names(text, draft.language, known)]
        if draft.language == "en":
            doubtful += [f"{item!r} in it" for item in _unstated_substances(draft.text, known)]
        found = list(dict.fromkeys([*wrong, *doubtful]))
        if not found and not repeated:
            return Verdict(self.name, "pass", "Every number and name is in the facts.")
        reasons = [f"No fact gives {'; '.join(found)}."] if found else []
        reasons += [f"A person must look at {'; '.join(repeated)}."] if repeated else []
        return Verdict(self.name, "block" if wrong else "flag", " ".join(reasons))


def grounded() -> Grounded:
    return Grounded()


def _unstated(text: str, values: tuple[str, ...]) -> Iterator[Quantity]:
    stated: list[Quantity] | None = None
    for quantity in quantities(text):
        if stated is None:
            stated = fact_quantities(values)
        if not any(quantity.states(fact) for fact in stated):
            yield quantity


def _prices(facts: Mapping[str, str], original: str) -> list[Amount]:
    """The prices that facts say; what the text in force said of one counts where no other fact does."""
    others = {name: value for name, value in facts.items() if value != original}
    return prices(others) or prices(facts)


def _wrong_prices(text: str, known: list[Amount]) -> Iterator[str]:
    return (f"the price {it.shown}" for it in amounts(text) if not any(it.is_of(price) for price in known))


def _doubtful_prices(text: str, known: list[Amount]) -> Iterator[str]:
    for amount in amounts(text):
        if (of := [price for price in known if amount.is_of(price)]) and all(price.currency is None for price in of):
            yield f"the currency of {amount.shown}"


def _unstated_numbers(text: str, values: tuple[str, ...], known_prices: list[Amount]) -> Iterator[str]:
    cents = {price.cents for price in known_prices}
    for quantity in _unstated(text, values):
        if quantity.counted is None and any(
            of is None and round(number * 100) in cents for of, _, number in quantity.readings
        ):
            continue  # a price without its currency
        if not quantity.spelled or _measured(quantity):
            yield f"the number {quantity.shown}{f' {quantity.counted}' if quantity.counted else ''}"
    facts = " ".join(values).casefold()
    yield from (f"the number {word}" for word in mixed_words(text) if word.casefold() not in facts)


def _spelled_numbers(text: str, values: tuple[str, ...]) -> Iterator[str]:
    return (f"the number {q.shown!r}" for q in _unstated(text, values) if q.spelled and not _measured(q))


def _measured(quantity: Quantity) -> bool:
    return any(dimension is not None for dimension, _, _ in quantity.readings)


def _unstated_addresses(text: str, values: tuple[str, ...]) -> Iterator[str]:
    facts = " ".join(values).casefold()
    return (f"the address {found}" for found in addresses(text) if found.casefold().rstrip("./") not in facts)


def _repeated(draft: Draft, values: tuple[str, ...], known: Vocabulary) -> Iterator[str]:
    """What a text took over that a fact may have been written for: addresses, codes, parts that pose as a fact."""
    facts = " ".join(values).casefold()
    yield from (f"the address {it}" for it in addresses(draft.text) if it.casefold().rstrip("./") in facts)
    yield from (f"the code {it}" for it in codes(draft.text))
    posed = {word for part in posing(draft.facts) for word in re.findall(r"[^\W_]{3,}", part.partition(":")[2] or part)}
    spoken = {word.casefold() for word in re.findall(r"[^\W_]{3,}", visible(draft.text))}
    yield from (
        f"{it!r}, which poses as a fact" for it in sorted(posed) if it.casefold() in spoken and not known.knows(it)
    )


def _unstated_substances(text: str, known: Vocabulary) -> Iterator[str]:
    """What a text says that a thing is made of, filled with or comes from, item by item, unless the facts name it."""
    for trigger in _MADE.finditer(text):
        clause = _CLAUSE_END.split(text[trigger.end() :], maxsplit=1)[0]
        for item in _ITEMS.split(clause):
            words = [word for word in re.findall(r"[^\W\d_]+", item)[:6] if word.casefold() not in _SKIPPED]
            if words and not any(known.knows(word) or word.casefold() in _INTANGIBLE for word in words):
                yield " ".join(words)
