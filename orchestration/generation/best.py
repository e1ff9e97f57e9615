"""Best of several: where an answer's text is not good enough, the model is asked again, and the best text is kept.

Here: which briefs are asked again, and which of several texts stays.
Not here: how good a text is (a function that the declaration names, such as one of guards) and how many are asked for
at most (settings, FLYWHEEL_BEST_OF).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from orchestration.generation.calls import Answer
from orchestration.generation.pipeline import Draft, Generation, Workshop

SEED_STEP = 104_729  # a prime, so that seeds of drafts and of neighbouring briefs do not meet
WARMER = 0.2
"""What each further draft adds to the temperature, up to 1: a cold model writes the same text again."""

Worth = Callable[[str, Mapping[str, str], str], float]
"""How good a text is, in [0, 1], from the text, its subject's facts and its language."""


@dataclass(frozen=True, kw_only=True)
class BestOf:
    """Texts are ranked by `worth`; one of `enough` or more is good enough to ask for no other."""

    worth: Worth
    enough: float

    def __post_init__(self) -> None:
        if not 0 < self.enough <= 1:
            raise ValueError(f"What is enough lies above 0 and is at most 1, unlike {self.enough}.")

    def answers(
        self, briefs: Sequence[Mapping[str, Any]], answer: type[BaseModel], generation: Generation, workshop: Workshop
    ) -> list[Draft]:
        """One draft for each brief, in their order, with the calls of all that were asked for it."""
        kept: dict[str, tuple[float, Answer]] = {}
        waiting: list[Mapping[str, Any]] = list(briefs)
        for number in range(workshop.best_of):
            asked = [_asked_again(brief, number) for brief in waiting]
            again: list[Mapping[str, Any]] = []
            for brief, found in zip(waiting, generation.asked(asked, answer, workshop), strict=True):
                worth, best = self._better(kept.get(brief["brief_id"]), found, brief)
                kept[brief["brief_id"]] = worth, best
                if worth < self.enough and found.status not in ("escalated", "deferred"):
                    again.append(brief)
            waiting = again
            if not waiting:
                break
        if workshop.best_of > 1:
            workshop.tell(f"{len(waiting)} of {len(briefs)} texts are not good enough after {workshop.best_of} drafts")
        return [Draft(answer=kept[brief["brief_id"]][1]) for brief in briefs]

    def _better(
        self, before: tuple[float, Answer] | None, found: Answer, brief: Mapping[str, Any]
    ) -> tuple[float, Answer]:
        """The better of two, with the calls of both; an answer is better than none."""
        worth = -1.0
        if found.status == "ok" and found.text:
            worth = self.worth(found.text, json.loads(brief["facts"]), brief["language"])
        if before is None:
            return worth, found
        # An endpoint that takes no seed gives a request asked twice the reply that is kept, in the same call.
        calls = tuple({call.call_id: call for call in (*found.calls, *before[1].calls)}.values())
        return (
            (worth, replace(found, calls=calls)) if worth > before[0] else (before[0], replace(before[1], calls=calls))
        )


def _asked_again(brief: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    """The brief as its draft `number`, from 0, is asked for; the first one as it stands."""
    if number == 0:
        return brief
    seed = (brief["seed"] + number * SEED_STEP) & 0x7FFFFFFF
    return {
        **brief,
        "seed": seed,
        "temperature": max(brief["temperature"], min(brief["temperature"] + number * WARMER, 1.0)),
    }


def best_of(generation: Generation, worth: Worth, enough: float) -> Generation:
    """Answers of `generation`; where one is worth less than `enough`, others are asked for and the best is kept."""
    return replace(generation, best=BestOf(worth=worth, enough=enough))
