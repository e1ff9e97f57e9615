"""The conditions of a promotion, and the decision that follows from them.

Here: each condition as a value with its number and threshold, and the sentence of the decision.
Not here: how the numbers are made (comparison, guardrails, sample_ratio, leakage) and who acts (promotion).
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from orchestration.learning.proof.guardrails import Worsening
from orchestration.learning.proof.paired_estimate import PairedEstimate

Comparison = Literal[">", ">=", "<", "<="]
_HOLDS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
)
SAMPLE_RATIO_P = 0.001  # as GrowthBook and Fabijan et al. (2019): a mismatch blocks, so alarms must be rare
NEAR_IDENTICAL = 0.05
_TOLD = 5  # subjects named in a sentence
MINIMUM_SUBJECTS = 30.0  # effective subjects below which a mean's bound is not to be relied on


@dataclass(frozen=True)
class Condition:
    """One condition: `number` `comparison` `threshold`, whether it held, and the same in a sentence."""

    name: str
    number: float
    comparison: Comparison
    threshold: float
    passed: bool
    detail: str

    @classmethod
    def of(cls, name: str, number: float, comparison: Comparison, threshold: float, detail: str) -> "Condition":
        """The condition with `passed` worked out; what could not be measured (nan) never passes."""
        holds = not math.isnan(number) and _HOLDS[comparison](number, threshold)
        return cls(name, float(number), comparison, float(threshold), holds, detail)

    def as_row(self) -> dict[str, object]:
        """The columns of `flywheel.promotion_conditions`, less turn and loop."""
        return {
            "condition": self.name,
            "number": self.number,
            "comparison": self.comparison,
            "threshold": self.threshold,
            "passed": self.passed,
            "detail": self.detail,
        }


@dataclass(frozen=True)
class Decision:
    """Whether the challenger becomes the champion, and why in one sentence."""

    promoted: bool
    reason: str
    conditions: tuple[Condition, ...]

    def as_markdown(self) -> str:
        """The decision record as a table, for Dagster's metadata."""
        lines = [self.reason, "", "| condition | number | | threshold | held | detail |", "|---|---|---|---|---|---|"]
        lines += [
            f"| {one.name} | {one.number:.6g} | {one.comparison} | {one.threshold:.6g} | "
            f"{'yes' if one.passed else '**no**'} | {one.detail} |"
            for one in self.conditions
        ]
        return "\n".join(lines)


def decide(conditions: Sequence[Condition]) -> Decision:
    """Promote if every condition held; the reason names the first that did not, with its number, and counts the rest.

    Order the conditions from "the data cannot be trusted" to "the effect is too small". Raises ValueError without any.
    """
    if not conditions:
        raise ValueError("A promotion without a condition is not a decision.")
    failed = [one for one in conditions if not one.passed]
    if failed:
        first, others = failed[0], len(failed) - 1
        more = f" ({others} more condition{'s' if others > 1 else ''} failed)" if others else ""
        reason = f"Champion stays: {first.name} is {first.number:.4g}, needs {first.comparison} {first.threshold:.4g}"
        return Decision(False, f"{reason}. {first.detail}{more}", tuple(conditions))
    proof = next((one for one in conditions if one.name == "lower_bound"), conditions[-1])
    return Decision(True, f"Promoted: all {len(conditions)} conditions held. {proof.detail}", tuple(conditions))


def sample_ratio(p_value: float, *, at_least: float = SAMPLE_RATIO_P) -> Condition:
    """Units arrived in the shares that the releases asked for. `p_value` pools the turn's subjects."""
    said = f"The shares of units differ from the releases' with p = {p_value:.2g}."
    if not p_value >= at_least:
        said += (
            " Find what serves other shares than the outbox asks for (a cache, a filter, a robot, lost events), and "
            "learn this turn again."
        )
    return Condition.of("sample_ratio", p_value, ">=", at_least, said)


