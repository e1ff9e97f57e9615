"""Judges of text: pure functions from a draft to a verdict, knowing neither Dagster nor I/O.

Here: the names that a declaration is written with. Every guard is a frozen dataclass made by a lower-case factory;
libraries and word lists are loaded at the first judgement, so that importing this package costs nothing.
Not here: how a guard judges (its own module) and what follows from a verdict (graph.assets.reviews).
"""

from orchestration.guards.brand import on_brand, read_brand
from orchestration.guards.claims import claims
from orchestration.guards.drift import tone
from orchestration.guards.form import well_formed
from orchestration.guards.grounding import grounded
from orchestration.guards.judging import judge, worst
from orchestration.guards.language import in_language
from orchestration.guards.length import words
from orchestration.guards.personal_data import no_personal_data
from orchestration.guards.profanity import no_profanity
from orchestration.guards.rule import rule
from orchestration.guards.sense import makes_sense, sensible
from orchestration.guards.similarity import distinct
from orchestration.guards.topic import on_topic
from orchestration.guards.verdict import Decision, Draft, Guard, Verdict, on

__all__ = [
    "Decision",
    "Draft",
    "Guard",
    "Verdict",
    "claims",
    "distinct",
    "grounded",
    "in_language",
    "judge",
    "makes_sense",
    "no_personal_data",
    "no_profanity",
    "on",
    "on_brand",
    "on_topic",
    "read_brand",
    "rule",
    "sensible",
    "tone",
    "well_formed",
    "words",
    "worst",
]
