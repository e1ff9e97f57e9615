"""How traffic is shared between a subject's variants: by what is believed about them and by how much lies ahead.

Here: the posterior of a subject's log rates, and shares for the next batch that weigh learning against earning.
Not here: which variants there are (releases), where priors come from (reward_model, recipe_policy, text_prior),
and which unit meets which variant (assignment).

Everything is vectorised over subjects: arrays are (subjects, arms), absent arms are marked by `present`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

_DRAWS = 128
_NEWTON_STEPS = 6
_POWERS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
_LENGTHS = (1, 2)  # batches that a candidate is held for: longer ones were worth no more, and cost as much


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """How traffic is shared. `floor` is the least share of any variant, `control` that of the original,
    `holdout` the share of units that always get the original, `variants` the most competing with it. `horizon` is
    the number of turns, this one included, in which what a turn learns should pay: the longer, the more is explored."""

    floor: float = 0.01
    control: float = 0.10
    holdout: float = 0.05
    variants: int = 4
    horizon: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.floor <= self.control < 1 or not 0 < self.holdout < 1:
            raise ValueError("Need 0 < floor <= control < 1 and 0 < holdout < 1.")
        if self.control + self.variants * self.floor > 1:
            raise ValueError(f"{self.variants} variants at {self.floor} and a control at {self.control} exceed 1.")


@dataclass(frozen=True)
class Posterior:
    """Normal posterior of log rates: mean (s, k) and covariance (s, k, k); absent arms have mean -inf and no spread."""

    mean: np.ndarray
    covariance: np.ndarray
    present: np.ndarray

    def of(self, subjects: np.ndarray) -> "Posterior":
        """The same for some subjects, a mask (s,) or indices."""
        return Posterior(self.mean[subjects], self.covariance[subjects], self.present[subjects])

    @property
    def expected_rate(self) -> np.ndarray:
        """Expected rates (s, k), log-normal means; 0 for absent arms."""
        variance = np.diagonal(self.covariance, axis1=1, axis2=2)
        return np.where(self.present, np.exp(np.where(self.present, self.mean + variance / 2, 0.0)), 0.0)


def posterior(
    units: np.ndarray,
    rewards: np.ndarray,
    prior_mean: np.ndarray,
    prior_sd: np.ndarray,
    level_mean: np.ndarray | float,
    level_sd: np.ndarray | float,
    *,
    scale: float = 1.0,
    present: np.ndarray | None = None,
) -> Posterior:
    """Posterior of log rates from own counts: Poisson counts, normal level of the subject, normal effects of arms.

    units, rewards, prior_mean (s, k): totals so far, and each arm's expected log ratio to the subject's level, whose
    own log is normal with level_mean, level_sd (s,) or numbers; `prior_sd` (s, k) is the spread of those ratios.
    `scale` is log_rates.dispersion: rewards count as rewards / scale events. Laplace's approximation at the mode, by
    Newton steps. An arm with no units keeps its prior, given what the others say about the level.
    """
    present = np.ones(units.shape, dtype=bool) if present is None else present
    level_mean, level_variance = (
        np.broadcast_to(np.asarray(values, dtype=float), units.shape[:1]) for values in (level_mean, level_sd)
    )
    both = present[:, :, None] & present[:, None, :]
    identity = np.eye(units.shape[1])
    covariance = np.where(both, identity * (prior_sd**2)[:, :, None] + (level_variance**2)[:, None, None], 0.0)
    events = np.where(present, np.maximum(rewards, 0.0) / scale, 0.0)
    exposed = np.where(present, units / scale, 0.0)
    start = np.where(present, prior_mean + level_mean[:, None], 0.0)
    # mean = start + covariance @ pull, so that a singular covariance (a spread of zero) does no harm
    mean = start
    for _ in range(_NEWTON_STEPS):
        rate = exposed * np.exp(np.clip(mean, -50.0, 50.0))
        target = events - rate + rate * (mean - start)
        moved = np.linalg.solve(identity + covariance * rate[:, None, :], (covariance @ target[..., None]))[..., 0]
        mean = mean + np.clip(start + moved - mean, -1.0, 1.0)
    rate = exposed * np.exp(np.clip(mean, -50.0, 50.0))
    after = np.linalg.solve(identity + covariance * rate[:, None, :], covariance)
    after = (after + np.swapaxes(after, 1, 2)) / 2
    return Posterior(np.where(present, mean, -np.inf), np.where(both, after, 0.0), present)


def allocate_all(
    belief: Posterior,
    *,
    units_ahead: np.ndarray | float,
    batches_left: int,
    floor: float = 0.0,
    control: Sequence[int] | np.ndarray | None = None,
    control_share: float = 0.0,
    scale: float = 1.0,
) -> np.ndarray:
    """Shares (s, k) of the next batch for every subject; rows sum to 1.

    `units_ahead` (s,) or a number: units in each of the `batches_left` batches, this one included. `floor` is the
    least share of an arm that is present; `control` (s,) the index of the original, with at least `control_share`.

    Every candidate is valued by what it earns while it is held, plus what the arm that then looks best is expected to
    earn over the rest: E[max] over the posterior means that its results may lead to, by 128 fixed quasi-random draws.
    Candidates are powers of Thompson's probabilities, from even traffic to the best arm alone. The best is used for the
    next batch, then everything is weighed again, so results that come late or an arm that arrives late need no rule
    of their own: both are in the belief of the day.
    Source: residual horizon optimisation (Che and Namkoong 2023) and the knowledge gradient (Frazier et al. 2008).
    """
    present = belief.present
    subjects, arms = present.shape
    units_ahead = np.broadcast_to(np.asarray(units_ahead, dtype=float), (subjects,))
    draws = _normal_draws(arms)
    rates = belief.expected_rate
    centre = np.where(present, belief.mean, 0.0)
    best = _probability_best(belief, draws)
    top = np.where(present & (rates >= rates.max(axis=1, keepdims=True) * (1 - 1e-12)), 1.0, 0.0)
    top /= top.sum(axis=1, keepdims=True)
    lowest = _lowest(present, floor, control, control_share)
    candidates = [_with_lowest(top, lowest)]
    for power in _POWERS:
        tempered = np.where(present, np.maximum(best, 1e-12) ** power, 0.0)
        candidates.append(_with_lowest(tempered / tempered.sum(axis=1, keepdims=True), lowest))
    chosen = candidates[0]
    value = (chosen * rates).sum(axis=1) * batches_left
    lengths = [length for length in _LENGTHS if length < batches_left]
    information_rate = np.where(present, np.exp(centre), 0.0) / scale
    for shares in candidates:
        now = (shares * rates).sum(axis=1)
        for length in lengths:
            information = shares * (units_ahead * length)[:, None] * information_rate
            later = _expected_best(belief, information, draws)
            worth = length * now + (batches_left - length) * later
            better = worth > value * (1 + 1e-9)
            value = np.where(better, worth, value)
            chosen = np.where(better[:, None], shares, chosen)
    return chosen


def allocate(
    units: Sequence[float] | np.ndarray,
    rewards: Sequence[float] | np.ndarray,
    prior_mean: Sequence[float] | np.ndarray,
    prior_sd: Sequence[float] | np.ndarray,
    *,
    level_mean: float,
    level_sd: float,
    units_ahead: float,
    batches_left: int,
    floor: float = 0.0,
    control: int | None = None,
    control_share: float = 0.0,
    scale: float = 1.0,
) -> np.ndarray:
    """Shares (k,) of one subject's arms for the next batch; the arguments are those of posterior and allocate_all."""
    counts, earned, mean, doubt = (
        np.asarray(values, dtype=float)[None] for values in (units, rewards, prior_mean, prior_sd)
    )
    belief = posterior(counts, earned, mean, doubt, level_mean, level_sd, scale=scale)
    return allocate_all(
        belief,
        units_ahead=units_ahead,
        batches_left=batches_left,
        floor=floor,
        control=None if control is None else [control],
        control_share=control_share,
        scale=scale,
    )[0]