def no_shared_subjects(shared: int, named: Sequence[str] = ()) -> Condition:
    """No subject trained the challenger that judged it. `named` are the `shared` ones: some are told."""
    said = f"{shared} subjects are in both the training and the evaluation rows"
    if named:
        said += f", such as {', '.join(named[:_TOLD])}: learn this turn again, which finds the folds anew"
    said += "."
    return Condition.of("shared_subjects", shared, "<=", 0, said)


def few_near_identical_texts(share: float, *, at_most: float = NEAR_IDENTICAL) -> Condition:
    """Evaluated texts do not stand, nearly the same, in the training rows under another subject.

    A few always do, for products that hardly differ; a recipe policy cannot learn a text by heart, but a reward model
    can, so that its accuracy would be a leak's.
    """
    said = f"{share:.1%} of the evaluated texts have a near-identical one in the training rows."
    if not share <= at_most:
        said += " Give subjects that hardly differ one pool or one text, and learn this turn again."
    return Condition.of("near_identical_texts", share, "<=", at_most, said)


def enough_overlap(estimate: PairedEstimate, *, at_least: float = MINIMUM_SUBJECTS) -> Condition:
    """The champion's turns drew enough of what the challenger wants for its value to be known."""
    size = estimate.effective_sample_size
    said = (
        f"What {estimate.subjects} subjects show over {_turns(estimate)} counts as much as {size:.1f} subjects for "
        "which the challenger had chosen by itself."
    )
    if not estimate.increments:
        said = "No challenger has been compared with this champion yet: that takes two turns under it."
    return Condition.of("effective_sample_size", size, ">=", at_least, said)


def minimum_sample(estimate: PairedEstimate, *, at_least: float) -> Condition:
    """As many units were compared as the power calculation asks for before anything may be concluded."""
    said = f"{estimate.units:,.0f} units were compared, of {at_least:,.0f} that the largest lift to be believed takes."
    return Condition.of("minimum_sample", estimate.units, ">=", at_least, said)


def better_than_champion(estimate: PairedEstimate) -> Condition:
    """The lower bound of challenger minus champion, in reward per 1,000 units, is above zero at this look."""
    kind = "confidence sequence" if estimate.bound == "confidence_sequence" else "group-sequential bound"
    said = (
        f"The challenger earns {_signed(1000 * estimate.value)} rewards per 1,000 units over the champion's "
        f"{1000 * estimate.champion:.4g} ({_percent(estimate.relative)}), at least {_signed(1000 * estimate.low)} "
        f"({_percent(estimate.relative_low)}) by a one-sided {1 - estimate.alpha:.0%} {kind} over {_turns(estimate)}."
    )
    return Condition.of("lower_bound", 1000 * estimate.low, ">", 0.0, said)


def guardrail_of_release(outcome: str, measured: Worsening, *, no_worse_than: float = 0.0) -> Condition:
    """What is released does not raise an unwanted outcome over the control; holds at every turn at once."""
    number = measured.relative_low
    said = f"{outcome}: {_percent(measured.relative)} against the control, at least {_percent(number)}."
    return Condition.of(f"guardrail_{outcome}", number, "<=", no_worse_than, said)


def guardrail_of_cost(name: str, challenger: float, champion: float, *, no_worse_than: float = 0.0) -> Condition:
    """A cost known without error (tokens, dollars, a tone score) does not rise relatively above `no_worse_than`."""
    number = challenger / champion - 1 if champion > 0 else (0.0 if challenger <= 0 else math.inf)
    said = f"{name}: {challenger:.4g} against the champion's {champion:.4g}."
    return Condition.of(f"guardrail_{name}", number, "<=", no_worse_than, said)


def _turns(estimate: PairedEstimate) -> str:
    compared = len(estimate.increments)
    return f"{compared} turn{'s' * (compared != 1)}"


def _signed(number: float) -> str:
    return f"{number:+.4g}"


def _percent(share: float) -> str:
    return "of an unknown level" if math.isnan(share) else f"{100 * share:+.1f} %"
