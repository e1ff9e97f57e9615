"""What of a text can be read off its surface: a few dozen numbers, each with a name and a meaning.

Here: the interpretable features that the reward model reads beside the embedding.
Also word hashes: which words a text uses, in a fixed number of columns.
Not here: embeddings (model.text_embedding) and what any feature is worth (reward_model).

The choice follows published work on headlines: length, questions, numbers, forward reference and pronouns
(Lai and Farbrot 2014; Blom and Hansen 2015), negative and positive words (Robertson et al. 2023), and simple words
(Shulman, Markowitz and Rogers 2024). Shares are of words, so that length is told once, by `length`.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from orchestration.learning.texts.text_lexicon import (
    ABSOLUTE,
    CURIOSITY,
    FIRST_PERSON,
    FORWARD,
    FUNCTION_WORDS,
    HE_SHE,
    NEGATION,
    NEGATIVE,
    PEOPLE,
    POSITIVE,
    QUESTION_WORDS,
    SECOND_PERSON,
    TIME,
)

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?…]+(?=\s|$)")
_QUOTE = re.compile(r"[\"“”«»„]|(?<!\w)['‘]|['’](?!\w)")


@dataclass(frozen=True)
class Reading:
    """A text split once: `words` as written, `lower` in small letters with straight apostrophes."""

    text: str
    words: tuple[str, ...]
    lower: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Reading":
        words = tuple(_WORD.findall(text))
        return cls(text, words, tuple(word.lower().replace("’", "'") for word in words))

    def share(self, holds: Callable[[str], bool]) -> float:
        """Share of the words (in small letters) for which it holds; 0 for a text without words."""
        return sum(map(holds, self.lower)) / len(self.lower) if self.lower else 0.0


@dataclass(frozen=True)
class Feature:
    """One number read off a text, with its meaning in a sentence."""

    name: str
    meaning: str
    value: Callable[[Reading], float]


def _among(vocabulary: frozenset[str]) -> Callable[[Reading], float]:
    return lambda reading: reading.share(vocabulary.__contains__)


def _mentions(pattern: str) -> Callable[[Reading], float]:
    found = re.compile(pattern)
    return lambda reading: float(bool(found.search(reading.text)))


def _capitals(reading: Reading) -> float:
    words = [word for word in reading.words if len(word) > 1 and word.isalpha()]
    return sum(word.isupper() for word in words) / len(words) if words else 0.0


def _capitalised(reading: Reading) -> float:
    later = reading.words[1:]
    return sum(word[0].isupper() for word in later) / len(later) if later else 0.0


def _sentences(reading: Reading) -> float:
    text = reading.text.strip()
    ends = len(_SENTENCE_END.findall(text))
    return float(max(1, ends + (not _SENTENCE_END.search(text[-1:])))) if text else 0.0


FEATURES: tuple[Feature, ...] = (
    Feature("length", "Natural logarithm of one plus the number of words.", lambda r: float(np.log1p(len(r.words)))),
    Feature(
        "length_squared",
        "Square of `length`: lets a middle length be best.",
        lambda r: float(np.log1p(len(r.words)) ** 2),
    ),
    Feature(
        "word_length",
        "Mean letters per word.",
        lambda r: sum(map(len, r.words)) / len(r.words) if r.words else 0.0,
    ),
    Feature("long_words", "Share of words of eight letters or more.", lambda r: r.share(lambda word: len(word) >= 8)),
    Feature("function_words", "Share of grammatical words such as `the`, `of`, `is`.", _among(FUNCTION_WORDS)),
    Feature("sentences", "Number of sentences.", _sentences),
    Feature("commas", "Commas per word.", lambda r: r.text.count(",") / max(len(r.words), 1)),
    Feature("colon", "1 if a colon splits the text.", _mentions(r":(?:\s|$)")),
    Feature("dash", "1 if a dash or a parenthesis interrupts it.", _mentions(r"[–—(]|\s-{1,2}\s")),
    Feature("ellipsis", "1 if it trails off with dots.", _mentions(r"\.\.|…")),
    Feature("quote", "1 if it quotes somebody.", lambda r: float(bool(_QUOTE.search(r.text)))),
    Feature("question", "1 if it asks with a question mark.", _mentions(r"\?")),
    Feature("question_words", "Share of `what`, `why`, `how`, `who` and the like.", _among(QUESTION_WORDS)),
    Feature("exclamation", "1 if it exclaims.", _mentions("!")),
    Feature("digits", "Share of words with a digit.", lambda r: r.share(lambda word: any(map(str.isdigit, word)))),
    Feature(
        "number_first",
        "1 if it starts with a number, as lists do.",
        lambda r: float(bool(r.words) and r.words[0][0].isdigit()),
    ),
    Feature("capitals", "Share of words all in capitals.", _capitals),
    Feature("capitalised", "Share of later words that start with a capital: title case, or names.", _capitalised),
    Feature("first_person", "Share of `I`, `we`, `my` and the like.", _among(FIRST_PERSON)),
    Feature("second_person", "Share of `you`, `your` and the like: speaks to the reader.", _among(SECOND_PERSON)),
    Feature("he_she", "Share of `he`, `she`, `his`, `her`: tells of one person.", _among(HE_SHE)),
    Feature("people", "Share of words for people, such as `woman`, `kid`, `teacher`.", _among(PEOPLE)),
    Feature("forward", "Share of `this`, `these`, `here`: points to what the text keeps back.", _among(FORWARD)),
    Feature("curiosity", "Share of words that tease, such as `secret`, `guess`, `happened`.", _among(CURIOSITY)),
    Feature("absolute", "Share of words without exception, such as `ever`, `every`, `best`.", _among(ABSOLUTE)),
    Feature("time", "Share of words of time and haste, such as `minutes`, `now`, `today`.", _among(TIME)),
    Feature(
        "negation",
        "Share of `not`, `no`, `never` and contractions with n't.",
        lambda r: r.share(lambda word: word in NEGATION or word.endswith("n't")),
    ),
    Feature("negative", "Share of words of harm, loss, fear or anger.", _among(NEGATIVE)),
    Feature("positive", "Share of words of joy, gain or praise.", _among(POSITIVE)),
)

FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)


@lru_cache(maxsize=65_536)
def _features_of(text: str) -> tuple[float, ...]:
    reading = Reading.of(text)
    return tuple(feature.value(reading) for feature in FEATURES)


def text_features(texts: Sequence[str]) -> np.ndarray:
    """Features of texts, (n, len(FEATURE_NAMES)) in the order of FEATURE_NAMES; shares in [0, 1].

    Unaware of language: the word lists are English, elsewhere the shares of words are 0 and the rest still holds.
    """
    if not texts:
        return np.empty((0, len(FEATURES)))
    return np.array([_features_of(text) for text in texts])


def tone(text: str) -> float:
    """Positive minus negative words as a share of all words, in [-1, 1]; 0 for a neutral text."""
    values = dict(zip(FEATURE_NAMES, _features_of(text), strict=True))
    return values["positive"] - values["negative"]


@lru_cache(maxsize=65_536)
def _column_and_sign(word: str, columns: int) -> tuple[int, float]:
    digest = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
    return digest % columns, 1.0 if (digest >> 40) & 1 else -1.0


def word_hashes(texts: Sequence[str], columns: int = 256) -> np.ndarray:
    """Which words each text uses, (n, columns): rows of length one, zero for a text without words.

    Signed feature hashing (Weinberger et al. 2009): no vocabulary to keep, and a word never seen costs nothing.
    """
    table = np.zeros((len(texts), columns))
    for row, text in enumerate(texts):
        for word in set(Reading.of(text).lower):
            column, sign = _column_and_sign(word, columns)
            table[row, column] += sign
    return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
