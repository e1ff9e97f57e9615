"""What a policy would have earned, from decisions that another policy took and logged with their propensities.

Here: `evaluate` with one result, `Estimate`, and one refusal, `NotEnoughOverlap`; and what each decision contributes.
Not here: comparing policies over turns (comparison, decision_comparison) and bounds for repeated looks (sequential).

Every interval is the doubly robust (or weighted) one, also where the point is shrunken or comes from a model: no data
can bound the bias of a model without weighting, so a narrower interval would not cover. A point that lies outside its
own interval is a model whose bias the log has proven.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestration.learning.proof.mean_interval import mean_interval

Floats = NDArray[np.float64]
Method = Literal["ips", "snips", "dm", "dr", "dr_shrinkage"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class Estimate:
    """A policy's value in reward per decision, with its two-sided interval.

    `effective_sample_size` is how many decisions of its own the target would need to know as much (Kish 1965), in
    clusters where there are any; `effective_rewards` how many of these would carry an uncommon reward, such as a
    click. `kept` is the share of importance weight that `dr_shrinkage` used: 1 is DR, 0 the model alone.
    """

    value: float
    low: float
    high: float
    standard_error: float
    effective_sample_size: float
    effective_rewards: float
    n: int
    method: Method
    kept: float | None = None


class NotEnoughOverlap(ValueError):
    """The log says too little about the target: `reason`, the `number` measured, the one `needed`, and the `remedy`."""

    def __init__(self, reason: str, number: float, needed: float, remedy: str) -> None:
        super().__init__(f"{reason}: {number:.3g}, needs {needed:.3g}. {remedy}")
        self.reason, self.number, self.needed, self.remedy = reason, number, needed, remedy


def evaluate(
    method: Method,
    rewards: ArrayLike,
    propensities: ArrayLike,
    chosen: ArrayLike,
    target: ArrayLike,
    predicted: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    *,
    level: float = 0.95,
    minimum_sample: float = 30.0,
    minimum_rewards: float = 10.0,
) -> Estimate:
    """Value of the policy `target` from `n` logged decisions among `k` actions.

    `rewards` (n,) in reward units; `propensities` (n,) in (0, 1], with which `chosen` (n,), the index of the action,
    was chosen; `target` (n, k) probabilities, rows summing to 1; `predicted` (n, k) expected rewards, needed by `dm`,
    `dr` and `dr_shrinkage`, from a model that did not see the row (nor its cluster); `clusters` (n,) labels of
    decisions that are not independent, such as those of a visitor.

    * `ips`: inverse propensity scores (Horvitz and Thompson 1952). Unbiased, wide.
    * `snips`: self-normalised (Swaminathan and Joachims 2015). Slightly biased, indifferent to a shift of rewards.
    * `dm`: the model alone (direct method). As good as the model.
    * `dr`: doubly robust (Dudík, Langford and Li 2011).
    * `dr_shrinkage`: DR with shrunken, self-normalised weights (Su, Dimakopoulou, Krishnamurthy and Dudík 2020), the
      kind and amount of shrinkage chosen by an estimate of the mean squared error.

    Raises NotEnoughOverlap when the effective sample size is below `minimum_sample`, when fewer than
    `minimum_rewards` effective decisions carry an uncommon reward (the textbook np >= 10), or when the weights do not
    average 1. Raises ValueError on shapes and values that cannot be.
    """
    log = _checked(method, rewards, propensities, chosen, target, predicted, clusters)
    rows = np.arange(len(log.rewards))
    weights = log.target[rows, log.chosen] / log.propensities
    size, uncommon = _overlap(weights, log.rewards, log.clusters, minimum_sample, minimum_rewards)
    kept = None
    if log.predicted is None:
        scores = weights * log.rewards
        value = float(scores.mean())
        if method == "snips":
            value /= float(weights.mean())
            scores = value + weights * (log.rewards - value) / weights.mean()
    else:
        model = np.einsum("nk,nk->n", log.target, log.predicted)
        residuals = log.rewards - log.predicted[rows, log.chosen]
        scores, _ = _scores(log)
        value = float(model.mean() if method == "dm" else scores.mean())
        if method == "dr_shrinkage":
            value, kept = _shrunken(model, weights, residuals, log.clusters)
    interval = mean_interval(scores, log.clusters, level)
    return Estimate(
        value=value,
        low=interval.low,
        high=interval.high,
        standard_error=interval.standard_error,
        effective_sample_size=size,
        effective_rewards=uncommon,
        n=len(rows),
        method=method,
        kept=kept,
    )


def doubly_robust_scores(
    rewards: ArrayLike, propensities: ArrayLike, chosen: ArrayLike, target: ArrayLike, predicted: ArrayLike
) -> tuple[Floats, Floats]:
    """What each decision contributes to the value of `target` by `dr`, (n,), and its importance weight, (n,).

    Arguments as in `evaluate`. The mean of the contributions is the estimate, and each is unbiased for the expected
    reward of `target` in its own context, whatever the model, given that the propensities are true.
    """
    log = _checked("dr", rewards, propensities, chosen, target, predicted, None)
    return _scores(log)


def _scores(log: "_Log") -> tuple[Floats, Floats]:
    assert log.predicted is not None
    rows = np.arange(len(log.rewards))
    weights = log.target[rows, log.chosen] / log.propensities
    model = np.einsum("nk,nk->n", log.target, log.predicted)
    return model + weights * (log.rewards - log.predicted[rows, log.chosen]), weights


def _shrunken(model: Floats, weights: Floats, residuals: Floats, clusters: NDArray | None) -> tuple[float, float]:
    """The shrunken value, averaged over amounts of shrinkage by their estimated error; and the share of weight kept.

    Weights are clipped (pessimistic) or damped (optimistic shrinkage of Su et al., section 3) at twenty of their own
    quantiles, from all of them (DR) to none (the model), and self-normalised: residuals then need not average zero,
    and a poor model costs little. The squared bias of each is its distance to DR, squared, plus three times that
    distance's own variance, so that what is close by chance does not win. Averaging with exponential weights (Leung and
    Barron 2006) instead of taking the least saves most of the error that choosing adds.
    """
    used = weights[weights > 0]
    tried = [weights]
    for edge in np.unique(np.quantile(used, np.linspace(0.05, 1, 20))):
        tried.append(np.minimum(weights, edge))
        tried.append(edge**2 * weights / (weights**2 + edge**2))
    base, scores = _normalised(model, weights, residuals)
    made = [(*_normalised(model, shrunk, residuals), float(shrunk.mean() / weights.mean())) for shrunk in tried]
    made.append((float(model.mean()), model, 0.0))
    values, kept = np.array([one[0] for one in made]), np.array([one[2] for one in made])
    spread = np.array([_variance(own, clusters) for _, own, _ in made])
    doubt = np.array([_variance(own - scores, clusters) for _, own, _ in made])
    errors = spread + (values - base) ** 2 + 3 * doubt
    if spread[0] == 0:
        return base, 1.0
    trust = np.exp(-(errors - errors.min()) / (0.2 * spread[0]))
    trust /= trust.sum()
    return float(trust @ values), float(trust @ kept)


def _normalised(model: Floats, weights: Floats, residuals: Floats) -> tuple[float, Floats]:
    """Self-normalised DR value and the contributions that its variance comes from."""
    total = weights.mean()
    correction = float(weights @ residuals / len(weights) / total)
    return float(model.mean()) + correction, model + weights / total * (residuals - correction)


def _variance(contributions: Floats, clusters: NDArray | None) -> float:
    """Variance of the mean of contributions."""
    deviations = contributions - contributions.mean()
    if clusters is not None:
        deviations = np.bincount(clusters, weights=deviations)
    return float(deviations @ deviations) / len(contributions) ** 2


def _overlap(
    weights: Floats, rewards: Floats, clusters: NDArray | None, minimum_sample: float, minimum_rewards: float
) -> tuple[float, float]:
    """Effective sample size, and how much of it carries an uncommon reward; raises NotEnoughOverlap."""
    alone = float(weights.sum() ** 2 / (weights @ weights)) if weights.any() else 0.0
    size = alone
    if clusters is not None and weights.any():
        sums = np.bincount(clusters, weights=weights)
        size = min(alone, float(sums.sum() ** 2 / (sums @ sums)))
    if size < minimum_sample:
        remedy = "Log more turns, explore more, or judge a policy nearer to the one that logged."
        raise NotEnoughOverlap("The effective sample size is too small", size, minimum_sample, remedy)
    average, spread = float(weights.mean()), np.sqrt(_variance(weights, clusters))
    if abs(average - 1) > 5 * spread + 0.05:
        remedy = "Check the propensities, and that every action of the target can be chosen by the policy that logged."
        raise NotEnoughOverlap("The weights do not average 1", average, 1.0, remedy)
    values, counts = np.unique(rewards, return_counts=True)
    uncommon = alone * (1 - counts.max() / len(rewards)) if len(values) > 1 else 0.0
    if uncommon < minimum_rewards:
        remedy = "Log more turns until rewards have been seen where the target goes, or use a more frequent reward."
        raise NotEnoughOverlap("The effective number of rewards is too small", uncommon, minimum_rewards, remedy)
    return size, uncommon


@dataclass(frozen=True)
class _Log:
    rewards: Floats
    propensities: Floats
    chosen: NDArray[np.int64]
    target: Floats
    predicted: Floats | None
    clusters: NDArray[np.int64] | None


def _checked(
    method: str,
    rewards: ArrayLike,
    propensities: ArrayLike,
    chosen: ArrayLike,
    target: ArrayLike,
    predicted: ArrayLike | None,
    clusters: ArrayLike | None,
) -> _Log:
    """The log as arrays. Raises ValueError naming what cannot be."""
    if method not in METHODS:
        raise ValueError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
    y, p, a = np.asarray(rewards, float), np.asarray(propensities, float), np.asarray(chosen)
    t = np.asarray(target, float)
    if t.ndim != 2 or not (y.shape == p.shape == a.shape == t.shape[:1]) or len(y) < 2:
        raise ValueError(
            f"Need rewards, propensities and chosen of one shape (n,) and target (n, k), n >= 2; got {y.shape}, "
            f"{p.shape}, {a.shape} and {t.shape}."
        )
    if not np.isfinite(y).all():
        raise ValueError("Rewards must be finite: leave out decisions whose reward is not known yet.")
    if not ((p > 0) & (p <= 1)).all():
        raise ValueError("Propensities must lie in (0, 1]: what was chosen cannot have had probability 0.")
    if not np.issubdtype(a.dtype, np.integer) or a.min() < 0 or a.max() >= t.shape[1]:
        raise ValueError(f"`chosen` must hold indices of the {t.shape[1]} actions of `target`.")
    if (t < 0).any() or np.abs(t.sum(axis=1) - 1).max() > 1e-6:
        raise ValueError("Every row of `target` must be probabilities that sum to 1.")
    q = None
    if method in ("dm", "dr", "dr_shrinkage"):
        if predicted is None:
            raise ValueError(f"{method} needs `predicted` (n, k), from a model that did not see the row; or use snips.")
        q = np.asarray(predicted, float)
        if q.shape != t.shape or not np.isfinite(q).all():
            raise ValueError(f"`predicted` must be finite, of the shape of `target` {t.shape}; got {q.shape}.")
    member = None
    if clusters is not None:
        labels = np.asarray(clusters)
        if labels.shape != y.shape:
            raise ValueError(f"`clusters` must label every decision {y.shape}; got {labels.shape}.")
        member = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    return _Log(y, p, a.astype(np.int64), t, q, member)
