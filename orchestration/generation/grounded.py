"""Grounded on documents: an answer may rest on passages of a corpus, and says which it was shown.

Here: what is looked for, and how much of it a brief shows.
Not here: the index (retrieval) and whether an answer keeps to its passages (guards).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.generation.pipeline import Alternative, Find, Generation, Passage, Subject
from orchestration.learning.policies.price_bounds import PriceBounds
from orchestration.loops.recipes import Recipe, Recipes


@dataclass(frozen=True, kw_only=True)
class Grounded:
    """The `most` passages of `corpus` that fit the subject's facts `by` best (all of its facts when none is named)."""

    corpus: str
    most: int
    by: tuple[str, ...] = ()
    decides: bool = False
    recipes: Recipes = Recipes()
    only_price: PriceBounds | None = None
    fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.most < 1 or not re.fullmatch(r"\w[\w-]*", self.corpus):
            raise ValueError(
                f"Name a corpus by its folder in landing/documents/, in letters, digits and dashes, and show at least "
                f"one passage of it; not {self.corpus!r}, {self.most}."
            )

    @property
    def columns(self) -> tuple[str, ...]:
        return self.by

    def alternatives(self, subject: Subject, recipes: Sequence[Recipe]) -> tuple[Alternative, ...]:  # noqa: ARG002
        return ()

    def known_of(self, subject: Subject) -> dict[str, float]:  # noqa: ARG002
        return {}

    def passages(self, subject: Subject, find: Find | None) -> tuple[Passage, ...]:
        """Raises LookupError, naming the remedy, when no document of the corpus has landed."""
        sought = [subject.facts[name] for name in self.by] if self.by else list(subject.facts.values())
        if find is None:
            raise LookupError(
                f"No document of {self.corpus!r} has landed: put files into landing/documents/{self.corpus}/."
            )
        return tuple(find(self.corpus, " ".join(filter(None, sought)), self.most))


def grounded_on(corpus: str, passages: int = 6, *, by: Sequence[str] = ()) -> Generation:
    """Show the passages of a corpus of landed documents that fit the subject best."""
    return Generation(steps=(Grounded(corpus=corpus, most=passages, by=tuple(by)),))
