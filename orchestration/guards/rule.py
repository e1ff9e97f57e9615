"""Does it keep to a rule that the loop states itself?

Here: a rule as a plain function of the answer's fields and its subject's facts, such as bounds of a price.
Not here: rules about texts in general (the other guards).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestration.guards.verdict import Decision, Draft, Verdict

Holds = Callable[[Mapping[str, Any], Mapping[str, str]], bool]


@dataclass(frozen=True)
class Rule:
    """`broken` (a block, or a flag for a person) when the rule does not hold; `said` states the rule in a sentence."""

    name: str
    said: str
    holds: Holds = field(hash=False)
    broken: Decision = "block"

    def __call__(self, draft: Draft) -> Verdict:
        if self.holds(draft.answer, draft.facts):
            return Verdict(self.name, "pass", f"As required: {self.said}")
        return Verdict(self.name, self.broken, f"Not as required: {self.said}")


def rule(name: str, said: str, holds: Holds, broken: Decision = "block") -> Rule:
    """A guard from a function of the answer's fields and its subject's facts that says whether a rule holds."""
    return Rule(name, said, holds, broken)
