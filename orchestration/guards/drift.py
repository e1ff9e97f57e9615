"""Does it drift towards what merely gets clicks?

Here: the tricks of clickbait, and a mood darker than the original's. A loop that sees only clicks drifts both ways:
each negative word adds 2.3 % to a headline's click rate (Robertson et al. 2023, on the Upworthy tests).
English is judged by patterns tried on headlines (clickbait.toml) and by VADER, other languages by their lists
(by_language).
Not here: swear words and insults (profanity), superlatives and offers (brand), scarcity (claims).
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.guards.readings import readings, visible
from orchestration.guards.verdict import Draft, Verdict
from orchestration.guards.word_lists import nothing_for, primary, word_lists

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


def tricks(text: str, language: str = "en") -> dict[str, float]:
    """The tricks of clickbait that a text uses, with their weights; 1 marks one that is enough alone."""
    lists, read = word_lists(language), readings(text, language)
    found = {trick.what: trick.weight for trick in (lists.tricks if lists else ()) if trick.says.said_in(read)}
    if language == "en":
        seen = visible(text)
        found |= {what: weight for what, (weight, pattern) in _patterns().items() if pattern.search(seen)}
    return found


def dark_words(text: str, language: str) -> list[str]:
    """The words of death, ruin and disgust that a text says in a language with a list."""
    lists = word_lists(language)
    return lists.dark.said_in(readings(text, language)) if lists else []


def mood(text: str) -> float:
    """Between -1 (dark) and 1 (bright): VADER's compound score (Hutto and Gilbert 2014), made for short posts. It reads
    English alone: to it the German article "die" is a word of death."""
    return float(_mood().polarity_scores(text)["compound"])


@dataclass(frozen=True)
class Tone:
    """Flags a text that takes up tricks the original did without, or that is much darker than it.

    `tricks_at_most` is the weight of new tricks that still passes, `darker_at_most` the fall in mood (scale of 2) that
    passes unless the text ends up bright anyway. Where mood cannot be told, a dark word that the original lacks counts.
    """

    tricks_at_most: float
    darker_at_most: float
    name: str = "tone"

    def __call__(self, draft: Draft) -> Verdict:
        language = primary(draft.language)
        if word_lists(language) is None:
            return nothing_for(self.name, "clickbait and dark words", language)
        before = tricks(draft.original, language)
        added = {what: weight for what, weight in tricks(draft.text, language).items() if what not in before}
        if sum(added.values()) > self.tricks_at_most:
            return Verdict(self.name, "flag", f"Sounds like clickbait: {', '.join(sorted(added))}.")
        if language != "en":
            known = dark_words(draft.original, language)
            dark = [word for word in dark_words(draft.text, language) if word not in known]
            if dark:
                return Verdict(self.name, "flag", f"Darker than the original: {', '.join(dark)}.")
            return Verdict(self.name, "pass", "No dark word and no trick that the original lacks.")
        now = mood(draft.text)
        if now < 0:
            fall = max(mood(draft.original), 0.0) - now
            if fall > self.darker_at_most:
                return Verdict(self.name, "flag", f"Darker than the original by {fall:.2f}, at {now:.2f}.")
        return Verdict(self.name, "pass", f"Mood {now:+.2f}, no trick that the original lacks.")


def tone(tricks_at_most: float = 0.5, darker_at_most: float = 0.5) -> Tone:
    return Tone(tricks_at_most, darker_at_most)
