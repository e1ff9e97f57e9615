"""What a fact may lend to a text, and what in it is not a fact at all.

Here: how facts are shown in a prompt, parts of a value that pose as another fact, and what copy may not repeat unseen:
addresses, voucher codes.
Not here: whether a text keeps to its facts (grounding).
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache

from orchestration.guards.characters import without_unprintable
from orchestration.guards.readings import visible

_LINE_BREAK = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+|\\[nr]|<br ?/?>", re.IGNORECASE)
_POSES = re.compile(r"\s*(?:[-*>\"'{,]\s*)?(?:#{1,6}\s+\S|[\"']?[^\W\d_][\w .-]{0,40}[\"']?\s*[:=]\s*\S)")
_MARKUP = re.compile(r"[<>`{}]|\[/?[A-Z]+\]|\*\*|__|\]\(|&[a-z]+;|^\s*#", re.IGNORECASE)
_BRACKETED_DOT = re.compile(r"\s?[\[({]\s?(?:\.|dot|punkt|point|punto)\s?[\])}]\s?", re.IGNORECASE)
_SCHEME = re.compile(
    r"\b(?:[a-z][a-z0-9+.-]+://\S+|(?:javascript|mailto|tel|data|sms):\S+|www\.\S+)|[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    re.IGNORECASE,
)
_DOMAIN = re.compile(r"(?<![\w@.])(?:[^\W_](?:[\w-]*[^\W_])?\.)+(?P<top>[^\W\d_]{2,})(?![\w-]|\.\w)")
_ANNOUNCED = re.compile(
    r"(?i:\b(?:\w*codes?|voucher|coupon|\w*gutschein\w*|cup[oó]n|promo|c[oó]digo(?: de descuento| promocional)?|"
    r"bon(?: de r[ée]duction)?)\b)(?i:\s*(?:is|lautet|est|es|:|=|promo|avantage))*\s*[\"'“„«]?"
    r"(?P<code>(?=[A-Z0-9_-]*[A-Z])[A-Z0-9][A-Z0-9_-]{3,})"
)
_CODE = re.compile(r"(?<![\w-])[A-Z]{4,}[-_]?\d{1,4}(?![\w-])")
_OF_A_DOCUMENT = re.compile(r"\[[^\]]+\]")


def as_prompt_line(name: str, value: str) -> str:
    """A fact on one line, `name: value`; in quotation marks where the value is more than plain words."""
    shown = _on_one_line(value)
    if shown != value or '"' in value or _MARKUP.search(value) or any(addresses(value)) or any(codes(value)):
        shown = json.dumps(shown.replace("<|", "< |").replace("|>", "| >"), ensure_ascii=False)
    return f"{_on_one_line(name).replace('<|', '< |')}: {shown}"


def _on_one_line(text: str) -> str:
    clean = without_unprintable(_LINE_BREAK.sub(" ", text))
    return text if clean == text and "\t" not in text else " ".join(clean.split())


def trusted(facts: Mapping[str, str]) -> dict[str, str]:
    """Facts without the parts of a value that pose as another fact: `beans\\nbrand: Rolex` says beans."""
    return {name: "\n".join(_parts(name, value, facts)[0]) for name, value in facts.items()}


def posing(facts: Mapping[str, str]) -> list[str]:
    """The parts of values that pose as another fact."""
    return [part for name, value in facts.items() for part in _parts(name, value, facts)[1]]


def addresses(text: str) -> Iterator[str]:
    """Addresses of the web and of mail in a text: with a scheme, or with any top-level domain there is."""
    composed = unicodedata.normalize("NFKC", without_unprintable(text))
    for form in dict.fromkeys((composed, visible(text))):  # a domain may be of another script, or only look like one
        yield from _addresses_in(_BRACKETED_DOT.sub(".", form.replace("。", ".")))


def _addresses_in(seen: str) -> Iterator[str]:
    taken: list[tuple[int, int]] = []
    for match in _SCHEME.finditer(seen):
        taken.append(match.span())
        yield match[0].rstrip(".,;:!?)\"'")
    for match in _DOMAIN.finditer(seen):
        inside = any(start < match.end() and match.start() < end for start, end in taken)
        sentence = match["top"].istitle() and match[0][0].islower()  # "one.Two" lacks a space
        if not inside and not sentence and match["top"].lower() in _top_level_domains():
            yield match[0]


def codes(text: str) -> Iterator[str]:
    """Voucher codes in a text: announced as such, or four capitals or more with a number at the end."""
    seen = visible(text)
    yield from dict.fromkeys([*(match["code"] for match in _ANNOUNCED.finditer(seen)), *_CODE.findall(seen)])


def _parts(name: str, value: str, facts: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """(what is said of a fact, what poses as another one)."""
    if _OF_A_DOCUMENT.match(name):
        return [value], []  # a passage of a document: its lines are its own
    named = "|".join(re.escape(each) for each in facts if each)
    pieces = _LINE_BREAK.split(value)
    first = (
        re.split(rf"(?<=\S)[\s;,|/]+(?=(?:{named})\s*[:=])", pieces[0], flags=re.IGNORECASE) if named else pieces[:1]
    )
    rest = [*first[1:], *pieces[1:]]
    return (
        [first[0], *(piece for piece in rest if not _POSES.match(piece))],
        [piece for piece in rest if _POSES.match(piece)],
    )


@cache
def _top_level_domains() -> frozenset[str]:
    """Every top-level domain of the Public Suffix List that the package tldextract carries."""
    import tldextract

    listed = tldextract.TLDExtract(suffix_list_urls=(), fallback_to_snapshot=True, cache_dir=None).tlds
    return frozenset(suffix.rsplit(".", 1)[-1].lower() for suffix in listed)
