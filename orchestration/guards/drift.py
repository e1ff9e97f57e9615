"""Does it drift towards what merely gets clicks?

Here: the tricks of clickbait, and a mood darker than the original's. A loop that sees only clicks drifts both ways:
each negative word adds 2.3 % to a headline's click rate (Robertson et al. 2023, on the Upworthy tests).
Not here: swear words (profanity), superlatives and offers (brand).
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.guards.verdict import Draft, Verdict

if TYPE_CHECKING:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


@cache
def _patterns() -> dict[str, tuple[float, re.Pattern[str]]]:
    import tomllib

    listed = tomllib.loads(Path(__file__).with_name("clickbait.toml").read_text(encoding="utf-8"))["tricks"]
    return {it["what"]: (float(it["weight"]), re.compile("|".join(it["reads"]), re.IGNORECASE)) for it in listed}


@cache
def _mood() -> "SentimentIntensityAnalyzer":
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def tricks(text: str) -> dict[str, float]:
    """The tricks of clickbait that a text uses, with their weights; 1 marks one that is enough alone."""
    return {what: weight for what, (weight, pattern) in _patterns().items() if pattern.search(text)}


def mood(text: str) -> float:
    """Between -1 (dark) and 1 (bright): VADER's compound score (Hutto and Gilbert 2014), made for short posts."""
    return float(_mood().polarity_scores(text)["compound"])


@dataclass(frozen=True)
class Tone:
    """Flags a text that takes up tricks the original did without, or that is much darker than it.

    `tricks_at_most` is the weight of new tricks that still passes, `darker_at_most` the fall in mood (scale of 2) that
    passes unless the text ends up bright anyway.
    """

    tricks_at_most: float
    darker_at_most: float
    name: str = "tone"

    def __call__(self, draft: Draft) -> Verdict:
        before = tricks(draft.original)
        added = {what: weight for what, weight in tricks(draft.text).items() if what not in before}
        if sum(added.values()) > self.tricks_at_most:
            return Verdict(self.name, "flag", f"Sounds like clickbait: {', '.join(sorted(added))}.")
        now = mood(draft.text)
        if now < 0:
            fall = max(mood(draft.original), 0.0) - now
            if fall > self.darker_at_most:
                return Verdict(self.name, "flag", f"Darker than the original by {fall:.2f}, at {now:.2f}.")
        return Verdict(self.name, "pass", f"Mood {now:+.2f}, no trick that the original lacks.")


def tone(tricks_at_most: float = 0.5, darker_at_most: float = 0.5) -> Tone:
    return Tone(tricks_at_most, darker_at_most)
