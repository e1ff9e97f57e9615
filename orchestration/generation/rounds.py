"""Rounds: an answer is tried, and what its trial said is given back, until it passes or the rounds are used up.

Here: which answers are asked for again, and with what.
Not here: what a trial measures (tested) and how it is contained (trials).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from orchestration.generation.calls import Answer
from orchestration.generation.pipeline import Draft, Generation, Workshop
from orchestration.generation.tested import Test, Verdict
from orchestration.loops.recipes import as_json

ROUNDS = "rounds"
SEED_STEP = 7919  # a prime, so that seeds of rounds and of neighbouring briefs do not meet


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """At most `at_most` rounds of `test`; the best answer so far is kept."""

    test: Test
    at_most: int

    def __post_init__(self) -> None:
        if self.at_most < 1:
            raise ValueError(f"Rounds start at one, not {self.at_most}.")

    @property
    def columns(self) -> tuple[str, ...]:
        return self.test.columns

    def answers(
        self, briefs: Sequence[Mapping[str, Any]], answer: type[BaseModel], generation: Generation, workshop: Workshop
    ) -> list[Draft]:
        """One draft for each brief, in their order, with the rounds that it took."""
        best: dict[str, Draft] = {}
        waiting = [dict(brief) for brief in briefs]
        for number in range(1, self.at_most + 1):
            found = generation.asked(waiting, answer, workshop)
            tried = self.test.tried(
                [(one.answer, _facts(brief)) for one, brief in zip(found, waiting, strict=True)], workshop
            )
            again = []
            for brief, reply, verdict in zip(waiting, found, tried, strict=True):
                kept = _better(best.get(brief["brief_id"]), reply, verdict, number)
                best[brief["brief_id"]] = kept
                if verdict is not None and not verdict.passed:
                    again.append(_asked_again(brief, reply, verdict))
            waiting = again
            workshop.tell(f"round {number}: {len(best) - len(waiting)} of {len(best)} need no other")
            if not waiting:
                break
        return [best[brief["brief_id"]] for brief in briefs]


def in_rounds(generation: Generation, test: Test, at_most: int) -> Generation:
    """Answers of `generation` are tried by `test`; what fails is asked for again with what the trial said."""
    return replace(generation, rounds=Rounds(test=test, at_most=at_most))


def _facts(brief: Mapping[str, Any]) -> dict[str, str]:
    return dict(json.loads(brief["facts"]))


def _better(before: Draft | None, reply: Answer, verdict: Verdict | None, number: int) -> Draft:
    """The better of two rounds, with the calls of both."""
    calls = (*(before.answer.calls if before else ()), *reply.calls)
    measured = None if verdict is None else {**verdict.measured, ROUNDS: float(number)}
    new = Draft(answer=replace(reply, calls=calls), rounds=number, measured=measured)
    if before is None or before.measured is None:
        return new
    if measured is not None and _score(measured) >= _score(before.measured):
        return new
    kept = {**before.measured, ROUNDS: float(number)}
    return Draft(answer=replace(before.answer, calls=calls), rounds=number, measured=kept)


def _score(measured: Mapping[str, float]) -> float:
    return measured.get("score", measured.get("passed", 0.0))


def _asked_again(brief: Mapping[str, Any], reply: Answer, verdict: Verdict) -> dict[str, Any]:
    said = f"The trial failed: {verdict.feedback} Answer again."
    messages = [
        *json.loads(brief["messages"]),
        {"role": "assistant", "content": reply.text or ""},
        {"role": "user", "content": said},
    ]
    return {**brief, "messages": as_json(messages), "seed": (brief["seed"] + SEED_STEP) & 0x7FFFFFFF}
