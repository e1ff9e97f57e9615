"""A mismatch of shares is seen, and small numbers are not mistaken for one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.learning.proof.sample_ratio import mismatched, pooled_sample_ratio_p_value, sample_ratio_p_value


def test_large_counts_give_the_plain_chi_square_test():
    from scipy.stats import chisquare

    counts = np.array([5210.0, 4790.0, 5050.0])
    assert sample_ratio_p_value(counts, [1, 1, 1]) == pytest.approx(chisquare(counts).pvalue, rel=1e-2)


def test_a_cache_that_serves_one_arm_is_seen():
    assert sample_ratio_p_value([3900, 3000, 3000], [1 / 3] * 3) < 1e-20


def test_a_small_share_and_few_units_raise_no_false_alarm():
    rng = np.random.default_rng(1)
    shares = [0.01, 0.1, 0.3, 0.59]
    alone = [sample_ratio_p_value(rng.multinomial(40, shares), shares) for _ in range(4000)]
    pooled = [
        pooled_sample_ratio_p_value([(rng.multinomial(15, shares), shares) for _ in range(48)]) for _ in range(2000)
    ]
    assert np.mean(np.array(alone) < 0.001) <= 0.005
    assert np.mean(np.array(pooled) < 0.001) <= 0.005
    assert 0.02 < np.mean(np.array(pooled) < 0.05) < 0.08


def test_what_no_subject_shows_alone_many_show_together():
    counts = ([56, 44], [0.5, 0.5])
    assert sample_ratio_p_value(*counts) > 0.2
    assert pooled_sample_ratio_p_value([counts] * 150) < 1e-3


def test_nothing_met_and_nothing_to_compare_are_no_mismatch():
    assert pooled_sample_ratio_p_value([]) == 1.0
    assert sample_ratio_p_value([0, 0], [0.5, 0.5]) == 1.0
    assert sample_ratio_p_value([7], [1.0]) == 1.0
    assert sample_ratio_p_value([1, 0], [0.5, 0.5]) == 1.0


@pytest.mark.parametrize(("counts", "shares"), [([1, 2], [1.0]), ([-1, 2], [0.5, 0.5]), ([1, 2], [0.0, 1.0])])
def test_impossible_counts_and_shares_are_refused(counts, shares):
    with pytest.raises(ValueError, match=r"share"):
        sample_ratio_p_value(counts, shares)


@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0.01, 1)), min_size=2, max_size=6))
def test_a_p_value_is_a_probability_and_ignores_the_scale_of_shares(arms):
    counts, shares = zip(*arms, strict=True)
    p_value = sample_ratio_p_value(counts, shares)
    assert 0 <= p_value <= 1
    assert sample_ratio_p_value(counts, [7 * share for share in shares]) == pytest.approx(p_value)


def test_a_broken_turn_convicts_doubtful_subjects_that_a_sound_turn_lets_go():
    doubtful = 0.004
    assert mismatched([1e-9] * 60 + [doubtful] + [0.5] * 39)[60]
    assert not mismatched([doubtful] + [0.5] * 99).any()
    assert mismatched([]).tolist() == []
    rng = np.random.default_rng(3)
    assert np.mean([mismatched(rng.random(50)).any() for _ in range(2000)]) < 0.016
