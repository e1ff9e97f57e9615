"""A challenger is judged on the decisions that the champion took, and only a better one can be proven."""

import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.learning.policies.contextual import ContextualPolicy, fit_contextual
from orchestration.learning.proof.decision_comparison import increment_of_decisions
from orchestration.learning.proof.decision_ratio import choice_ratio_p_value, sample_ratio_of_decisions
from orchestration.learning.proof.off_policy import Estimate, NotEnoughOverlap, evaluate
from orchestration.learning.proof.paired_estimate import accumulate, looks
from tests.logged_decisions import day, decisions_of, picked

NAMES = ["o0", "o1", "o2", "o3"]
RATES = np.array([0.10, 0.16, 0.10, 0.06])


class Table:
    """Chooses by fixed weights."""

    def __init__(self, weights):
        self.weights = dict(zip(NAMES, weights, strict=True))

    def probabilities(self, context):
        return {option.option_id: self.weights[option.option_id] for option in context.options}

    def to_json(self):
        return json.dumps(self.weights)


EVEN = Table([0.25] * 4)
BETTER = Table([0.05, 0.85, 0.05, 0.05])


def favouring_the_best_so_far(log):
    """A fast challenger: 85 % for the option with the highest mean so far."""
    known = log.filter(pl.col("option").is_not_null()).group_by("option").agg(pl.col("reward").mean()).sort("reward")
    return Table([0.85 if name == known["option"][-1] else 0.05 for name in NAMES])


def turns(rng, count, *, n=400, rates=RATES, subjects=None, chances=None):
    """Turns of decisions drawn with `chances`; `subjects` people who come back each turn and share their luck."""
    made = []
    for turn in range(count):
        names = None if subjects is None else [f"s{row % subjects}" for row in range(n)]
        p = np.full((n, 4), 0.25) if chances is None else np.tile(chances, (n, 1))
        chosen = picked(rng, p)
        luck = rng.random(n)
        if subjects is not None:
            luck = np.where(rng.random(n) < 0.5, rng.random(subjects)[np.arange(n) % subjects], luck)
        rewards = (luck < np.asarray(rates)[chosen]).astype(float)
        chosen[rng.random(n) < 0.05] = -1
        made.append(decisions_of(turn, chances=p, chosen=chosen, rewards=rewards, subjects=names))
    return pl.concat(made)


def fixed(policy):
    return lambda _: policy


def value(policy):
    return float(RATES @ list(policy.weights.values()))


@pytest.mark.parametrize(("subjects", "fit"), [(None, BETTER), (100, BETTER)])
def test_the_difference_is_unbiased_and_its_error_is_what_it_says(subjects, fit):
    rng = np.random.default_rng(1)
    truth = value(BETTER) - value(EVEN)
    found = []
    for _ in range(80):
        made = increment_of_decisions(turns(rng, 2, subjects=subjects), fixed(fit), EVEN, day(1))
        found.append(accumulate([made[0]]))
    errors = np.array([(one.value - truth) / one.standard_error for one in found])
    assert abs(errors.mean()) < 0.35
    assert 0.75 < errors.std() < 1.25
    assert np.mean(np.abs(errors) < 1.96) >= 0.90
    assert np.mean([one.champion for one in found]) == pytest.approx(value(EVEN), rel=0.05)


def test_the_estimate_of_the_challenger_covers_its_true_value():
    rng = np.random.default_rng(2)
    inside = []
    for _ in range(60):
        _, judged = increment_of_decisions(turns(rng, 2, n=800), fixed(BETTER), EVEN, day(1))
        assert isinstance(judged, Estimate)
        inside.append(judged.low <= value(BETTER) <= judged.high)
    assert np.mean(inside) >= 0.90


def test_a_challenger_saw_neither_the_turn_nor_the_folds_of_those_who_come_back():
    log = turns(np.random.default_rng(3), 3, n=60, subjects=30)
    seen = []

    def fit(part):
        seen.append(part)
        return BETTER

    increment, _ = increment_of_decisions(log, fit, EVEN, day(2))
    judged = set(log.filter(pl.col("turn") == day(2))["subject_id"])
    assert len(seen) == 5
    for part in seen:
        assert part["turn"].max() < day(2)
        (left_out,) = {0, 1, 2, 3, 4} - set(part["fold"].unique())
        taught = set(part["subject_id"])
        assert not {s for s in judged if sum(map(ord, s)) % 5 == left_out} & taught
    met = log.filter(pl.col("turn") == day(2), ~pl.col("in_holdout"))
    assert increment.weight == met.height
    assert increment.subjects == met["subject_id"].n_unique()


