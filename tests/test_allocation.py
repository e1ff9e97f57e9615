"""Sharing traffic: shares that are what they must be, learning that weighs what lies ahead."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.assignment import chosen, point
from orchestration.learning.policies.variant_prior import VariantPrior, fit_variant_prior
from orchestration.learning.traffic.allocation import allocate, allocate_all, posterior

LEVEL = {"level_mean": float(np.log(0.05)), "level_sd": 0.5}
AHEAD = {"units_ahead": 200.0, "batches_left": 8}
NOBODY = np.zeros(3)


def test_without_data_or_prior_knowledge_traffic_is_nearly_even():
    shares = allocate(NOBODY, NOBODY, NOBODY, np.full(3, 0.3), **LEVEL, **AHEAD)
    assert shares == pytest.approx(np.full(3, 1 / 3), abs=0.12)


def test_a_good_prior_earns_traffic_before_anyone_has_been_met():
    shares = allocate(NOBODY, NOBODY, [0.0, 0.4, 0.0], np.full(3, 0.1), **LEVEL, **AHEAD)
    assert shares[1] > 0.7


def test_results_outweigh_the_prior_in_the_end():
    shares = allocate([9000, 9000], [450, 650], [0.3, 0.0], [0.1, 0.1], **LEVEL, **AHEAD)
    assert shares[1] > 0.9


def test_the_last_batch_earns_and_an_early_one_learns():
    arms = ([400, 400, 400], [20, 24, 18], NOBODY, np.full(3, 0.3))
    early = allocate(*arms, **LEVEL, units_ahead=400, batches_left=20)
    last = allocate(*arms, **LEVEL, units_ahead=400, batches_left=1)
    assert last[1] == pytest.approx(1)
    assert early[1] < 0.9


def test_a_variant_that_arrives_late_is_tried():
    units, rewards = [5000, 5000, 0], [250, 280, 0]
    shares = allocate(units, rewards, NOBODY, np.full(3, 0.3), **LEVEL, **AHEAD)
    assert shares[2] > 0.2
    short = allocate(units, rewards, NOBODY, np.full(3, 0.3), **LEVEL, units_ahead=200, batches_left=1)
    assert short[2] <= shares[2]


@pytest.mark.parametrize("arms", [2, 20])
def test_two_variants_or_twenty(arms):
    rng = np.random.default_rng(arms)
    units = np.full(arms, 500.0)
    rewards = rng.binomial(500, 0.05, arms).astype(float)
    rewards[1] = 60
    shares = allocate(
        units, rewards, np.zeros(arms), np.full(arms, 0.25), **LEVEL, **AHEAD, floor=0.01, control=0, control_share=0.1
    )
    assert shares.argmax() == 1
    assert shares.sum() == pytest.approx(1)


def test_results_that_have_not_come_yet_are_not_read_as_failures():
    """The newest units are left out until their window has closed; counting them as losses would sink the arm."""
    settled = allocate([1000, 1000], [50, 60], [0.0, 0.0], [0.3, 0.3], **LEVEL, **AHEAD)
    misread = allocate([1000, 3000], [50, 60], [0.0, 0.0], [0.3, 0.3], **LEVEL, **AHEAD)
    assert settled[1] > 0.5 > misread[1]


counts = st.lists(
    st.tuples(st.integers(0, 5000), st.floats(0, 1), st.floats(-1, 1), st.floats(0.01, 1.0)), min_size=2, max_size=8
)


@settings(max_examples=60, deadline=None)
@given(counts, st.integers(1, 12), st.floats(0.001, 0.05), st.floats(0, 0.4))
def test_shares_sum_to_one_and_respect_floor_and_control(arms, batches, floor, control_share):
    units, part, mean, sd = (np.array(values, dtype=float) for values in zip(*arms, strict=True))
    rewards = np.floor(units * part * 0.2)
    shares = allocate(
        units,
        rewards,
        mean,
        sd,
        **LEVEL,
        units_ahead=100.0,
        batches_left=batches,
        floor=floor,
        control=0,
        control_share=control_share,
    )
    assert shares.sum() == pytest.approx(1, abs=1e-9)
    assert shares.min() >= floor - 1e-9
    assert shares[0] >= control_share - 1e-9


@settings(max_examples=60, deadline=None)
@given(counts, st.data())
def test_more_reward_never_lowers_what_is_expected_of_an_arm(arms, data):
    units, part, mean, sd = (np.array(values, dtype=float)[None] for values in zip(*arms, strict=True))
    rewards = np.floor(units * part * 0.2)
    arm = data.draw(st.integers(0, units.shape[1] - 1))
    more = rewards.copy()
    more[0, arm] += data.draw(st.integers(1, 50))
    before = posterior(units, rewards, mean, sd, **LEVEL).mean[0]
    after = posterior(units, more, mean, sd, **LEVEL).mean[0]
    assert after[arm] >= before[arm] - 1e-9
    others = np.arange(len(after)) != arm
    assert (after[arm] - after[others] >= before[arm] - before[others] - 1e-9).all()


def test_without_data_the_posterior_is_the_prior():
    mean, sd = np.array([[0.0, 0.2, -0.1]]), np.array([[0.1, 0.3, 0.2]])
    belief = posterior(np.zeros((1, 3)), np.zeros((1, 3)), mean, sd, **LEVEL)
    assert belief.mean[0] == pytest.approx(mean[0] + LEVEL["level_mean"])
    expected = np.diag(sd[0] ** 2) + LEVEL["level_sd"] ** 2
    assert belief.covariance[0] == pytest.approx(expected)


def test_subjects_do_not_touch_each_other_and_absent_arms_get_nothing():
    present = np.array([[True, True, False], [True, True, True]])
    units = np.array([[300.0, 300, 0], [300, 300, 300]])
    rewards = np.array([[15.0, 25, 0], [15, 20, 12]])
    prior = np.zeros((2, 3)), np.full((2, 3), 0.3)
    both = allocate_all(posterior(units, rewards, *prior, **LEVEL, present=present), **AHEAD, floor=0.01)
    alone = allocate(units[1], rewards[1], prior[0][1], prior[1][1], **LEVEL, **AHEAD, floor=0.01)
    assert both[0, 2] == 0
    assert both.sum(axis=1) == pytest.approx([1, 1])
    assert both[1] == pytest.approx(alone, abs=1e-6)


def test_shares_are_the_propensities_of_the_units_that_arrive():
    shares = allocate([300, 300, 300], [15, 25, 12], NOBODY, np.full(3, 0.3), **LEVEL, **AHEAD, floor=0.05)
    arms = [chosen(shares.tolist(), point("content:milk", f"unit-{index}")) for index in range(20_000)]
    assert np.bincount(arms, minlength=3) / 20_000 == pytest.approx(shares, abs=0.015)


def test_floors_that_do_not_fit_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match="fewer variants"):
        allocate(np.zeros(20), np.zeros(20), np.zeros(20), np.ones(20), **LEVEL, **AHEAD, floor=0.06)


def experiments(weight: float, spread: float, *, subjects: int = 800, seed: int = 0):
    """Subjects of four variants whose log ratios are `weight` times a prediction plus noise of sd `spread`."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(subjects), 4)
    predictions = rng.normal(0, 0.2, (len(subject), 2))
    effect = weight * predictions[:, 0] + rng.normal(0, spread, len(subject))
    rate = np.exp(rng.normal(-3.5, 0.6, subjects))[subject] * np.exp(effect)
    units = rng.integers(100, 1000, len(subject)).astype(float)
    return subject, units, rng.binomial(units.astype(int), np.minimum(rate, 1)).astype(float), predictions