def _lowest(
    present: np.ndarray, floor: float, control: Sequence[int] | np.ndarray | None, control_share: float
) -> np.ndarray:
    lowest = np.where(present, floor, 0.0)
    if control is not None:
        lowest[np.arange(len(present)), np.asarray(control)] = max(control_share, floor)
    if (lowest.sum(axis=1) > 1 + 1e-9).any():
        raise ValueError(
            f"The least shares add up to {lowest.sum(axis=1).max():.2f}: fewer variants, a lower floor or control."
        )
    return lowest


def _with_lowest(shares: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """The closest shares with every arm at its least: what lies above is scaled down evenly, and rows sum to 1."""
    low = np.zeros(shares.shape, dtype=bool)
    for _ in range(shares.shape[1]):
        free = np.where(low, 0.0, shares)
        rest = 1.0 - np.where(low, lowest, 0.0).sum(axis=1, keepdims=True)
        total = free.sum(axis=1, keepdims=True)
        scaled = np.where(low, lowest, free * np.divide(rest, total, out=np.zeros_like(rest), where=total > 0))
        below = ~low & (scaled < lowest)
        if not below.any():
            break
        low |= below
    rest = 1.0 - scaled.sum(axis=1, keepdims=True)
    top = np.argmax(shares, axis=1)
    scaled[np.arange(len(shares)), top] += rest[:, 0]
    return scaled


@cache
def _normal_draws(arms: int) -> np.ndarray:
    """Fixed quasi-random standard normal draws (draws, arms), each with its mirror image: the same for every call."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    points = qmc.Sobol(arms, scramble=True, rng=20130628).random(_DRAWS // 2)
    half = ndtri(np.clip(points, 1e-9, 1 - 1e-9))
    return np.concatenate([half, -half])


def _draw(covariance: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Normal draws (s, draws, k) with covariances (s, k, k), which may be singular."""
    arms = covariance.shape[1]
    jitter = 1e-7 * np.trace(covariance, axis1=1, axis2=2) / arms + 1e-14
    root = np.linalg.cholesky(covariance + jitter[:, None, None] * np.eye(arms))
    return draws @ np.swapaxes(root, 1, 2)


def _probability_best(belief: Posterior, draws: np.ndarray) -> np.ndarray:
    """Probability (s, k) of each arm to have the highest rate, by draws, never quite 0 for an arm that is present."""
    winner = np.argmax(belief.mean[:, None, :] + _draw(belief.covariance, draws), axis=2)
    counts = (winner[:, :, None] == np.arange(belief.mean.shape[1])).mean(axis=1)
    smoothed = np.where(belief.present, counts + 0.5 / len(draws), 0.0)
    return smoothed / smoothed.sum(axis=1, keepdims=True)


def _expected_best(belief: Posterior, information: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Expected rate (s,) of the arm that looks best after events worth `information` (s, k) have been seen."""
    identity = np.eye(belief.mean.shape[1])
    after = np.linalg.solve(identity + belief.covariance * information[:, None, :], belief.covariance)
    after = (after + np.swapaxes(after, 1, 2)) / 2
    level = belief.mean + np.diagonal(after, axis1=1, axis2=2) / 2
    return np.exp((level[:, None, :] + _draw(belief.covariance - after, draws)).max(axis=2)).mean(axis=1)
