"""Ways to share a test's traffic between headlines: ours and its peers, all vectorised over groups and seeds.

Here: the policies as functions from what was seen to shares, each with the settings that tuning chooses among.
Not here: the log that answers them and the score (headline_replay), libraries with an interface of their own
(bandit_libraries), and the run (learning).

Sources of the peers: explore, then commit (Garivier, Lattimore and Kaufmann 2016); Thompson sampling with beta priors
(Chapelle and Li 2011); LOLA, upper confidence bounds that start from a predicted click rate with the weight of
`auxiliary` impressions (Ye, Yoganarasimhan and Zheng 2024).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from orchestration.learning.policies.variant_prior import VariantPrior
from orchestration.learning.traffic.allocation import allocate_all, posterior

CHUNKS = 10  # parts of a batch that a deterministic index hands out one after the other


@dataclass(frozen=True)
class Seen:
    """What a policy knows at the start of a batch: all arrays (s, k).

    `score` is our text model's log rate, `predicted` the click rate that a regression of click rates predicts from the
    same features, `arm` the row of the data, as an identity, and `seed` (s,) tells repetitions apart.
    """

    units: np.ndarray
    clicks: np.ndarray
    score: np.ndarray
    predicted: np.ndarray
    arm: np.ndarray
    seed: np.ndarray
    batch: int
    batches: int
    size: int
    rng: np.random.Generator

    @property
    def left(self) -> int:
        return self.batches - self.batch


Policy = Callable[[Seen], np.ndarray]
"""Shares (s, k) of the next batch, or anything proportional to them."""


def uniform(seen: Seen) -> np.ndarray:
    return np.ones(seen.units.shape)


def explore_then_commit(batches: int) -> Policy:
    """Even traffic for some batches, then all of it to the best click rate."""

    def shares(seen: Seen) -> np.ndarray:
        if seen.batch < batches:
            return uniform(seen)
        return _best(seen.clicks / np.maximum(seen.units, 1), seen.rng)

    return shares


def thompson(strength: float, rate: float, draws: int = 100) -> Policy:
    """Each impression draws from beta posteriors; the prior is worth `strength` clicks at the usual click rate."""

    def shares(seen: Seen) -> np.ndarray:
        wins = np.zeros(seen.units.shape)
        misses = strength / rate - strength + np.maximum(seen.units - seen.clicks, 0)
        for _ in range(draws):
            drawn = seen.rng.beta(strength + seen.clicks, misses)
            wins += drawn == drawn.max(axis=1, keepdims=True)
        return wins

    return shares


def lola(auxiliary: float, width: float, text: str = "predicted", rate: float = 0.0125) -> Policy:
    """Upper confidence bounds from a predicted click rate worth `auxiliary` impressions; `width` scales the bound.

    A batch is handed out in parts: what is handed out narrows the bound, clicks come at the end of the batch.
    `text="score"` hands it our text model instead of its own, for comparison.
    """

    def shares(seen: Seen) -> np.ndarray:
        guess = seen.predicted
        if text == "score":
            guess = rate * np.exp(seen.score - seen.score.mean(axis=1, keepdims=True))
        weight = seen.units + auxiliary
        mean = (seen.clicks + auxiliary * guess) / weight
        handed = np.zeros(mean.shape)
        for _ in range(CHUNKS):
            time = np.log(np.maximum((seen.units + handed).sum(axis=1, keepdims=True), 2.0))
            handed += _best(mean + width * np.sqrt(time / (weight + handed)), seen.rng) * seen.size / CHUNKS
        return handed

    return shares


def ours(prior: VariantPrior) -> Policy:
    """The flywheel's own allocation, as a release uses it, with a prior learned on earlier tests and nothing tuned."""

    def shares(seen: Seen) -> np.ndarray:
        centred = seen.score - seen.score.mean(axis=1, keepdims=True)
        mean = prior.mean(centred.reshape(-1, 1)).reshape(centred.shape)
        spread = np.full(mean.shape, prior.spread)
        belief = posterior(seen.units, seen.clicks, mean, spread, prior.level_mean, prior.level_sd)
        return allocate_all(belief, units_ahead=float(seen.size), batches_left=seen.left)

    return shares


def _best(index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """All to the highest index, ties at random."""
    shaken = index + 1e-12 * rng.random(index.shape)
    return (shaken == shaken.max(axis=1, keepdims=True)).astype(float)