def test_decisions_of_one_subject_count_as_one_in_the_variance():
    rng = np.random.default_rng(4)
    log = turns(rng, 2, n=200)
    alone, _ = increment_of_decisions(log, fixed(BETTER), EVEN, day(1))
    now = pl.col("turn") == day(1)
    paired = log.with_columns(
        subject_id=pl.when(now)
        .then(pl.lit("s") + (pl.col("decision_id").str.slice(5).cast(pl.Int64) // 2).cast(pl.String))
        .otherwise("subject_id"),
        fold=pl.lit(0),
    )
    together, _ = increment_of_decisions(paired, fixed(BETTER), EVEN, day(1))
    assert together.difference == pytest.approx(alone.difference, rel=1e-9)
    assert together.weight == alone.weight
    assert together.subjects < alone.subjects


def test_two_equal_policies_differ_by_nothing_and_prove_nothing():
    made, _ = increment_of_decisions(turns(np.random.default_rng(5), 2), fixed(EVEN), EVEN, day(1))
    assert made.difference == pytest.approx(0.0, abs=1e-9)
    assert accumulate([made]).low <= 0


def test_a_better_challenger_is_proven_over_turns():
    log = turns(np.random.default_rng(6), 8, n=1500)
    made = [increment_of_decisions(log, favouring_the_best_so_far, EVEN, day(turn))[0] for turn in range(1, 8)]
    assert accumulate(made).low > 0
    assert made[-1].difference / made[-1].weight == pytest.approx(value(BETTER) - value(EVEN), abs=0.03)


def test_where_nothing_is_better_at_most_one_in_twenty_is_ever_proven_over_20_looks():
    """The champion chooses with unequal probabilities; the challenger chases chance. Every turn is a look."""
    rng = np.random.default_rng(7)
    proven = 0
    chances = np.array([0.4, 0.3, 0.2, 0.1])
    champion = Table(chances)
    for _ in range(60):
        log = turns(rng, 21, n=120, rates=[0.1] * 4, chances=chances)
        made = [
            increment_of_decisions(
                log.filter(pl.col("turn") <= day(turn)),
                _with_flat_model(favouring_the_best_so_far),
                champion,
                day(turn),
            )[0]
            for turn in range(1, 21)
        ]
        proven += any(look.low > 0 for look in looks(made, alpha=0.05))
    assert proven <= 3


def _with_flat_model(fit):
    """The same challenger, with the mean reward so far as its model: fast, and as valid as any other."""

    def fitted(log):
        policy, mean = fit(log), float(log["reward"].mean())
        policy.expected_all = lambda contexts: [np.full(len(context.options), mean) for context in contexts]
        return policy

    return fitted


def test_the_contextual_policy_is_judged_by_its_own_model():
    log = turns(np.random.default_rng(8), 3, n=1500)
    made, judged = increment_of_decisions(log, fit_contextual, ContextualPolicy.first(), day(2))
    assert made.difference > 0
    assert isinstance(judged, Estimate)
    assert judged.low <= 0.16 <= judged.high + 0.03


def test_without_an_earlier_turn_or_decision_there_is_nothing_to_say():
    log = turns(np.random.default_rng(9), 2, n=50)
    assert increment_of_decisions(log, fixed(BETTER), EVEN, day(0)) is None
    assert increment_of_decisions(log, fixed(BETTER), EVEN, day(5)) is None
    held = log.with_columns(in_holdout=pl.lit(True), option=pl.lit(None, pl.String))
    assert increment_of_decisions(held, fixed(BETTER), EVEN, day(1)) is None


def test_where_the_log_says_too_little_the_refusal_is_handed_back():
    log = turns(np.random.default_rng(10), 2, n=20)
    made, judged = increment_of_decisions(log, fixed(BETTER), EVEN, day(1))
    assert isinstance(judged, NotEnoughOverlap)
    assert made.weight > 0


def test_one_decision_is_a_turn():
    log = pl.concat([turns(np.random.default_rng(11), 1, n=50), turns(np.random.default_rng(12), 2, n=50)[50:51]])
    log = log.with_columns(in_holdout=pl.lit(False), option=pl.col("option").fill_null("o0"))
    made, judged = increment_of_decisions(log, fixed(BETTER), EVEN, day(1))
    assert made.weight == 1
    assert isinstance(judged, NotEnoughOverlap)


def test_the_increment_is_the_mean_of_doubly_robust_scores():
    """By hand, with the flat model: the same sums as `evaluate` gives for each of the two policies."""
    log = turns(np.random.default_rng(13), 2, n=300)
    made, _ = increment_of_decisions(log, _with_flat_model(lambda _: Table([0.05, 0.85, 0.05, 0.05])), EVEN, day(1))
    now = log.filter(pl.col("turn") == day(1), ~pl.col("in_holdout"))
    mean = float(log.filter(pl.col("turn") == day(0))["reward"].mean())
    n = now.height
    chosen = np.array([NAMES.index(name) for name in now["option"]])
    values = [
        evaluate(
            "dr",
            now["reward"].to_numpy(),
            np.full(n, 0.25),
            chosen,
            np.tile(list(policy.weights.values()), (n, 1)),
            np.full((n, 4), mean),
        ).value
        for policy in (BETTER, EVEN)
    ]
    assert made.difference / made.weight == pytest.approx(values[0] - values[1])
    assert made.champion / made.weight == pytest.approx(values[1])


def drawn(rng, n, k, *, sets=3):
    """Probabilities over some of `k` options each, and a choice by them."""
    on_offer = rng.random((sets, k)) < 0.7
    on_offer[:, 0] = True
    p = rng.dirichlet(np.full(k, 2.0), n) * on_offer[rng.integers(sets, size=n)]
    p /= p.sum(axis=1, keepdims=True)
    return p, picked(rng, p)


def test_sound_choices_raise_alarms_as_rarely_as_they_say():
    rng = np.random.default_rng(14)
    p_values = np.array([choice_ratio_p_value(*drawn(rng, 400, 6)) for _ in range(500)])
    assert np.mean(p_values < 0.05) == pytest.approx(0.05, abs=0.025)
    assert np.mean(p_values < 0.5) == pytest.approx(0.5, abs=0.08)


def test_rare_options_raise_no_false_alarms():
    rng = np.random.default_rng(15)
    p = np.tile([0.9, 0.097, *([0.0005] * 6)], (300, 1))
    p_values = np.array([choice_ratio_p_value(p, picked(rng, p)) for _ in range(500)])
    assert np.mean(p_values < 0.01) <= 0.025


def test_lost_decisions_of_one_option_are_seen():
    rng = np.random.default_rng(16)
    p, chosen = drawn(rng, 4000, 5)
    kept = (chosen != 2) | (rng.random(4000) < 0.7)
    assert choice_ratio_p_value(p[kept], chosen[kept]) < 0.001
    assert choice_ratio_p_value(p, chosen) > 0.001


def test_the_log_as_it_is_written_gives_the_same():
    rng = np.random.default_rng(17)
    p, chosen = drawn(rng, 300, 4)
    written = [json.dumps({NAMES[k]: row[k] for k in range(4) if row[k] > 0}) for row in p]
    names = [NAMES[k] for k in chosen]
    assert sample_ratio_of_decisions(written, names) == pytest.approx(choice_ratio_p_value(p, chosen))
    assert sample_ratio_of_decisions([], []) == 1.0
    assert sample_ratio_of_decisions(['{"o0": 1.0}'], ["o0"]) == 1.0
    assert sample_ratio_of_decisions(['{"o0": 1.0}'], ["o1"]) == 0.0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 60), k=st.integers(1, 12))
def test_a_p_value_is_one_whatever_the_options(seed, n, k):
    p_value = choice_ratio_p_value(*drawn(np.random.default_rng(seed), n, k))
    assert 0 <= p_value <= 1
    assert not math.isnan(p_value)