@pytest.mark.parametrize(("weight", "spread"), [(0.0, 0.2), (0.5, 0.3), (1.0, 0.15)])
def test_the_weight_of_a_prediction_is_recovered_from_results(weight, spread):
    prior = fit_variant_prior(*experiments(weight, spread))
    for estimate, error, truth in zip(prior.weights, prior.weight_errors, (weight, 0.0), strict=True):
        assert abs(estimate - truth) < 3.5 * error
    assert prior.weight_errors[0] < 0.15
    assert prior.spread == pytest.approx(spread, abs=0.05)
    assert prior.level_mean == pytest.approx(-3.5, abs=0.25)
    assert prior.level_sd == pytest.approx(0.6, abs=0.2)


def test_an_untested_prediction_counts_for_nothing():
    nothing = fit_variant_prior(np.empty(0, dtype=int), np.empty(0), np.empty(0), np.empty((0, 2)))
    assert nothing.mean(np.ones((3, 2))) == pytest.approx(np.zeros(3))
    assert nothing.spread == VariantPrior.spread
    few = fit_variant_prior(*experiments(1.0, 0.2, subjects=3))
    many = fit_variant_prior(*experiments(1.0, 0.2))
    assert few.weight_errors[0] > 2 * many.weight_errors[0]
    assert VariantPrior.from_json(many.to_json()) == many


def test_the_level_is_that_of_the_newest_subjects():
    subject, units, rewards, predictions = experiments(0.0, 0.2, subjects=600)
    drifted = np.where(subject < 300, rewards * 3, rewards)
    all_of_them = fit_variant_prior(subject, units, drifted, predictions)
    newest = fit_variant_prior(subject, units, drifted, predictions, turn=subject // 50)
    assert newest.level_mean == pytest.approx(-3.5, abs=0.25)
    assert all_of_them.level_mean > newest.level_mean + 0.4
