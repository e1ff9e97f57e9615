"""The content loop: product copy that learns what each audience responds to.

Here: what a subject is, its recipes, what an answer must look like, which outcomes count.
Not here: how a turn runs (assets), how text is judged (guards), what is learned (learning).
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from orchestration.delivery import SharedTraffic
from orchestration.generation import Shown, best_of, written
from orchestration.guards import (
    claims,
    distinct,
    grounded,
    in_language,
    makes_sense,
    no_personal_data,
    no_profanity,
    on_brand,
    on_topic,
    sensible,
    tone,
    well_formed,
    words,
)
from orchestration.loops.declaration import ByRisk, CostLimit, Guardrail, Loop, Outcome, Reward, Subjects, days
from orchestration.loops.recipes import Recipes


class ProductCopy(BaseModel):
    """Copy for one product in one placement."""

    text: Annotated[str, Shown()] = Field(
        min_length=1, description="The copy, ready to publish: plain text, no heading, no quotation marks."
    )


def declare(brand: Path | None = None) -> Loop:
    """The content loop, held to the claims that the brand file bans; the shipped file when none is given."""
    return Loop(
        name="content",
        subjects=Subjects(
            key="subject_id",
            facts=("brand", "department", "category", "type", "size"),
            original="original",
            pool="category",
            format="format",
            language="language",
            brings_facts=True,
            in_force_as="text in force",
        ),
        generation=best_of(written(Recipes.in_folder("content")), sensible("type"), enough=0.6),
        answer=ProductCopy,
        guards=(
            words(at_most=60),
            well_formed(),
            grounded(),
            on_topic("type"),
            makes_sense("type"),
            in_language(),
            no_profanity(),
            no_personal_data(),
            distinct(),
            on_brand(brand),
            claims(),
            tone(),
        ),
        review=ByRisk(flagged="person", passed="publish"),
        delivery=SharedTraffic(unit="visitor", floor=0.02, control=0.10, holdout=0.10, variants=4, drafts=2),
        outcomes=(
            Outcome("click", within=days(1)),
            Outcome("purchase", within=days(7), has_value=True),
            Outcome("complaint", within=days(7)),
        ),
        reward=Reward("click"),
        guardrails=(Guardrail("complaint", margin=0.0),),
        costs=(CostLimit("tokens", margin=0.25), CostLimit("tone", margin=0.25)),
    )
