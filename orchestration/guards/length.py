"""Is it as long as its format allows?

Here: counting words. Not here: whether the text is whole and clean (form).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from orchestration.guards.verdict import Draft, Verdict

# Fewest and most words of a format. A headline of 14 words fills the 90 characters that ad platforms take.
LIMITS: Mapping[str, tuple[int, int]] = {"description": (6, 60), "headline": (2, 14), "social": (4, 40)}
_WORD = re.compile(r"\w+(?:[-'’.,/]\w+)*")


@dataclass(frozen=True)
class Words:
    """Blocks a text outside its format's limits, which `at_most` and `at_least` tighten but never widen."""

    at_most: int
    at_least: int = 1
    name: str = "words"

    def __post_init__(self) -> None:
        if not 0 < self.at_least <= self.at_most:
            raise ValueError(f"Need 0 < at_least <= at_most, not {self.at_least} and {self.at_most}.")

    def __call__(self, draft: Draft) -> Verdict:
        fewest, most = LIMITS.get(draft.format, (self.at_least, self.at_most))
        fewest, most = max(fewest, self.at_least), min(most, self.at_most)
        count = len(_WORD.findall(draft.text))
        if fewest <= count <= most:
            return Verdict(self.name, "pass", f"{count} words.")
        bound = f"at most {most}" if count > most else f"at least {fewest}"
        return Verdict(self.name, "block", f"{count} words; a {draft.format or 'text'} takes {bound}.")


def words(at_most: int = 60, at_least: int = 1) -> Words:
    return Words(at_most, at_least)
