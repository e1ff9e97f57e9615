"""How a user's own file says what a loop declares: its own column names, its separator, what all of its rows share.

Here: the words for it, and which columns that nobody declared lend themselves as facts.
Not here: the file that a user writes it in (flywheel_file) and reading landed files (landing).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from orchestration.guards.lexicon import word_set

# What a name ends in that is an identifier, an address, bookkeeping, a person's or the house's own business: true
# of a subject, and nothing that a reader is told. What is wanted all the same is declared among the facts.
_NO_FACT = word_set(
    """id ids sku skus ean gtin upc isbn asin mpn guid uuid uid hash checksum handle slug artikelnummer artikelnr
    barcode url urls uri link links href permalink image images img imgs bild bilder photo photos picture pictures
    thumbnail html at by created updated modified timestamp ingested inserted deleted etag status stock inventory
    bestand lagerbestand lager email mail phone telephone telefon mobile fax iban customer customers kunde kunden
    contact kontakt supplier suppliers lieferant cost costs margin marge ek einkaufspreis wholesale internal
    intern"""
)
_PARTS = re.compile(r"[^\W\d_]+", re.UNICODE)
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, kw_only=True)
class AsLanded:
    """`names` maps declared columns to those of the file, `separator` parts the fields of its CSV (found out when
    None), `format` is that of rows which name none. `by_user` says that a user wrote this down, and not the loop's
    author.
    """

    names: Mapping[str, str] = field(default_factory=dict, hash=False)
    separator: str | None = None
    format: str | None = None
    by_user: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", MappingProxyType(dict(self.names)))
        if self.separator is not None and (len(self.separator) != 1 or self.separator in "\"'\r\n"):
            raise ValueError(f"A separator is one character, such as ';', unlike {self.separator!r}.")

    def of(self, column: str) -> str:
        """What the file calls a declared column."""
        return self.names.get(column, column)


def lends_a_fact(column: str) -> bool:
    """Whether a column that nobody declared is shown as a fact: its name says that it is about the subject."""
    parts = [part.casefold() for part in _PARTS.findall(_HUMPS.sub(" ", column))]
    return bool(parts) and not column.startswith("_") and parts[-1] not in _NO_FACT and parts[0] != "id"


def undeclared_facts(found: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """The columns of a file, in their order, that become facts beside the `known` ones; names are alike in any case."""
    taken = {name.casefold() for name in known}
    facts = []
    for name in found:
        if name.casefold() not in taken and lends_a_fact(name):
            facts.append(name)
            taken.add(name.casefold())
    return tuple(facts)
