"""The simulated audience: what it likes, and how often it clicks and complains.

Here: the surface of a text that an audience reacts to, hidden tastes per category and segment, made from a seed, and
what nonsense costs. What readers take for nonsense is in readers.
Not here: who meets which text (visits) and the files that come of it (sandbox). The learner has features of its own:
it must find these tastes, not be told them.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from math import cos, log, pi, sin, sqrt
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from orchestration.worlds.simulated import published_rates as rates
from orchestration.worlds.simulated.readers import chance_of_wrong

SEGMENTS = ("new", "loyal")
World = Literal["responsive", "indifferent"]

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_NUMBER = re.compile(r"\d+(?:[.,/]\d+)?")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_YOU = _words("you your yours you're you'll yourself")
_SENSES = _words(
    "creamy crisp crispy crunchy smooth rich soft fluffy warm cool cold juicy sweet tangy savory hearty golden bright "
    "tender velvety bold fragrant refreshing sparkling thick gentle buttery fresh delicious tasty flavorful"
)
_BENEFITS = _words(
    "easy easily quick quickly ready simple save saves value everyday handy convenient reliable perfect lasts helps "
    "help keeps share family busy time enough effortless goes versatile wholesome great quality"
)
_INVITATIONS = _words(
    "try enjoy grab discover taste pick bring add meet make treat stock love find get give let share serve start"
)
_HASTE = _words("now today hurry limited last tonight soon while before")
_NEGATIVE = _words(
    "no not never without worst bad boring tired hate miss missing waste wrong problem mess stress worry fail dull sad "
    "hungry stuck lose"
)

FEATURES = ("length", "question", "exclamation", "you", "numbers", "senses", "benefits", "invitation", "haste")
_COMMON_TASTE = np.array([0.02, 0.0, 0.02, 0.03, 0.0, 0.05, 0.05, 0.02, 0.0])
"""What the whole audience likes a little, in log click rate per unit of each feature."""
_SCALE = 0.13
"""Standard deviation of a taste. Set so that texts a shop might write differ by `TEXT_EFFECT_SD`; tests hold it."""


def surface(text: str) -> NDArray[np.float64]:
    """The features (len(FEATURES),) of a text that an audience reacts to, each in [0, 1]."""
    words = [word.lower() for word in _WORD.findall(text)]

    def share(vocabulary: frozenset[str], full: int) -> float:
        return min(sum(word in vocabulary for word in words), full) / full

    return np.array(
        [
            min(len(words), 40) / 40,
            float("?" in text),
            min(text.count("!"), 3) / 3,
            share(_YOU, 2),
            min(len(_NUMBER.findall(text)), 2) / 2,
            share(_SENSES, 2),
            share(_BENEFITS, 2),
            float(bool(words) and words[0] in _INVITATIONS),
            share(_HASTE, 1),
        ]
    )


def negative_words(text: str) -> int:
    """How many negative words a text has, three at most."""
    return min(sum(word.lower() in _NEGATIVE for word in _WORD.findall(text)), 3)


def shouting(text: str) -> float:
    """How much a text shouts, in [0, 1]: exclamation marks beyond one, and words in capitals."""
    capitals = sum(len(word) > 3 and word.isupper() for word in _WORD.findall(text))
    return min(max(text.count("!") - 1, 0) + capitals, 2) / 2


def nonsense(text: str, original: str) -> float:
    """How much a text displeases as nonsense, in [0, 1]: nothing up to an even chance, all from 0.8."""
    return min(max(chance_of_wrong(text, original) - 0.5, 0.0) / 0.3, 1.0)


@dataclass(frozen=True)
class Audience:
    """Tastes made from a seed. The same seed gives the same audience, whatever it is shown.

    In an `indifferent` world no text has an effect. `drift` is the angle, in radians a week, by which tastes turn:
    0 keeps them; at 0.1 they have turned into others after 16 weeks.
    """

    seed: int
    world: World = "responsive"
    drift: float = 0.0

    def base(self, subject_id: str) -> float:
        """Log-odds of a click on the original of a subject, for a visitor between the segments."""
        middle = log(rates.CLICK_RATE / (1 - rates.CLICK_RATE))
        return middle + rates.SUBJECT_SD * self._normal("base", subject_id)

    def popularity(self, subject_id: str) -> float:
        """How often a subject is met, relative to others."""
        return float(np.exp(0.5 * self._normal("popularity", subject_id)))

    def effect(self, text: str, original: str, *, subject_id: str, category: str, segment: str, day: int) -> float:
        """What a text adds to the log-odds of a click over its subject's original; `day` is a date's ordinal."""
        if self.world == "indifferent" or text == original:
            return 0.0
        liked = float(self._tastes(category, segment, day) @ (surface(text) - surface(original)))
        bad_news = rates.NEGATIVE_WORD * (negative_words(text) - negative_words(original))
        own = rates.TEXT_EFFECT_SD * sqrt(rates.OWN_EFFECT_SHARE) * self._normal("own", subject_id, text)
        return liked + bad_news + own + rates.NONSENSE * nonsense(text, original)

    def complaint_rate(self, text: str, original: str) -> float:
        """Complaints per person who meets a text of a subject."""
        if self.world == "indifferent":
            return rates.COMPLAINT_RATE
        tone = rates.SHOUTING_COMPLAINTS * shouting(text) + rates.NONSENSE_COMPLAINTS * nonsense(text, original)
        return rates.COMPLAINT_RATE * float(np.exp(tone))

    def season(self, day: int) -> float:
        """What the week adds to the log-odds of a click, for everyone alike."""
        return rates.WEEK_SD * self._normal("week", str((day - 1) // 7))

    @cached_property
    def _known(self) -> dict[tuple[str, ...], NDArray[np.float64]]:
        return {}

    def _tastes(self, category: str, segment: str, day: int) -> NDArray[np.float64]:
        of_category = self._turned(day, "category", category)
        of_segment = self._turned(day, "segment", segment)
        of_both = self._turned(day, "both", category, segment)
        return _COMMON_TASTE + _SCALE * (sqrt(0.6) * of_category + sqrt(0.2) * of_segment + sqrt(0.2) * of_both)

    def _turned(self, day: int, *what: str) -> NDArray[np.float64]:
        """Standard normal tastes, turned by the drift: their variance stays, their direction moves."""
        if what not in self._known:
            self._known[what] = np.array([[self._normal(turn, name, *what) for name in FEATURES] for turn in "ab"])
        now, then = self._known[what]
        angle = self.drift * day / 7
        return cos(angle) * now + sin(angle) * then

    def _normal(self, *what: str) -> float:
        """A standard normal number that depends on the seed and on `what` alone (Box and Muller 1958)."""
        digest = hashlib.sha256("\n".join((str(self.seed), *what)).encode()).digest()
        first, second = (int.from_bytes(digest[at : at + 8], "big") / 2**64 for at in (0, 8))
        return sqrt(-2 * log(1 - first)) * cos(2 * pi * second)
