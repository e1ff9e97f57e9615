"""Given: a subject brings what competes with its original, and no model is asked.

Here: reading the texts out of a subject's column.
Not here: where subjects come from (landing) and how traffic is shared between the texts (delivery).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.generation.pipeline import Alternative, Find, Generation, Passage, Subject
from orchestration.learning.policies.price_bounds import PriceBounds
from orchestration.loops.recipes import Recipe, Recipes


@dataclass(frozen=True, kw_only=True)
class Given:
    """The texts of a JSON list in `column`. They go by their place, `given-01` first: what stands at a place is no
    recipe; where one unit gets one of them, what its place earns is learned as of any option."""

    column: str
    field: str
    decides: bool = False
    recipes: Recipes = Recipes()
    corpus: str | None = None
    only_price: PriceBounds | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.field,)

    def alternatives(self, subject: Subject, recipes: Sequence[Recipe]) -> tuple[Alternative, ...]:  # noqa: ARG002
        texts = json.loads(subject.facts[self.column])
        return tuple(
            Alternative(name=f"given-{place:02d}", parts={"place": str(place)}, fields={self.field: text})
            for place, text in enumerate(texts, start=1)
        )

    def known_of(self, subject: Subject) -> dict[str, float]:  # noqa: ARG002
        return {}

    def passages(self, subject: Subject, find: Find | None) -> tuple[Passage, ...]:  # noqa: ARG002
        return ()


def given(column: str, field: str = "text") -> Generation:
    """Every text of the JSON list in `column` of a subject, as the answer's `field`."""
    return Generation(steps=(Given(column=column, field=field),))
