"""Does it say something new?

Here: near-duplicates of the subject's other texts and of the original.
Not here: repetition inside one text (form).
"""

import re
from dataclasses import dataclass
from textwrap import shorten

from orchestration.guards.verdict import Draft, Verdict

_NOT_WORD = re.compile(r"[^\w]+")


def similarity(one: str, other: str) -> float:
    """Between 0 and 1, blind to case, punctuation and the order of words.

    The share of characters that survive the best alignment of the two texts' sorted words (rapidfuzz
    `token_sort_ratio`: normalised insertions and deletions).
    """
    from rapidfuzz import fuzz

    return fuzz.token_sort_ratio(_plain(one), _plain(other)) / 100


def _plain(text: str) -> str:
    return _NOT_WORD.sub(" ", text).casefold().strip()


@dataclass(frozen=True)
class Distinct:
    """Blocks a text so close to another of the subject that their competition could teach nothing."""

    at_most: float
    name: str = "distinct"

    def __call__(self, draft: Draft) -> Verdict:
        rivals = [
            ("the original", draft.original),
            *((f"another text, {shorten(text, 60)!r}", text) for text in draft.others),
        ]
        nearest, label = max(((similarity(draft.text, text), label) for label, text in rivals if text), default=(0, ""))
        if nearest > self.at_most:
            return Verdict(self.name, "block", f"{nearest:.0%} like {label}; at most {self.at_most:.0%} is new enough.")
        return Verdict(self.name, "pass", f"At most {nearest:.0%} like any other text of the subject.")


def distinct(at_most: float = 0.9) -> Distinct:
    return Distinct(at_most)
