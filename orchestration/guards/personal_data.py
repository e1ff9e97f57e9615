"""Does it give away personal data?

Here: identifiers with a form or a checksum (e-mail, phone, card, IBAN, social security number, IP address, log-in in a
link), and postal addresses and persons' names as far as rules reach.
Not here: pseudonymising what lands (graph.assets.landing). Reasons name the kind and the place, never the data.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from orchestration.guards.lexicon import is_everyday, is_name, word_set
from orchestration.guards.verdict import Draft, Verdict

Kind = Literal["e-mail address", "phone number", "card number", "IBAN", "social security number", "IP address",
               "log-in", "postal address", "person's name"]  # fmt: skip
# Exact kinds block; rules for the last two err too often to decide alone.
_A_PERSON_DECIDES: frozenset[Kind] = frozenset({"postal address", "person's name"})

# Where a number without a country code may be dialled, by language; the first ones are the most likely.
REGIONS: Mapping[str, tuple[str, ...]] = {
    "en": ("US", "GB", "AU"), "de": ("DE", "AT", "CH"), "fr": ("FR", "BE", "CA"), "es": ("ES", "MX"), "it": ("IT",),
    "pt": ("PT", "BR"), "nl": ("NL", "BE"),
}  # fmt: skip

_EMAIL = re.compile(
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|[\w.+-]+ ?[\[(]at[\])] ?[\w-]+ ?(?:\.|[\[(]dot[\])]) ?\w{2,}", re.IGNORECASE
)
_LOG_IN = re.compile(
    r"\bhttps?://[^\s/@:]+(?::[^\s/@]*)?@[^\s/]+|[?&](?:user|login|token|email|password)=[^\s&]+", re.IGNORECASE
)
_IPV4 = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\d|\.\d)")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}(?::?[0-9a-f]{1,4})(?![\w:])", re.IGNORECASE)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b", re.IGNORECASE)
_CARD = re.compile(r"(?<![\d+])\d(?:[ -]?\d){11,18}(?!\d)")
_SSN = re.compile(r"(?<!\d)\d{3}[- ]\d{2}[- ]\d{4}(?!\d)")
_PHONE_LEAD = re.compile(
    r"(?:\+(?=[1-9])|\b(?:tel|phone|telephone|mobile|cell|fax|desk|call|text|dial|ring|reach|whatsapp|anruf|"
    r"telefon|appelez|llam\w+|number is|"
    r"(?:call|reach|phone|text|contact) \w+ (?:on|at))\b"
    r"[^\d+\n]{0,24}\n?\s*)(?P<number>[+(]?\d(?:[\s().x/-]*\d){6,14})",
    re.IGNORECASE,
)

_STREET = (
    r"(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|place|pl|square|sq|terrace|parkway|pkwy|"
    r"highway|hwy|crescent|close|gardens|mews|trail|plaza|union|route|alley|loop|row|walk)"
)
_STREET_AFFIXED = (
    r"\w{3,}(?:stra(?:ß|ss)e|str|gasse|weg|platz|allee|gatan|vägen|gata|väg|vej|gade|gate|veien|straat|laan|plein|kade|"
    r"katu|tie|kuja|polku|ulica|utca)"
)
_STREET_LED = (
    r"(?:rue|via|viale|piazza|corso|calle|avenida|av|paseo|plaza|carrera|rúa|rua|travessa|praça|estrada|ulica|ul|chemin|"
    r"allée|quai|impasse|strada|ctra|bd|karl|corner of)"
)
_PART = r"[^\W\d_][\w'’.-]*"
_ADDRESS = re.compile(
    rf"\b\d{{1,5}}[A-Za-z]?,? (?:{_PART} ){{1,4}}{_STREET}\b\.?|"
    rf"\b{_STREET_AFFIXED}\.? \d{{1,5}}\b|\b\d{{1,5}} {_STREET_AFFIXED}\b|"
    rf"\b{_STREET_LED}\.? (?:{_PART}\s){{1,5}}\d{{1,5}}\b|\b\d{{1,5}},? {_STREET_LED}\.? {_PART}(?: {_PART}){{0,4}}|"
    rf"\b{_PART}(?: {_PART})? (?:u|utca|út|tér|körút)\.? \d{{1,4}}\.?|"
    rf"\bP\.? ?O\.? ?Box \d+|\b(?:PSC|Unit|CMR) \d+,? Box \d+|\b(?:APO|FPO|DPO),? (?-i:[A-Z]{{2}}) \d{{5}}|"
    rf"\b(?:Apt|Suite|Apartment|Flat)\.? \d+|\b{_PART}(?: {_PART})?,? (?-i:[A-Z]{{2}}),? \d{{5}}(?:-\d{{4}})?\b",
    re.IGNORECASE,
)

_CAPITALISED = r"[^\W\d_a-zà-ÿ][\w'’-]*"
_TITLED = re.compile(
    r"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Sir|Madam|Herr|Frau|Monsieur|Madame|Señora?|Signora?|Dhr|Mevr)\.? "
    rf"(?P<name>{_CAPITALISED}(?: (?:[A-Z]\.? )?{_CAPITALISED})*)"
)
_INTRODUCED = re.compile(
    r"\b(?:[Mm]y name(?: is|'s)|[Nn]ame:|[Nn]amed|[Ii]'m|[Ii] am|[Cc]all me|[Dd]ear|[Hh]i|[Hh]ello|"
    r"[Hh]ey|[Ss]igned,?|[Rr]egards,?|"
    rf"[Hh]eißt|[Hh]eiße|[Jj]e m'appelle|[Mm]e llamo) (?P<name>{_CAPITALISED}(?: (?:[A-Z]\.? )?{_CAPITALISED}){{0,2}})"
)
_NOT_A_PERSON = word_set(
    """the a an group inc llc ltd corp corporation company co associates investments bank resources solutions
    partners systems technologies services union kingdom states island islands new south north east west southern
    northern eastern western port saint fort lake mount beach city county park street avenue road act day weekly
    times post club country university college school orchestra brand foods farms kitchen company's store market
    america africa europe asia grocery sauce cheese bread milk coffee tea"""
)
_FULL = re.compile(  # overlapping, since a sentence's first word may stand before a name
    rf"(?<![\w.'’-])(?=(?P<name>{_CAPITALISED}(?: [A-Z]\.?)?(?: {_CAPITALISED}){{1,2}}))"
)


@dataclass(frozen=True)
class Finding:
    """A stretch [start, end) of a text that holds personal data."""

    kind: Kind
    start: int
    end: int


def personal_data(text: str, language: str = "en") -> list[Finding]:
    """Everything found, in order; of overlapping stretches the surer kind stays."""
    found: list[Finding] = []
    for detect in _DETECTORS:
        for finding in detect(text, language):
            if not any(finding.start < other.end and other.start < finding.end for other in found):
                found.append(finding)
    return sorted(found, key=lambda finding: finding.start)


@dataclass(frozen=True)
class NoPersonalData:
    """Blocks identifiers; flags postal addresses and persons' names unless the brief's facts hold them."""

    name: str = "no_personal_data"

    def __call__(self, draft: Draft) -> Verdict:
        facts = " ".join(draft.facts.values()).casefold()
        found = [
            finding
            for finding in personal_data(draft.text, draft.language)
            if not (finding.kind in _A_PERSON_DECIDES and draft.text[finding.start : finding.end].casefold() in facts)
        ]
        if not found:
            return Verdict(self.name, "pass", "None found.")
        places = ", ".join(f"{finding.kind} at character {finding.start + 1}" for finding in found)
        blocked = any(finding.kind not in _A_PERSON_DECIDES for finding in found)
        return Verdict(self.name, "block" if blocked else "flag", f"Personal data: {places}.")


def no_personal_data() -> NoPersonalData:
    return NoPersonalData()


def _matching(pattern: re.Pattern[str], kind_: Kind, valid: Callable[[str], bool] | None = None) -> "_Detector":
    def detect(text: str, _: str) -> Iterator[Finding]:
        for match in pattern.finditer(text):
            if valid is None or valid(match[0]):
                yield Finding(kind_, match.start(), match.end())

    return detect


def _is_iban(text: str) -> bool:
    from stdnum import iban

    return bool(iban.is_valid(text.upper(), check_country=False))


def _is_card(text: str) -> bool:
    from stdnum import luhn

    return bool(luhn.is_valid(re.sub(r"\D", "", text)))


def _is_ssn(text: str) -> bool:
    """Form only: the list of groups once issued ended in 2011. 000, 666, 9xx, 00 and 0000 were never issued."""
    area, group, serial = re.split(r"[- ]", text)
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _phones(text: str, language: str) -> Iterator[Finding]:
    """Numbers that a numbering plan knows, or that a word such as "call" announces."""
    if sum(character.isdigit() for character in text) < 6:
        return
    import phonenumbers

    for region in REGIONS.get(language.split("-")[0], ("US",)):
        for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.VALID):
            yield Finding("phone number", match.start, match.end)
    for announced in _PHONE_LEAD.finditer(text):
        yield Finding("phone number", announced.start("number"), announced.end("number"))


def _persons(text: str, language: str) -> Iterator[Finding]:
    for pattern in (_TITLED, _INTRODUCED):
        for match in pattern.finditer(text):
            if not all(is_everyday(word) and not is_name(word) for word in match["name"].split()):
                yield Finding("person's name", match.start("name"), match.end("name"))
    for match in _FULL.finditer(text):
        if language == "en" and _is_full_name(match["name"].split()):
            yield Finding("person's name", match.start("name"), match.end("name"))


def _is_full_name(words: list[str]) -> bool:
    """Whether capitalised neighbours look like first and last name: none is an everyday word, or the first is known as
    a name and the last is not an organisation's or a place's."""
    words = [re.sub(r"['’]s?$", "", word) for word in words]
    long = [word for word in words if len(word.rstrip(".")) > 1]
    if any(word.casefold() in _NOT_A_PERSON for word in words):
        return False
    everyday = [is_everyday(word) for word in long]
    return all(not plain or is_name(word) for word, plain in zip(long, everyday, strict=True)) and not all(everyday)


_Detector = Callable[[str, str], Iterator[Finding]]
_DETECTORS: tuple[_Detector, ...] = (
    _matching(_LOG_IN, "log-in"),
    _matching(_EMAIL, "e-mail address"),
    _matching(_IBAN, "IBAN", _is_iban),
    _matching(_CARD, "card number", _is_card),
    _matching(_SSN, "social security number", _is_ssn),
    _matching(_IPV4, "IP address"),
    _matching(_IPV6, "IP address"),
    _phones,
    _matching(_ADDRESS, "postal address"),
    _persons,
)
