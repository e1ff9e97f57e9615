"""What a trial is for a loop: from an answer and its subject's facts to what was measured, and what to say of it.

Here: tests that are plain functions, and tests that run an answer's code in containment.
Not here: containment itself (trials), rounds (rounds), and what measures earn (loops.declaration.Reward).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestration.generation.pipeline import Workshop
from orchestration.generation.trials import Limits, RunsTrials, code_trial

__all__ = ["RunsTrials", "Test", "Verdict", "contained", "scored"]

Tried = tuple[Mapping[str, Any] | None, Mapping[str, str]]
"""An answer, None where there is none, and the facts of its subject."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a trial measured, by name (`passed` is 0 or 1), and what to tell who answers again."""

    measured: Mapping[str, float]
    feedback: str = ""

    def __post_init__(self) -> None:
        if "passed" not in self.measured:
            raise ValueError(f"A trial must say whether it was passed; it measured {sorted(self.measured)}.")

    @property
    def passed(self) -> bool:
        return self.measured["passed"] >= 1


class Test(Protocol):
    """Tries answers. Implementations are frozen dataclasses."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Facts of a subject that it reads."""

    @property
    def is_contained(self) -> bool:
        """Whether it runs what an answer says, so that a machine must be able to contain it."""

    def tried(self, answers: Sequence[Tried], workshop: Workshop) -> list[Verdict | None]:
        """A verdict for each answer, in their order; None where there is no answer to try."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A plain function of an answer and its subject's facts: a measured score, or a whole verdict."""

    function: Callable[[Mapping[str, Any], Mapping[str, str]], Verdict | float] = field(hash=False)
    passes_at: float = 1.0
    columns: tuple[str, ...] = ()
    is_contained: bool = False

    def tried(self, answers: Sequence[Tried], workshop: Workshop) -> list[Verdict | None]:  # noqa: ARG002
        return [None if answer is None else self._verdict(self.function(answer, facts)) for answer, facts in answers]

    def _verdict(self, found: Verdict | float) -> Verdict:
        if isinstance(found, Verdict):
            return found
        score = float(found)
        return Verdict(
            measured={"score": score, "passed": float(score >= self.passes_at)}, feedback=f"Scored {score:.3g}."
        )


@dataclass(frozen=True, kw_only=True)
class Contained:
    """Runs the code in an answer's field `code` against the tests in a subject's fact `tests`, one statement a line."""

    code: str
    tests: str
    limits: Limits
    is_contained: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.tests,)

    def _tests(self, facts: Mapping[str, str]) -> list[str]:
        """The statements of a subject's tests: a line that is empty or a comment says nothing that could fail."""
        return [line for line in facts[self.tests].splitlines() if line.strip() and not line.lstrip().startswith("#")]

    def tried(self, answers: Sequence[Tried], workshop: Workshop) -> list[Verdict | None]:
        """No verdict where a subject brings no test. Raises RuntimeError where nobody is there to run trials."""
        if workshop.trials is None:
            raise RuntimeError("Nobody runs trials here: hand generation a containment.")
        there = [place for place, (answer, facts) in enumerate(answers) if answer is not None and self._tests(facts)]
        if without := [place for place, (_, facts) in enumerate(answers) if not self._tests(facts)]:
            workshop.tell(
                f"{len(without)} subjects bring no test in {self.tests!r} and are not tried: land them again."
            )
        requests = []
        for place in there:
            answer, facts = answers[place]
            assert answer is not None
            requests.append(code_trial(str(answer[self.code]), self._tests(facts), limits=self.limits))
        found: list[Verdict | None] = [None] * len(answers)
        for place, result in zip(there, workshop.trials.run_all(requests), strict=True):
            if result.status == "unjudged":  # says nothing about the answer
                workshop.tell(f"A trial could not be judged: {'; '.join(result.failures)}")
                continue
            measured = {"passed": float(result.status == "passed"), "score": result.score, "seconds": result.seconds}
            said = "; ".join(result.failures) or result.status.replace("_", " ")
            found[place] = Verdict(measured=measured, feedback=f"{said}.")
        return found


def scored(
    function: Callable[[Mapping[str, Any], Mapping[str, str]], Verdict | float], *, passes_at: float = 1.0
) -> Scored:
    """A trial that is a plain function of the answer and its subject's facts; it passes from `passes_at` on."""
    return Scored(function=function, passes_at=passes_at)


def contained(code: str, tests: str, *, limits: Limits | None = None) -> Contained:
    """A trial that runs the code in the answer's field `code` against the tests in the subject's fact `tests`."""
    return Contained(code=code, tests=tests, limits=limits or Limits())
