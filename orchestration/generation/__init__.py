"""How answers are generated: the words that a declaration composes, and what a brief and its answer are.

Here: the names that a declaration is written with. Every way of generation is a value; it is handed what asks a model,
what finds passages and what runs a trial.
Not here: how a model is asked (model), which option a subject gets (learning.policies), how answers go out (delivery).
"""

from orchestration.generation.answers import Shown, shown_fields
from orchestration.generation.best import best_of
from orchestration.generation.chosen import chosen, within
from orchestration.generation.escalated import escalated
from orchestration.generation.given import given
from orchestration.generation.grounded import grounded_on
from orchestration.generation.pipeline import Generation
from orchestration.generation.rounds import in_rounds
from orchestration.generation.tested import contained, scored
from orchestration.generation.written import written

__all__ = [
    "Generation",
    "Shown",
    "best_of",
    "chosen",
    "contained",
    "escalated",
    "given",
    "grounded_on",
    "in_rounds",
    "scored",
    "shown_fields",
    "within",
    "written",
]
