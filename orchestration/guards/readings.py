"""What a reader sees in a text, whatever it is made of: the forms that word lists are held against.

Here: case, accents, spacing, hyphens, look-alike letters, invisible characters, emoji between letters, digits for
letters, letters spelled out or drawn out, and word stems.
Not here: lists (by_language), what a phrase of a list looks like (phrases), characters that may not be published at all
(characters).
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snowballstemmer import stemmer

STEMMERS = {"en": "english", "de": "german", "fr": "french", "es": "spanish"}
END = "|"
"""What stands for the end of a sentence: no phrase goes on behind it."""

_BLANK_LETTERS = dict.fromkeys(map(ord, "\u115f\u1160\u3164\uffa0\u2800"))
_SENTENCE_END = re.compile(r"[.!?…;:|]+(?=[\s\"'”’»)]|$)|[\r\n\u2028\u2029]+|\s[–—]\s")
_NO_WORD = re.compile(r"[^\w%|€$£]+|_+")
_INSIDE = re.compile(r"(?<=[^\W_])[^\w\s|%€$£]+(?=[^\W_])|(?<=[^\W_])_+(?=[^\W_])")
_SPELLED = re.compile(r"(?<![^ ])[^\W\d_](?: [^\W\d_]){3,}(?![^ ])")
_DRAWN_OUT = re.compile(r"([^\W\d_])\1{2,}")
_COVERED = re.compile(r"(?=\S*[^\W\d_]\S*[^\W\d_])(?=\S*[\d@$€!+|])[\w@$€!+|-]*[\w@€$]")
_SIGNS = {"0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g", "@": "a", "$": "s", "€": "e", "+": "t"}
_DIGITS_AS = tuple(str.maketrans({**_SIGNS, "1": one, "!": one, "|": one}) for one in "il")


@dataclass(frozen=True)
class Readings:
    """The ways in which a text can be read, each in lower case without accents, words parted by one space and
    sentences by `END`: `plain` as they stand and with disguises taken off, `stemmed` word by word."""

    plain: tuple[str, ...]
    stemmed: tuple[str, ...]


@lru_cache(maxsize=512)
def readings(text: str, language: str) -> Readings:
    """Every reading of a text; only the first is there for most."""
    seen = visible(text).casefold()
    forms = dict.fromkeys(_words(each) for each in (seen, _INSIDE.sub("", seen), *_uncovered(seen)))
    for form in tuple(forms):
        forms[_SPELLED.sub(lambda letters: letters[0].replace(" ", ""), form)] = None
    for form in tuple(forms):
        if _DRAWN_OUT.search(form):
            forms |= dict.fromkeys((_DRAWN_OUT.sub(r"\1", form), _DRAWN_OUT.sub(r"\1\1", form)))
    plain = tuple(dict.fromkeys(map(without_accents, forms)))
    return Readings(plain, tuple(dict.fromkeys(stemmed(form, language) for form in forms)))


def visible(text: str) -> str:
    """A text in its compatibility form (NFKC), look-alikes as the letters that they look like, and nothing unseen."""
    composed = unicodedata.normalize("NFKC", text.translate(_BLANK_LETTERS))
    if composed.isascii():
        return "".join(each for each in composed if each.isprintable() or each in "\n\r\t")
    latin = _look_alikes()
    kept = (
        latin.get(each, each)
        for each in composed
        if each in "\n\r\t" or unicodedata.category(each) not in ("Cc", "Cf", "Cn", "Co", "Cs", "Mn", "Me")
    )
    return "".join(kept)


def without_accents(text: str) -> str:
    if text.isascii():
        return text
    text = text.replace("œ", "oe").replace("æ", "ae").replace("ø", "o").replace("ł", "l")
    return "".join(each for each in unicodedata.normalize("NFD", text) if unicodedata.category(each) != "Mn")


def stemmed(words: str, language: str) -> str:
    """Each word's stem without accents (Snowball); the words themselves for a language without a stemmer."""
    return " ".join(_stem(word, language) for word in words.split(" "))


@lru_cache(maxsize=50_000)
def _stem(word: str, language: str) -> str:
    name = STEMMERS.get(language)
    return without_accents(_stemmer(name).stemWord(word) if name and len(word) > 3 else word)


@cache
def _stemmer(name: str) -> "stemmer":
    import snowballstemmer

    return snowballstemmer.stemmer(name)


def _words(text: str) -> str:
    """Words parted by one space, ends of sentences as END."""
    ended = _SENTENCE_END.sub(f" {END} ", text)
    return " ".join(_NO_WORD.sub(" ", ended).replace("%", " % ").split())


def _uncovered(text: str) -> list[str]:
    """The text with letters for the digits and signs that cover for them inside words; none where no word has any."""
    if not any(each in text for each in "0134578@$€!+|9"):
        return []
    read = [_COVERED.sub(lambda word, signs=signs: word[0].translate(signs), text) for signs in _DIGITS_AS]  # type: ignore[misc]
    return [form for each in dict.fromkeys(read) if each != text for form in (each, _INSIDE.sub("", each))]


@cache
def _look_alikes() -> dict[str, str]:
    """Letters of other scripts, each with the Latin letter that Unicode lists as confusable with it."""
    from confusable_homoglyphs.confusables import confusables_data

    found: dict[str, str] = {}
    for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ":
        for other in confusables_data.get(letter, ()):
            alike = other["c"]
            if len(alike) == 1 and unicodedata.category(alike)[0] == "L" and not _is_latin(alike):
                found.setdefault(alike, letter)
    small = {alike.lower(): letter.lower() for alike, letter in found.items() if len(alike.lower()) == 1}
    return {**{alike: letter for alike, letter in small.items() if not _is_latin(alike)}, **found}


def _is_latin(letter: str) -> bool:
    """Whether languages of Europe write with it; the dotless i and letters of phonetics are disguises there."""
    return letter.isascii() or ("\u00c0" <= letter <= "\u017f" and letter != "\u0131")
