"""Prices in a text, held against the facts that are prices.

Here: which facts are prices, what a number beside a currency states of them, and in which currency.
Not here: numbers of any other kind (grounding, quantities) and claims about price (claims).

A price is not rounded: where 355 ml are 12 fl oz, 60 € are not 59.90 €. Nor is it taken from anywhere else: 42 € are
not size 42, and what the text in force said of a price is not what the fact says now.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_NAMES_A_PRICE = re.compile(
    r"price|preis|prix\b|precio|prezzo|pre[cç]o|prijs|\bpris\b|\bcena\b|\bfares?\b|\bfees?\b|tarif|\bmsrp\b|\brrp\b|\buvp\b",
    re.IGNORECASE,
)
_CURRENCIES: Mapping[str, str] = {
    "USD": r"us\$|usd|\$|us.?dollars?|dollars?|bucks",
    "EUR": r"€|eur|euros?",
    "GBP": r"£|gbp|pounds? sterling|quid",
    "CHF": r"chf|sfr\.?|swiss francs?|schweizer franken|franken|francs? suisses?",
    "JPY": r"¥|jpy|yen",
    "SEK": r"sek|kronor",
    "NOK": r"nok|kroner",
    "DKK": r"dkk",
    "PLN": r"pln|zł|zloty|złotych",
    "CZK": r"czk|kč",
    "CAD": r"ca\$|c\$|cad",
    "AUD": r"au\$|a\$|aud",
    "INR": r"₹|inr|rupees?",
    "BRL": r"r\$|brl|reais",
    "CNY": r"cny|rmb|yuan",
}
_ANY = "|".join(
    sorted((alias for aliases in _CURRENCIES.values() for alias in aliases.split("|")), key=len, reverse=True)
)
_NUMBER = r"\d{1,3}(?:[.,'’\u00a0\u202f ]\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,]\d{1,2})?(?!\d)"
_MONEY = re.compile(
    rf"(?<![\w.,])(?:(?P<before>{_ANY}) ?(?P<first>{_NUMBER})(?:[.,][-–—]+)?|"
    rf"(?P<second>{_NUMBER})(?:[.,][-–—]+)?[ -]?(?P<after>{_ANY})(?![^\W_]))",
    re.IGNORECASE,
)
_PLAIN = re.compile(rf"(?<![\w.,]){_NUMBER}")


@dataclass(frozen=True)
class Amount:
    """An amount of money in hundredths, with its currency as an ISO 4217 code, None where nothing says it."""

    shown: str
    cents: int
    currency: str | None

    def is_of(self, fact: "Amount") -> bool:
        """Whether this states the price `fact`, in its currency or in one that nobody names."""
        return self.cents == fact.cents and (self.currency is None or fact.currency in (None, self.currency))


def amounts(text: str) -> list[Amount]:
    """Every number beside a currency, in order."""
    found = []
    for match in _MONEY.finditer(text):
        code = _code(match["before"] or match["after"])
        found.append(Amount(match[0].strip(), _cents(match["first"] or match["second"]), code))
    return found


def prices(facts: Mapping[str, str]) -> list[Amount]:
    """The prices among facts: amounts of money in any, and every number of those that are prices by their name."""
    said = {code for name, value in facts.items() for code in _currencies(name, value)}
    common = said.pop() if len(said) == 1 else None
    found: list[Amount] = []
    for name, value in facts.items():
        found += amounts(value)
        if is_price(name):
            own = _currency_in(name) or common
            bare = _MONEY.sub(" ", value)
            found += [Amount(number, _cents(number), own) for number in _PLAIN.findall(bare)]
    return found


def is_price(name: str) -> bool:
    """Whether a fact is a price by its name."""
    return _NAMES_A_PRICE.search(name.replace("_", " ")) is not None


def without_prices(text: str) -> str:
    """The text with its amounts of money blanked out: what is left are numbers of other kinds."""
    return _MONEY.sub(" ", text)


def _currencies(name: str, value: str) -> Iterator[str]:
    """Currencies that a fact names: as its whole value, or beside a number."""
    for code, aliases in _CURRENCIES.items():
        if re.fullmatch(aliases, value.strip(), re.IGNORECASE):
            yield code
    yield from (amount.currency for amount in amounts(value) if amount.currency)
    if is_price(name) and (named := _currency_in(name)):
        yield named


def _currency_in(name: str) -> str | None:
    words = re.split(r"[\W_]+", name.casefold())
    return next(
        (code for code, aliases in _CURRENCIES.items() if any(re.fullmatch(aliases, word) for word in words if word)),
        None,
    ) or next((code for code, sign in (("EUR", "€"), ("GBP", "£"), ("USD", "$")) if sign in name), None)


def _code(alias: str) -> str | None:
    return next((code for code, of in _CURRENCIES.items() if re.fullmatch(of, alias, re.IGNORECASE)), None)


def _cents(number: str) -> int:
    """Hundredths of an amount: what parts a last group of three are thousands, one or two digits are a fraction."""
    plain = re.sub(r"['’\u00a0\u202f ]|[.,](?=\d{3}(?:\D|$))", "", number).replace(",", ".")
    whole, _, fraction = plain.partition(".")
    return int(whole) * 100 + int(f"{fraction}00"[:2])
