"""Looking often must not turn chance into proof."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.learning.proof.sequential import (
    crossing_probability,
    group_sequential_bounds,
    mixture_rate,
    open_ended_bounds,
    sequence_radius,
    spent,
)

LOOKS = np.arange(1.0, 21.0)


def test_peeking_twenty_times_at_a_plain_z_test_is_wrong_a_quarter_of_the_time():
    two_sided = 2 * crossing_probability(LOOKS, np.full(20, 1.959964), drift=0.0)[-1]
    assert two_sided == pytest.approx(0.248, abs=0.003)  # Armitage, McPherson and Rowe (1969), table 2


@pytest.mark.parametrize(
    ("spending", "published"),
    [
        ("obrien_fleming", [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        ("pocock", [2.4380, 2.4268, 2.4101, 2.3966, 2.3859]),
    ],
)
def test_group_sequential_bounds_equal_the_published_ones(spending, published):
    bounds = group_sequential_bounds(LOOKS[:5], alpha=0.025, spending=spending)
    assert bounds == pytest.approx(published, abs=2e-3)


@given(
    steps=st.lists(st.floats(0.05, 20.0), min_size=1, max_size=8),
    alpha=st.sampled_from([0.01, 0.025, 0.05, 0.1]),
    spending=st.sampled_from(["obrien_fleming", "pocock"]),
)
@settings(max_examples=25, deadline=None)
def test_planned_looks_at_any_times_spend_exactly_alpha(steps, alpha, spending):
    times = np.cumsum(steps)
    bounds = group_sequential_bounds(times, alpha=alpha, spending=spending)
    assert crossing_probability(times, bounds, drift=0.0)[-1] == pytest.approx(alpha, rel=1e-3)


@given(steps=st.lists(st.floats(0.05, 20.0), min_size=1, max_size=8), horizon=st.floats(0.5, 20))
@settings(max_examples=15, deadline=None)
def test_looks_without_an_end_spend_what_they_should_and_never_take_back(steps, horizon):
    times = np.cumsum(steps)
    bounds = open_ended_bounds(times, 0.05, horizon)
    looks = len(times)
    assert crossing_probability(times, bounds, drift=0.0)[-1] == pytest.approx(
        0.05 * looks / (looks + horizon), rel=1e-3
    )
    assert open_ended_bounds(times[:-1], 0.05, horizon) == pytest.approx(bounds[:-1], rel=1e-4) if looks > 1 else True


def test_paying_for_looks_alone_is_cheaper_than_watching_at_every_moment():
    watched = sequence_radius(LOOKS, mixture_rate(10)) / np.sqrt(LOOKS)
    assert (open_ended_bounds(LOOKS) < watched).all()


def test_an_early_look_leaves_most_of_the_error_for_later():
    assert spent([0.2], 0.05)[0] < 1e-4 < 0.05 * 0.2 < spent([0.2], 0.05, "pocock")[0] * 1.2
    assert spent([1.0], 0.05)[0] == pytest.approx(0.05)


def test_power_at_one_look_is_that_of_the_z_test():
    bound, effect, sd = 1.644854, 0.5, 0.2
    power = crossing_probability([1 / sd**2], [bound], drift=effect)[-1]
    assert power == pytest.approx(0.5 * math.erfc((bound - effect / sd) / math.sqrt(2)), abs=1e-6)


@given(horizon=st.floats(0.1, 1e6), variance=st.floats(1e-3, 1e7), alpha=st.floats(0.001, 0.2))
def test_a_sequence_is_wider_than_one_look_and_narrower_for_a_larger_alpha(horizon, variance, alpha):
    rate = mixture_rate(horizon, alpha)
    radius = sequence_radius(variance, rate, alpha)
    assert radius > sequence_radius(variance, rate, alpha * 1.5)
    assert radius > math.sqrt(variance * 2 * math.log(1 / (2 * alpha))) * 0.999
    assert sequence_radius(variance, rate, alpha, sides=2) > radius


def test_a_sequence_is_rarely_crossed_in_a_thousand_looks():
    rng = np.random.default_rng(11)
    steps = rng.standard_normal((2000, 1000))
    radius = sequence_radius(np.arange(1.0, 1001.0), mixture_rate(100))
    crossed = np.mean((np.cumsum(steps, axis=1) > radius).any(axis=1))
    assert 0.01 < crossed < 0.05


def test_a_sequence_on_sums_of_squares_holds_for_few_heavy_tailed_steps():
    """Symmetric increments need no large sample: Student's t with two degrees of freedom, from the first on."""
    rng = np.random.default_rng(12)
    steps = rng.standard_t(2, size=(4000, 30))
    squares = np.cumsum(steps**2, axis=1)
    rates = mixture_rate(10) / squares[:, :1]
    growth = np.sqrt(squares * rates + 1)
    radius = np.sqrt(2 * (squares + 1 / rates) * np.log1p(growth / 0.1))
    one = sequence_radius(squares[0], float(rates[0, 0]))
    assert one == pytest.approx(radius[0])
    assert np.mean((np.cumsum(steps, axis=1) > radius).any(axis=1)) < 0.05


def test_information_that_does_not_grow_is_refused():
    with pytest.raises(ValueError, match="grow from look to look"):
        group_sequential_bounds([1.0, 1.0])
