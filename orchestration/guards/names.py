"""Proper names in a text, and whether the facts know them.

Here: which words a text presents as names (capitals where the language has none), and matching a word with facts in
capitals and short forms ("CHOC CHIP" knows "Chocolate Chip").
Not here: numbers (quantities) and what follows from an unknown name (grounding).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from orchestration.guards.lexicon import is_name, kind, word_set

_SENTENCE = re.compile(r"[.!?…:;•|\n—–]+[\"'”’)]*\s+|\n+|[\"“„«(]")
_WORD = re.compile(r"[^\W\d_][\w'’&-]*", re.UNICODE)
_SPOKEN = re.compile(r"https?://\S+|www\.\S+|\S+@\S+")
_LISTED_NOUNS = re.compile(r",\s+|\s+(?:und|oder|sowie|mit|für)\s+")  # German nouns beside these are a list
_HASHTAG = re.compile(r"#(\w+)")
_CAMEL = re.compile(r"[A-Z]?[a-zà-ÿ]+|[A-Z]+(?![a-zà-ÿ])|\d+")
_POSSESSIVE = re.compile(r"['’]s$")
_CONTRACTED = re.compile(r"['’](?:d|ll|ve|re|m|t)$", re.IGNORECASE)
_LINKS = word_set("of the and & de la du des van von der den di del da do dos y et und e en")
# Capitalised in English without naming anything that a fact would have to state.
_ALWAYS_FINE = word_set(
    """i i'm i'll i've i'd ok okay monday tuesday wednesday thursday friday saturday sunday january february march
    april may june july august september october november december mon tue wed thu fri sat sun bbq diy tv usa us
    uk eu pm am mr mrs ms dr mom dad grandma grandpa a&e q&a p.s ps new free oz lb ct tgif xoxo fyi"""
)


@dataclass(frozen=True)
class Name:
    """Words that a text presents as one name, and how: `sure` is false where capitals alone suggest it."""

    words: tuple[str, ...]
    sure: bool

    def __str__(self) -> str:
        return " ".join(self.words)


@dataclass(frozen=True)
class Vocabulary:
    """The words of some facts, as they may come back in a text."""

    words: frozenset[str]
    joined: frozenset[str]

    @classmethod
    def of(cls, values: Iterable[str]) -> "Vocabulary":
        words: list[list[str]] = [_parts(value) for value in values]
        pairs = {first + second for row in words for first, second in pairwise(row)}
        return cls(frozenset(word for row in words for word in row), frozenset(pairs))

    def knows(self, word: str) -> bool:
        """Whether the facts hold the word, its plural, a short form of it, or it run together or misspelt."""
        return all(self._knows(part) for part in _parts(word))

    def _knows(self, word: str) -> bool:
        forms = {word, word.removesuffix("s"), word.removesuffix("es"), f"{word}s", f"{word}es"}
        if word.endswith("y"):
            forms.add(word[:-1] + "ies")
        if word.endswith("ies"):
            forms.add(word[:-3] + "y")
        if forms & self.words or forms & self.joined:
            return True
        return any(_abbreviates(known, form) for known in self.words for form in (word, word.removesuffix("s")))


def _parts(text: str) -> list[str]:
    """Words in lower case; a possessive loses its s, and hyphens part."""
    return [
        re.sub(r"['’]s?$", "", part).replace("'", "").replace("’", "")
        for part in re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.casefold())
    ]


def _abbreviates(short: str, word: str) -> bool:
    """Whether `short` ("choc", "sherbts", "frzn") is a short form of `word`: same start, its letters in order, most of
    the consonants kept; or a beginning of four letters or more."""
    if len(short) < 3 or len(short) >= len(word) or short[0] != word[0]:
        return False
    if len(short) >= 4 and word.startswith(short):
        return True
    rest = iter(word)
    if not all(letter in rest for letter in short):
        return False
    consonants = [letter for letter in word if letter not in "aeiouy"]
    kept = [letter for letter in short if letter not in "aeiouy"]
    return len(kept) >= max(2, 0.75 * len(consonants))


def names(text: str, language: str, known: Vocabulary) -> list[Name]:
    """Names in a text that `known` does not hold.

    In English the lexicon tells emphasis from names: a lone capitalised everyday word ("our Creamy soup") is emphasis,
    two together ("Simple Truth") are a name; at the start of a sentence and in titles, where capitals say nothing, only
    words known as names or to no lexicon count. Elsewhere capitals inside a sentence count; in German, where every
    noun has one, only two together do.
    """
    text = _SPOKEN.sub(" ", text)
    closed = text.rstrip("\"'”’) ").endswith(".")  # titles take no full stop
    found = [name for tag in _HASHTAG.findall(text) for name in _in_title(_CAMEL.findall(tag), known, language)]
    text = _HASHTAG.sub(" ", text)
    if language == "de":
        text = _LISTED_NOUNS.sub("\n", text)
    for sentence in _SENTENCE.split(text):
        words = _WORD.findall(sentence)
        if not words:
            continue
        title = _is_title(words) and not closed
        found += _in_title(words, known, language) if title else _in_prose(words, known, language)
    return list(dict.fromkeys(found))


def _is_title(words: list[str]) -> bool:
    """Whether capitals say nothing here: nearly every longer word has one."""
    longer = [word for word in words[1:] if len(word) > 3]
    return len(longer) >= 2 and sum(word[0].isupper() for word in longer) >= 0.75 * len(longer)


def _fine(word: str, known: Vocabulary) -> bool:
    plain = _POSSESSIVE.sub("", word.casefold()).replace("’", "'")
    return plain in _ALWAYS_FINE or known.knows(word)


def _in_title(words: list[str], known: Vocabulary, language: str) -> Iterator[Name]:
    if language != "en":
        return  # without a lexicon a title's capitals tell nothing
    for word in words:
        if word[0].isupper() and not _fine(word, known) and kind(_POSSESSIVE.sub("", word)) != "common":
            yield Name((word,), sure=True)


def _in_prose(words: list[str], known: Vocabulary, language: str) -> Iterator[Name]:
    first, *rest = words
    group: list[str] = []
    if language == "en" and first[0].isupper() and not _fine(first, known) and _opens_as_name(first):
        group.append(first)
    for word in [*rest, ""]:
        if word[:1].isupper() and not (language == "en" and word.isupper() and kind(word) == "common"):
            if not _fine(word, known):
                group.append(word)
            continue
        if group and word.casefold() in _LINKS:
            continue
        if group:
            yield from _judged(tuple(group), language)
        group = []


def _opens_as_name(word: str) -> bool:
    """Whether the first word of an English sentence, capitalised anyway, is a name: "Kroger", "Sally's", or a word that
    no lexicon holds (of 11,879 sentences of bank customers 0.2 % start with one, mostly names)."""
    plain = _POSSESSIVE.sub("", word)
    if plain != word:
        return is_name(plain)
    return kind(word) != "common" and not _CONTRACTED.search(word)


def _judged(group: tuple[str, ...], language: str) -> Iterator[Name]:
    if language == "de":
        if len(group) > 1:
            yield Name(group, sure=False)
    elif language != "en":
        yield Name(group, sure=False)
    elif any(kind(word) != "common" for word in group):
        yield Name(group, sure=True)
    elif len(group) > 1 or _opens_as_name(group[0]):
        yield Name(group, sure=False)
