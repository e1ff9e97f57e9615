"""What is proven from decisions: a challenger against the champion, off-policy, and whether the turn can be trusted.

Here: what ways of delivery that decide share: handing logged decisions to the fit, the judge and the checks.
Not here: these themselves (learning.policies, learning.proof), and who is decided for (per_unit, trial).
"""

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from orchestration.delivery import decision_statements as statements
from orchestration.delivery.decisions import replaced_rows
from orchestration.delivery.protocol import Compared, Formats, Frames, Learning, When
from orchestration.learning.policies.choice import ChoicePolicy, Context, Option
from orchestration.learning.policies.contextual import ContextualPolicy, fit_contextual
from orchestration.learning.policies.policy import Policy
from orchestration.learning.policies.prices import PricePolicy, fit_prices
from orchestration.learning.proof.decision_comparison import increment_of_decisions
from orchestration.learning.proof.decision_ratio import sample_ratio_of_decisions
from orchestration.learning.proof.evidence import Condition, no_shared_subjects, sample_ratio
from orchestration.learning.proof.folds import with_folds
from orchestration.learning.proof.off_policy import NotEnoughOverlap

if TYPE_CHECKING:
    import polars as pl

    from orchestration.loops.declaration import Loop

_MOST_PLACES = 500  # contexts that a policy's cost is taken over: enough for its average


def fit_of(loop: "Loop") -> "Callable[[pl.DataFrame], ChoicePolicy]":
    """How a policy is fitted on a loop's decisions: with a demand where a price is all that is chosen, else on options'
    parts."""
    bounds = loop.generation.price_bounds
    return fit_contextual if bounds is None else partial(fit_prices, bounds=bounds)


class LearnsFromDecisions:
    """What every way of delivery that decides has in common: its rows, what they teach, and what they prove."""

    outputs = MappingProxyType({"releases": "decisions", "results": "results", "deliveries": "deliveries"})
    release_reads = MappingProxyType({"spent": statements.SPENT, "undelivered": statements.UNDELIVERED})
    outbox_read = statements.PROVENANCE
    evidence = statements.EVIDENCE
    learning_reads = MappingProxyType({"logged": statements.LOGGED, "seen": statements.SUBJECTS_SEEN})
    learns_from = "logged"
    condition_reads = learning_reads
    unwanted = statements.UNWANTED

    def in_their_place(self, rows: "pl.DataFrame", kept: "pl.DataFrame", turn: str, now: datetime) -> "pl.DataFrame":
        return replaced_rows(rows, kept, turn, now)

    def first(self, loop: "Loop", by_format: Formats) -> Policy:  # noqa: ARG002
        """Every option as likely as any other."""
        bounds = loop.generation.price_bounds
        return Policy(ContextualPolicy.first() if bounds is None else PricePolicy.first(bounds=bounds))

    def understood(self, policy: str, by_format: Formats) -> Policy:  # noqa: ARG002
        return Policy.from_json(policy)

    def fitted(self, learning: Learning) -> Policy:
        return Policy(fit_of(learning.loop)(learning.read["logged"]))

    def parameters(self, policy: Policy) -> dict[str, float | int | str]:
        return {"exploration": policy.choice.exploration}

    def compared(self, learning: Learning, champion: Policy) -> Compared | None:
        """The turn's decisions, judged for challengers that never saw their subjects against the champion."""
        logged, fit = learning.read["logged"], fit_of(learning.loop)
        found = increment_of_decisions(logged, fit, champion.choice, learning.when.turn)
        if found is None:
            return None
        increment, judged = found
        if isinstance(judged, NotEnoughOverlap):
            return Compared(increment=increment, figures={"off_policy": str(judged)})
        figures: dict[str, float | str] = {
            "off_policy_value": judged.value,
            "off_policy_low": judged.low,
            "off_policy_high": judged.high,
            "off_policy_effective_sample_size": judged.effective_sample_size,
        }
        return Compared(increment=increment, figures=figures)

    def trusted(self, loop: "Loop", read: Frames, when: When) -> list[Condition]:  # noqa: ARG002
        """Options came as they were drawn among the decisions that were met, and no subject is on both sides."""
        import polars as pl

        day = date.fromisoformat(when.turn)
        logged = with_folds(read["logged"], read["seen"])
        now = logged.filter(pl.col("turn") == day, ~pl.col("in_holdout"), pl.col("units") > 0)
        p_value = sample_ratio_of_decisions(now["options"].to_list(), now["option"].to_list())
        pairs = logged.select("subject_id", "fold").unique()
        twice = pairs.filter(pl.len().over("subject_id") > 1)["subject_id"].unique().sort().to_list()
        return [sample_ratio(p_value), no_shared_subjects(len(twice), twice)]

    def trust_checks(self, loop: "Loop") -> dict[str, str]:  # noqa: ARG002
        return {
            "sample_ratio": "Among decisions with an exposure, options are as frequent as their logged probabilities.",
            "shared_subjects": "No subject stands in two folds: what judged the challenger had not trained it.",
        }

    def places(self, read: Frames) -> list[tuple[Context, float]]:
        """Contexts of the newest turn's decisions."""
        logged = read["logged"]
        if logged.is_empty():
            return []
        newest = logged.filter(logged["turn"] == logged["turn"].max(), ~logged["in_holdout"]).head(_MOST_PLACES)
        return [(context_of(row), 1.0) for row in newest.to_dicts()]


def context_of(row: Mapping[str, Any]) -> Context:
    """What was known when a logged decision was taken."""
    return Context(
        pool=row["category"],
        format=row["format"] or "",
        features=json.loads(row["context"]),
        options=tuple(Option(option_id=name, parts=parts) for name, parts in json.loads(row["option_parts"]).items()),
    )
