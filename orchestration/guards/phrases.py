"""Phrases of word lists: how one is written, and whether a text says it.

A phrase is words. `guarante*` is any word that begins so, `*frei` any that ends so, `(baby|babies|skin type)` one
of several, `(very)?` what may be missing, `..` up to three words of any kind, `_` one word that a match gives, articles
before it left out. Words match in all their inflections (by their stems), whatever their case, accents and hyphens; the
space between two of them may be missing.

Here: compiling phrases, and finding them in the readings of a text.
Not here: readings, and the lists themselves (by_language).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from orchestration.guards.readings import Readings, stemmed, without_accents

_CHOICE = re.compile(r"\([^()]+\)\??")
_ELEMENT = re.compile(r"\([^()]*\)\??|\S+")
_ANY_WORDS = r"(?: ?| (?:[^ |]+ ){1,3}?)"
_A_WORD = r"(?:(?:the|a|an|our|der|die|das|den|dem|unsere[nmr]?|le|la|les|l|un|une|notre|nos|el|los|las|una) )*([^ |]+)"
_INFLECTED = 5
"""Letters from which a word has inflections: stems of shorter ones are other words too often."""
_UMLAUTS = str.maketrans({"ä": "ä\x00", "ö": "ö\x00", "ü": "ü\x00", "ß": "ss"})


@dataclass(frozen=True)
class Phrases:
    """Phrases of one language."""

    written: tuple[str, ...]
    language: str

    @cached_property
    def _plain(self) -> re.Pattern[str]:
        return _any_of(_pattern(phrase, self.language, stems=False) for phrase in self.written)

    @cached_property
    def _stemmed(self) -> re.Pattern[str]:
        return _any_of(_pattern(phrase, self.language, stems=True) for phrase in self.written)

    def matches(self, text: Readings, *, inflected: bool = True) -> Iterator[re.Match[str]]:
        """Every place of every reading that says one of these phrases, `inflected` or only as they are written."""
        if not self.written:
            return
        for form in text.plain:
            yield from self._plain.finditer(form)
        for form in text.stemmed if inflected else ():
            yield from self._stemmed.finditer(form)

    def said_in(self, text: Readings, *, inflected: bool = True) -> list[str]:
        """What a text says of these phrases, in lower case; each once."""
        as_written = list(dict.fromkeys(match[0] for match in self.matches(text, inflected=False)))
        if as_written or not inflected:
            return as_written
        return list(dict.fromkeys(match[0] for match in self.matches(text)))


def phrases(written: Sequence[str], language: str) -> Phrases:
    """Raises ValueError naming a phrase that cannot be read."""
    for phrase in written:
        bare = _CHOICE.sub("", phrase) if isinstance(phrase, str) else "?"
        if not str(phrase).strip(" *.?") or any(sign in bare for sign in "()|?") or ")*" in phrase:
            raise ValueError(f"{phrase!r} is no phrase: write words, with *, (a|b), (a)?, _ and .. where needed.")
    return Phrases(tuple(written), language)


def _any_of(patterns: Iterator[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![^ ])(?:{'|'.join(patterns)})(?![^ ])")


def _pattern(phrase: str, language: str, *, stems: bool) -> str:
    parts: list[str] = []
    elements = _ELEMENT.findall(phrase)
    for element, following in zip(elements, [*elements[1:], None], strict=True):
        # What stands for any word must begin as one: only other words may be run together.
        space = "" if following in (None, "..") else " " if following == "_" else " ?"
        if element == "..":
            parts.append(_ANY_WORDS)
        elif element == "_":
            parts.append(_A_WORD + space)
        else:
            parts.append(_choice(element, space, language, stems=stems))
    return "".join(parts)


def _choice(element: str, space: str, language: str, *, stems: bool) -> str:
    body = element[:-1] if element.endswith("?") else element
    choices = body[1:-1].split("|") if body.startswith("(") else [body]
    read = "|".join(" ?".join(_word(word, language, stems=stems) for word in one.split()) for one in choices)
    return f"(?:(?:{read}){space})?" if element.endswith("?") else f"(?:{read}){space}"


def _word(word: str, language: str, *, stems: bool) -> str:
    plain = word.casefold()
    if plain == "*":
        return r"[^ |]+"
    if "*" in plain:
        return r"[^ |]*".join(_letters(part) for part in plain.split("*"))
    inflected = stems and len(plain) >= _INFLECTED
    return re.escape(stemmed(plain, language)) if inflected else _letters(plain)


def _letters(word: str) -> str:
    """A word's letters without accents; an umlaut may also be written with an e."""
    return re.escape(without_accents(word.translate(_UMLAUTS))).replace("\\\x00", "e?").replace("\x00", "e?")
