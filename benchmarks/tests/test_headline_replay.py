"""The replay of headline tests: scores that the policy never sees, and answers that are never used twice."""

import numpy as np
import pytest

from benchmarks.bandits import Seen, explore_then_commit, lola, ours, thompson, uniform
from benchmarks.headline_replay import BATCHES, Replay
from benchmarks.upworthy import Arms, folds_of
from orchestration.learning.policies.variant_prior import VariantPrior


def headline_arms(groups: int = 40, arms: int = 3, impressions: int = 2000, spread: float = 0.3, seed: int = 0) -> Arms:
    """Made-up headline tests whose log rates differ by `spread` within a group."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), arms)
    rate = np.exp(rng.normal(-3.5, 0.3, groups)[group] + rng.normal(0, spread, len(group)))
    met = np.full(len(group), impressions)
    nothing = np.zeros((len(group), 2))
    return Arms(
        headline=tuple(f"headline {index}" for index in range(len(group))),
        test=group,
        group=group,
        story=group,
        week=group,
        created_at=group,
        impressions=met,
        clicks=rng.binomial(met, np.minimum(rate, 1)),
        embeddings=nothing,
        features=nothing,
    )


def replay_of(arms: Arms, seeds: int = 4) -> Replay:
    nothing = np.zeros(len(arms.group))
    return Replay.of(arms, nothing, nothing + 0.03, range(seeds))


def test_even_traffic_lifts_by_nothing():
    assert replay_of(headline_arms()).lift(uniform, 1000) == pytest.approx(np.zeros(4))


def test_an_arm_never_answers_more_than_its_half_of_the_log():
    arms = headline_arms(impressions=300)
    most = []

    def all_on_one(seen: Seen) -> np.ndarray:
        most.append(seen.units.max())
        return np.eye(seen.units.shape[1])[np.zeros(len(seen.units), dtype=int)]

    replay_of(arms).lift(all_on_one, 12_000)
    assert len(most) == BATCHES
    assert max(most) == 150


def test_what_is_known_of_one_half_says_nothing_of_chance_in_the_other():
    """Where all headlines are equally good, no policy gains: a score that leaked would reward luck."""
    replay = replay_of(headline_arms(groups=300, spread=0.0, seed=5), seeds=6)
    for policy in (explore_then_commit(2), thompson(1.0, 0.03), lola(300.0, 0.02), ours(VariantPrior(weights=(1.0,)))):
        lifts = replay.lift(policy, 3000)
        assert abs(lifts.mean()) < 4 * lifts.std(ddof=1) / np.sqrt(len(lifts)) + 0.3
    assert abs(replay.best_of_first_half().mean()) < 1.5


def test_every_policy_gains_where_headlines_differ_and_ours_most():
    replay = replay_of(headline_arms(groups=150, arms=4))
    gained = {
        name: replay.lift(policy, 4000).mean()
        for name, policy in {
            "commit": explore_then_commit(3),
            "thompson": thompson(1.0, 0.03),
            "ours": ours(VariantPrior(weights=(0.0,), spread=0.3, level_mean=-3.5, level_sd=0.3)),
        }.items()
    }
    assert min(gained.values()) > 3
    assert max(gained, key=gained.__getitem__) == "ours"
    assert gained["ours"] < replay.best_of_first_half().mean()


def test_folds_keep_a_story_together():
    story = np.repeat(np.arange(20), 3)
    fold = folds_of(story, 5, seed=1)
    assert all(len(set(fold[story == code])) == 1 for code in range(20))
    assert np.bincount(fold).tolist() == [12] * 5
