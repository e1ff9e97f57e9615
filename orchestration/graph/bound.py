"""A loop bound to a home: what a stage needs beside the declaration.

Here: the recipes in the languages that are set, the partitions, the seed and the limits of a turn.
Not here: the declaration itself (loops) and every other setting (settings).
"""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Literal

import dagster as dg

from orchestration.delivery.protocol import When
from orchestration.learning.policies.policy import Policy
from orchestration.loops.declaration import Loop
from orchestration.loops.feeds import Feed
from orchestration.loops.recipes import Recipe, recipes_by_format
from orchestration.settings import Settings
from orchestration.turns import LENGTHS, turn_partitions


@dataclass(frozen=True, kw_only=True)
class BoundLoop:
    """One loop in one home. `feeds` are those of its feeds that are switched on and whose source turns too,
    `language` is that of subjects which have none."""

    loop: Loop
    recipes: tuple[Recipe, ...]
    partitions: dg.PartitionsDefinition
    first_turn: date
    cadence: Literal["weekly", "daily"]
    seed: int
    subjects_per_turn: int
    planned_turns: int | None
    planned_lift: float
    best_of: int
    feeds: tuple[Feed, ...] = ()
    language: str = "en"

    @classmethod
    def of(cls, loop: Loop, settings: Settings, turning: frozenset[str] = frozenset()) -> "BoundLoop":
        """`turning` names the loops that turn in this home. Raises ValueError when a language has no recipe."""
        off = set(settings.feeds_off)
        languages = tuple(dict.fromkeys((*([loop.language] if loop.language else []), *settings.languages)))
        return cls(
            loop=loop,
            recipes=loop.generation.recipes.for_languages(languages),
            language=languages[0],
            partitions=turn_partitions(settings),
            first_turn=settings.first_turn,
            cadence=settings.cadence,
            seed=settings.seed,
            subjects_per_turn=settings.subjects_per_turn,
            planned_turns=settings.planned_turns,
            planned_lift=settings.planned_lift,
            best_of=settings.drafts_of_an_answer,
            feeds=tuple(
                feed for feed in loop.feeds if feed.source in turning and f"{feed.source}>{loop.name}" not in off
            ),
        )

    @cached_property
    def by_format(self) -> dict[str, tuple[str, ...]]:
        """Identities of the recipes that compete, by what they write."""
        return recipes_by_format(self.recipes)

    def when(self, turn: str) -> When:
        return When(turn=turn, days=LENGTHS[self.cadence].days, seed=self.seed)

    def policy(self, text: str) -> Policy:
        """A policy from its JSON, for the recipes there are now."""
        return self.loop.delivery.understood(text, self.by_format)
