"""Does it make sense?

Here: how likely a text is nonsense, false about its product or against its facts, judged as a reader labelled such
texts (tests/data): from what it adds to the facts, how close that is to the product, and its phrases.
Not here: numbers and names (grounding), claims (brand), other languages than English, for which there are no labels.

The weights are those of a logistic regression, fitted by `python -m benchmarks.makes_sense --write` on the labels of
the split `train` alone. No model is asked, so the judgement is the same whatever writes the texts.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from math import exp
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from orchestration.guards.lexicon import word_set
from orchestration.guards.verdict import Draft, Verdict

if TYPE_CHECKING:
    from wordllama.inference import WordLlamaInference

WEIGHTS = Path(__file__).with_name("sense.json")
PRODUCT = "<product>"

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|[?!#:]")
_SAYS_NOTHING = word_set(
    """a an and any anyone are as at be by can could day do does each enough every everyone for from get gets
    give go goes good got great had has have here how if in into is it its just keep know let like little look
    make makes making many me more most much my need needs new next no not now of off on one or our out over
    own perfect put quick quickly easy ready say see she he so some something special take than that the their
    them then there these they this those time to today tonight too try up us use used using very want wants
    was way we what when where which who whose will with without you your yours yourself simple always never
    shelf shelves brand store national simply while oh yes well also about after before course"""
)
_NEGATIONS = word_set("can't don't without not never no won't doesn't didn't isn't aren't")
_PRONOUNS = word_set("they it it's they're them")
_WORLDS = (
    "food eat meal dish cook recipe taste",
    "drink beverage glass sip thirsty",
    "clean wash wipe soap laundry spill",
    "skin hair body shower bath",
    "breakfast morning toast cereal",
    "dinner supper evening meal",
    "snack party movie bite",
    "kitchen bathroom home storage wrap",
    "cat dog pet",
)


@dataclass(frozen=True)
class MakesSense:
    """Blocks an English text that is likelier wrong than the bound that the labels set.

    Other languages pass, and so does what names nothing of the product: that is another fault (topic), and whether it
    makes sense cannot be told from words about something else.
    `facts` are those that say what the subject is; every fact when none is named.
    """

    facts: tuple[str, ...]
    name: str = "makes_sense"

    def __call__(self, draft: Draft) -> Verdict:
        about = _about(draft.facts, self.facts)
        if not _is_english(draft.language) or not about:
            return Verdict(self.name, "pass", "Not judged: there are no labels for its language, or no facts.")
        if PRODUCT not in phrases(draft.text, about):
            return Verdict(self.name, "pass", f"Not judged: it names nothing of {about!r}.")
        chance, for_it = judged(draft.text, about)
        bound = _weights()["bound"]
        if chance <= bound:
            return Verdict(self.name, "pass", f"Wrong with a probability of {chance:.2f}, at most {bound:.2f} passes.")
        reasons = f": {', '.join(for_it)}" if for_it else ""
        return Verdict(self.name, "block", f"Likely nonsense about {about!r} ({chance:.2f} over {bound:.2f}){reasons}.")


def makes_sense(*facts: str) -> MakesSense:
    return MakesSense(facts)


def sensible(*facts: str) -> "Sense":
    """How much sense a text makes, in [0, 1], as `best_of` ranks drafts; 1 where there is no judging it."""
    return Sense(facts)


@dataclass(frozen=True)
class Sense:
    """A function of a text, its subject's facts and its language, as a value that a declaration can hold."""

    facts: tuple[str, ...]

    def __call__(self, text: str, facts: Mapping[str, str], language: str) -> float:
        about = _about(facts, self.facts)
        return 1.0 if not _is_english(language) or not about else 1.0 - judged(text, about)[0]


def _is_english(language: str) -> bool:
    return language.split("-")[0] == "en"


def _about(facts: Mapping[str, str], named: tuple[str, ...]) -> str:
    return " ".join(facts[name] for name in named or facts if facts.get(name))


@lru_cache(maxsize=4096)
def judged(text: str, about: str) -> tuple[float, tuple[str, ...]]:
    """The probability that a text about a product is wrong, and what speaks for it most, strongest first."""
    weights = _weights()
    share = {name: _scaled(value, *weights["measures"][name]) for name, value in measures(text, about).items()}
    found = sorted(set(phrases(text, about)))
    length = max(len(found), 1) ** 0.5
    share |= {f"“{phrase}”": weights["phrases"].get(phrase, 0.0) / length for phrase in found}
    logit = weights["intercept"] + sum(share.values())
    strongest = sorted(
        (name for name in share if share[name] > weights["worth_telling"]), key=lambda name: -share[name]
    )
    return 1 / (1 + exp(-max(min(logit, 30.0), -30.0))), tuple(strongest[:3])


def phrases(text: str, about: str) -> list[str]:
    """Words and pairs of neighbours in lower case, with the product's own words in one place-holder."""
    own = {_stem(word) for word in _content(about)}
    words = [PRODUCT if _stem(token) in own else token for token in _lower(text, _TOKEN)]
    merged = [word for place, word in enumerate(words) if place == 0 or word != PRODUCT or words[place - 1] != PRODUCT]
    return [*merged, *(f"{one} {other}" for one, other in pairwise(merged))]


def measures(text: str, about: str) -> dict[str, float]:
    """What can be measured of a text about a product, each between about 0 and 1, by what it would tell a reader.

    Nothing of it is a length: what small models get wrong happens to be long, but what is long is not wrong for that.
    """
    own = [_stem(word) for word in _content(about)]
    words, spoken = _content(text), _lower(text, _WORD)
    added = [word for word in words if _stem(word) not in own]
    product = _vector(about)
    close = [float(_vector(word) @ product) for word in added]
    of_product = np.array([_vector(world) @ product for world in _WORLDS])
    of_added = np.array(
        [max((float(_vector(word) @ _vector(world)) for word in added), default=0.0) for world in _WORLDS]
    )
    said = {_stem(word) for word in words}
    return {
        "names little of the product": 1 - sum(word in said for word in own) / max(len(own), 1),
        "says little of what the facts say": len(added) / max(len(words), 1),
        "a word far from the product": 1 - min(close, default=0.4),
        "words far from the product": 1 - (sum(close) / len(close) if close else 0.4),
        "far from the product as a whole": 1 - float(_vector(text) @ product),
        "speaks of another world of things": float(np.max(of_added - of_product)),
        "repeats itself": 1 - len(said) / max(len(words), 1),
        "says what is not": float(any(word in _NEGATIONS for word in spoken)),
        "speaks of it as it": float(any(word in _PRONOUNS for word in spoken)),
    }


def _scaled(value: float, mean: float, scale: float, weight: float) -> float:
    return weight * (value - mean) / scale


def _content(text: str) -> list[str]:
    return [word for word in _lower(text, _WORD) if len(word) > 2 and word not in _SAYS_NOTHING]


def _lower(text: str, pattern: re.Pattern[str]) -> list[str]:
    return [token.casefold().replace("’", "'") for token in pattern.findall(text)]


def _stem(word: str) -> str:
    """A noun's singular, roughly."""
    for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending) + instead
    return word


@lru_cache(maxsize=16384)
def _vector(text: str) -> NDArray[np.float64]:
    """The meaning of a text, of length one, or zero for a text without words."""
    vector = np.nan_to_num(np.asarray(_meanings().embed([text]), dtype=np.float64)[0])
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


@cache
def _meanings() -> "WordLlamaInference":
    import wordllama

    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)


@cache
def _weights() -> dict:
    return json.loads(WEIGHTS.read_text(encoding="utf-8"))
