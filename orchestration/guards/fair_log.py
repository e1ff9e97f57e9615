"""Was the test that this text was logged in a fair one?

Here: a text whose logged test did not split its traffic as planned is blocked: what it earned there means nothing.
Not here: the p-value (learning.proof.sample_ratio, by whoever lands the log).
"""

from dataclasses import dataclass

from orchestration.guards.verdict import Draft, Verdict

_FACT = "sample_ratio_p"


@dataclass(frozen=True)
class FairLog:
    """Blocks when the fact `sample_ratio_p` of the logged test lies below `at_least`."""

    at_least: float = 0.001
    name: str = "fair_log"

    def __call__(self, draft: Draft) -> Verdict:
        """Raises KeyError when the subject lacks the fact, ValueError when it is no number."""
        p_value = float(draft.facts[_FACT])
        if p_value < self.at_least:
            return Verdict(self.name, "block", f"The logged test split its traffic with a p-value of {p_value:.2g}.")
        return Verdict(self.name, "pass", f"The logged test split its traffic as planned (p = {p_value:.2g}).")


def fair_log(at_least: float = 0.001) -> FairLog:
    return FairLog(at_least)
