"""A challenger against the champion on logged decisions: what one turn's decisions say of both, honestly.

Here: one turn's increment, from decisions that the policy in force took and logged with their propensities.
Not here: policies (policies.contextual, policies.prices), the estimator (off_policy), what increments prove together
(paired_estimate), the decision (evidence).

The null that is tested is that of `comparison`: *no challenger so far was better than the champion*. A turn's
challenger and the model of rewards are fitted on earlier turns alone and, where a subject comes back, without that
subject's fold. So whatever was learned, each decision's score has the true difference in its own context as its mean,
sums of increments are martingales around the sum of true differences, and a bound on them holds at every turn at once.
The bound is made of doubly robust scores as they are; a shrunken estimate, which is nearer and not free of bias, is
only reported.
"""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from orchestration.learning.policies.choice import ChoicePolicy, Context
from orchestration.learning.policies.contextual import fit_contextual
from orchestration.learning.policies.decision_rows import DecisionRows, read_decisions
from orchestration.learning.proof.comparison import splits
from orchestration.learning.proof.off_policy import Estimate, NotEnoughOverlap, doubly_robust_scores, evaluate
from orchestration.learning.proof.paired_estimate import Increment

Floats = NDArray[np.float64]
Fit = Callable[[pl.DataFrame], ChoicePolicy]


@runtime_checkable
class Predicts(Protocol):
    """What says beforehand what an option will earn."""

    def expected_all(self, contexts: Sequence[Context]) -> Sequence[Floats]:
        """Expected rewards of the options of each context, in the order of `context.options`."""
        ...


def increment_of_decisions(
    decisions: pl.DataFrame, fit: Fit, champion: ChoicePolicy, turn: date | str
) -> tuple[Increment, Estimate | NotEnoughOverlap] | None:
    """The decisions of one turn, challenger minus champion, and what the challenger alone would have earned.

    `decisions` has the columns of `decision_rows`, of one loop. `fit` makes a policy from a part of it, and must
    depend on nothing else; a policy that predicts rewards is its own model, for others a contextual one is fitted.
    The increment's sums are over subjects, whose decisions are not independent: its units are decisions, and its
    subjects those who met one outside the holdout. The estimate is in reward per decision of this turn (DR with
    shrinkage); where the log says too little of the challenger, the refusal stands in its place. None without an
    earlier turn, or without a decision to judge. Raises ValueError on an option chosen with propensity 0.
    Source: Dudik, Langford and Li (2011); Howard et al. (2021) for why bounds on such sums hold at every look.
    """
    day = turn if isinstance(turn, date) else date.fromisoformat(turn)
    judged = pl.col("turn") == day, ~pl.col("in_holdout"), pl.col("units") > 0, pl.col("option").is_not_null()
    past, now = decisions.filter(pl.col("turn") < day), decisions.filter(*judged)
    if past.filter(pl.col("units") > 0).is_empty() or now.is_empty():
        return None
    parts = [_judged(train, part, fit, champion) for train, part in splits(pl.concat([past, now]), day)]
    width = max(part.challenger.shape[1] for part in parts)
    rewards, propensities, chosen = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("rewards", "propensities", "chosen")
    )
    new, old, predicted = (
        np.concatenate([_widened(getattr(part, name), width) for part in parts])
        for name in ("challenger", "champion", "predicted")
    )
    subjects, subject = np.unique([name for part in parts for name in part.subjects], return_inverse=True)

    def sums(of: Floats) -> Floats:
        return np.bincount(subject, weights=of, minlength=len(subjects)).astype(float)

    score, weights = _scores(rewards, propensities, chosen, new, predicted)
    champion_score, _ = _scores(rewards, propensities, chosen, old, predicted)
    units = sums(np.ones(len(rewards)))
    increment = Increment.of(day, units, sums(score - champion_score), sums(champion_score) / units, sums(weights))
    if len(rewards) < 2:
        remedy = "Wait for a turn with more decisions."
        return increment, NotEnoughOverlap("Too few decisions were logged", len(rewards), 2, remedy)
    try:
        return increment, evaluate(
            "dr_shrinkage", rewards, propensities, chosen, new, predicted, subject if units.max() > 1 else None
        )
    except NotEnoughOverlap as refusal:
        return increment, refusal


class _Judged:
    """Decisions of a turn with what both policies would have done: arrays (n, w) over the options on offer."""

    def __init__(
        self, rows: DecisionRows, challenger: ChoicePolicy, champion: ChoicePolicy, outcomes: Predicts
    ) -> None:
        contexts = rows.contexts()
        self.rewards, self.propensities, self.subjects = rows.rewards, rows.propensities, rows.subjects
        # Options are kept by name in a context: where among them stands what was chosen.
        names = [rows.catalogue[index].option_id for index in rows.chosen]
        self.chosen = np.array(
            [
                next(place for place, option in enumerate(context.options) if option.option_id == name)
                for context, name in zip(contexts, names, strict=True)
            ]
        )
        width = rows.offered.shape[1]
        self.challenger = _table(challenger, contexts, width)
        self.champion = _table(champion, contexts, width)
        self.predicted = np.zeros((len(contexts), width))
        for row, expected in enumerate(outcomes.expected_all(contexts)):
            self.predicted[row, : len(expected)] = expected


def _judged(train: pl.DataFrame, part: pl.DataFrame, fit: Fit, champion: ChoicePolicy) -> _Judged:
    """Without any earlier decision outside the judged folds, the challenger is the champion."""
    challenger = fit(train) if not train.is_empty() else champion
    outcomes = challenger if isinstance(challenger, Predicts) else fit_contextual(train)
    return _Judged(read_decisions(part), challenger, champion, outcomes)


def _scores(
    rewards: Floats, propensities: Floats, chosen: NDArray[np.int64], target: Floats, predicted: Floats
) -> tuple[Floats, Floats]:
    """Doubly robust contributions and weights, for as few as one decision."""
    twice = np.arange(max(len(rewards), 2)) % len(rewards)
    made = doubly_robust_scores(rewards[twice], propensities[twice], chosen[twice], target[twice], predicted[twice])
    return made[0][: len(rewards)], made[1][: len(rewards)]


def _table(policy: ChoicePolicy, contexts: Sequence[Context], width: int) -> Floats:
    """Probabilities (n, `width`) of the options of each context, in their order, scaled to sum to 1."""
    every = getattr(policy, "probabilities_all", None)
    found = every(contexts) if every is not None else [policy.probabilities(context) for context in contexts]
    made = np.zeros((len(contexts), width))
    for row, (context, of) in enumerate(zip(contexts, found, strict=True)):
        made[row, : len(context.options)] = [of.get(option.option_id, 0.0) for option in context.options]
    total = made.sum(axis=1, keepdims=True)
    if not (total > 0).all() or (made < 0).any():
        worst = contexts[int(np.argmin(total))]
        raise ValueError(f"A policy gives no probabilities in pool {worst.pool!r} for what is on offer there.")
    return made / total


def _widened(table: Floats, width: int) -> Floats:
    return np.pad(table, ((0, 0), (0, width - table.shape[1])))
