"""What was known before takes noise out of a difference and never adds an effect."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.learning.proof.cuped import Moments, difference, stratified_difference


def groups(rng, effect, n=2000, loyal=0.8):
    habit = rng.gamma(2.0, 1.0, size=2 * n)
    before = rng.poisson(habit).astype(float)
    after = loyal * habit + rng.normal(0, 0.5, 2 * n)
    after[:n] += effect
    return Moments.of(after[:n], before[:n]), Moments.of(after[n:], before[n:])


def test_a_pre_period_narrows_the_interval_and_keeps_it_honest():
    rng = np.random.default_rng(1)
    made = [difference(*groups(rng, effect=0.1)) for _ in range(400)]
    assert np.mean([one.value for one in made]) == pytest.approx(0.1, abs=0.006)
    assert 0.93 <= np.mean([one.low <= 0.1 <= one.high for one in made]) <= 0.97
    truth = 0.1 / 1.6  # the control's mean is 0.8 times a habit of 2
    assert 0.93 <= np.mean([one.relative_low <= truth <= one.relative_high for one in made]) <= 0.97
    assert np.mean([one.variance_ratio for one in made]) < 0.65


def test_a_pre_period_that_says_nothing_changes_nothing():
    rng = np.random.default_rng(2)
    treated, control = (Moments.of(rng.normal(mean, 1, 3000), rng.normal(0, 1, 3000)) for mean in (1.2, 1.0))
    made = difference(treated, control)
    assert made.variance_ratio == pytest.approx(1.0, abs=0.01)
    assert made.value == pytest.approx(treated.y / 3000 - control.y / 3000, abs=0.005)
    nobody_before = Moments.of(np.array([1.0, 2.0, 4.0]), np.zeros(3))
    assert difference(nobody_before, nobody_before).theta == 0.0


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=4, max_size=40), st.integers(2, 38))
def test_sums_of_parts_are_the_sums_of_the_whole(rows, cut):
    y, x = np.array(rows).T
    cut = min(cut, len(y) - 2)
    parts = Moments.of(y[:cut], x[:cut]) + Moments.of(y[cut:], x[cut:])
    assert parts.variance(0.3) == pytest.approx(np.var(y - 0.3 * x, ddof=1), abs=1e-9)


def test_groups_that_are_too_small_and_unequal_columns_are_refused():
    one = Moments.of([1.0], [0.0])
    with pytest.raises(ValueError, match="two units; there are 1 and 1"):
        difference(one, one)
    with pytest.raises(ValueError, match="for each outcome"):
        Moments.of([1.0, 2.0], [1.0])


def test_units_are_compared_with_those_of_their_own_subject():
    rng = np.random.default_rng(3)
    popular, rare = ((level, rng.normal(level + 0.5, 1, 900), rng.normal(level, 1, 300)) for level in (10.0, 1.0))
    strata = []
    for (_, treated, control), share in ((popular, 0.2), (rare, 1.0)):  # the popular subject gives its variant less
        kept = treated[: int(900 * share)]
        strata.append((Moments.of(kept, np.zeros(len(kept))), Moments.of(control, np.zeros(len(control)))))
    pooled = difference(strata[0][0] + strata[1][0], strata[0][1] + strata[1][1])
    assert pooled.value < -1  # Simpson's paradox: the mixture of subjects differs between the groups
    assert stratified_difference(strata).value == pytest.approx(0.5, abs=0.15)


def test_one_stratum_is_the_plain_difference():
    treated, control = groups(np.random.default_rng(4), effect=0.2, n=50)
    assert stratified_difference([(treated, control)]) == difference(treated, control)
    with pytest.raises(ValueError, match="No stratum"):
        stratified_difference([(Moments.of([1.0], [0.0]), control)])
