"""Written: a model answers, by a recipe that the policy chooses.

Here: which recipes compete for a subject.
Not here: what a recipe says (loops.recipes) and how a model is asked (model).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.generation.pipeline import Alternative, Find, Generation, Passage, Subject
from orchestration.learning.policies.price_bounds import PriceBounds
from orchestration.loops.recipes import Recipe, Recipes


@dataclass(frozen=True, kw_only=True)
class Written:
    """A recipe a brief; recipes of the subject's format and language compete."""

    recipes: Recipes
    decides: bool = True
    columns: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    corpus: str | None = None
    only_price: PriceBounds | None = None

    def alternatives(self, subject: Subject, recipes: Sequence[Recipe]) -> tuple[Alternative, ...]:
        """Raises ValueError when no recipe writes the subject's format in its language."""
        found = tuple(
            Alternative(name=recipe.recipe_id, parts={"recipe": recipe.recipe_id})
            for recipe in recipes
            if recipe.format == subject.format and recipe.language == subject.language
        )
        if not found:
            known = sorted({f"{recipe.format} in {recipe.language}" for recipe in recipes})
            raise ValueError(
                f"No recipe writes {subject.format!r} in {subject.language!r}; there are {known}. Add a recipe file."
            )
        return found

    def known_of(self, subject: Subject) -> dict[str, float]:  # noqa: ARG002
        return {}

    def passages(self, subject: Subject, find: Find | None) -> tuple[Passage, ...]:  # noqa: ARG002
        return ()


def written(recipes: Recipes) -> Generation:
    """Answers written by a model, one Markdown file a recipe."""
    return Generation(steps=(Written(recipes=recipes),))
