"""Replay of headline tests: half of each arm's log answers the policy, the other half scores what it did.

Here: the split, the answers drawn without replacement, and lift over even traffic.
Not here: policies (bandits) and which tests (upworthy).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.bandits import Policy, Seen
from benchmarks.upworthy import Arms

BATCHES = 12


@dataclass(frozen=True)
class _Bucket:
    """Groups of the same number of arms, once for every seed: arrays (seeds x groups, arms)."""

    arm: np.ndarray
    seed: np.ndarray
    impressions: np.ndarray
    clicks: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class Replay:
    """Headline tests ready to be replayed for several seeds at once."""

    buckets: tuple[_Bucket, ...]
    seeds: int
    score: np.ndarray
    predicted: np.ndarray

    @classmethod
    def of(cls, arms: Arms, score: np.ndarray, predicted: np.ndarray, seeds: Sequence[int]) -> "Replay":
        """Split each arm's log at random, by seed. score, predicted (n,) are what policies may know of the texts."""
        groups = np.unique(arms.group, return_inverse=True)[1]
        order = np.argsort(groups, kind="stable")
        count = np.bincount(groups)
        starts = np.r_[0, np.cumsum(count)[:-1]]
        learn = arms.impressions // 2
        halves = [
            np.random.default_rng([seed, 1]).hypergeometric(arms.clicks, arms.impressions - arms.clicks, learn)
            for seed in seeds
        ]
        rest = np.maximum(arms.impressions - learn, 1)
        buckets = []
        for size in np.unique(count):
            rows = order[starts[count == size][:, None] + np.arange(size)]
            buckets.append(
                _Bucket(
                    arm=np.tile(rows, (len(seeds), 1)),
                    seed=np.repeat(np.arange(len(seeds)), len(rows)),
                    impressions=np.tile(learn[rows], (len(seeds), 1)),
                    clicks=np.concatenate([half[rows] for half in halves]),
                    truth=np.concatenate([((arms.clicks - half) / rest)[rows] for half in halves]),
                )
            )
        return cls(tuple(buckets), len(seeds), score, predicted)

    def lift(self, policy: Policy, impressions: int, seed: int = 0) -> np.ndarray:
        """Lift (seeds,) over even traffic, in per cent, of the traffic that the policy shares out.

        Clicks expected from its shares at the scoring half's rates, over those of even shares, all groups together.
        Answers come from the learning half without replacement, for as long as an arm's log lasts.
        """
        earned, even = np.zeros(self.seeds), np.zeros(self.seeds)
        sizes = np.diff(np.round(np.linspace(0, impressions, BATCHES + 1)).astype(int))
        for bucket in self.buckets:
            shares = self._play(bucket, policy, sizes, np.random.default_rng([seed, bucket.arm.shape[1]]))
            earned += np.bincount(bucket.seed, (shares * bucket.truth).sum(axis=1), minlength=self.seeds)
            even += np.bincount(bucket.seed, bucket.truth.mean(axis=1), minlength=self.seeds)
        return 100 * (earned / even - 1)

    def best_of_first_half(self) -> np.ndarray:
        """Lift (seeds,) of always showing the arm with the best rate in the learning half: as if all were known."""
        earned, even = np.zeros(self.seeds), np.zeros(self.seeds)
        for bucket in self.buckets:
            best = np.argmax(bucket.clicks / np.maximum(bucket.impressions, 1), axis=1)
            earned += np.bincount(bucket.seed, bucket.truth[np.arange(len(best)), best], minlength=self.seeds)
            even += np.bincount(bucket.seed, bucket.truth.mean(axis=1), minlength=self.seeds)
        return 100 * (earned / even - 1)

    def _play(self, bucket: _Bucket, policy: Policy, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Shares (s, k) of all traffic that each arm got."""
        left, clicks_left = bucket.impressions.copy(), bucket.clicks.copy()
        units, clicks, total = (np.zeros(left.shape) for _ in range(3))
        for batch, size in enumerate(sizes):
            shares = policy(
                Seen(
                    units,
                    clicks,
                    self.score[bucket.arm],
                    self.predicted[bucket.arm],
                    bucket.arm,
                    bucket.seed,
                    batch,
                    len(sizes),
                    int(size),
                    rng,
                )
            )
            shares = shares / shares.sum(axis=1, keepdims=True)
            total += shares * size
            answered = np.minimum(rng.multinomial(size, shares), left)
            clicked = rng.hypergeometric(clicks_left, left - clicks_left, answered)
            left, clicks_left = left - answered, clicks_left - clicked
            units, clicks = units + answered, clicks + clicked
        return total / sizes.sum()
