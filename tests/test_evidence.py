"""A promotion states its evidence, and a refusal its reason."""

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.learning.proof import evidence
from orchestration.learning.proof.evidence import Condition, decide
from orchestration.learning.proof.guardrails import worsening
from orchestration.learning.proof.paired_estimate import Increment, accumulate


def turns(number, *, difference=30.0, squares=60.0, champion=50.0, drawn_squares=2e4):
    return accumulate(
        [
            Increment(date(2026, 1, day), 48, 1000.0, difference, squares, champion, 1000.0, drawn_squares)
            for day in range(1, number + 1)
        ]
    )


def test_a_challenger_that_is_proven_better_is_promoted_with_its_number():
    estimate = turns(4)
    decision = decide(
        [
            evidence.sample_ratio(0.4),
            evidence.no_shared_subjects(0),
            evidence.few_near_identical_texts(0.01),
            evidence.minimum_sample(estimate, at_least=2000),
            evidence.enough_overlap(estimate),
            evidence.better_than_champion(estimate),
            evidence.guardrail_of_cost("tokens", 110, 100, no_worse_than=0.2),
        ]
    )
    assert decision.promoted
    assert "all 7 conditions held" in decision.reason
    assert "+30 rewards per 1,000 units over the champion's 50 (+60.0 %)" in decision.reason


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (evidence.sample_ratio(1e-9), "sample_ratio is 1e-09, needs >= 0.001"),
        (evidence.no_shared_subjects(3), "shared_subjects is 3, needs <= 0"),
        (evidence.few_near_identical_texts(0.2), "near_identical_texts is 0.2, needs <= 0.05"),
        (evidence.enough_overlap(turns(1, drawn_squares=1e6)), "effective_sample_size is 1, needs >= 30"),
        (evidence.minimum_sample(turns(1), at_least=5e4), "minimum_sample is 1000, needs >= 5e+04"),
        (evidence.better_than_champion(turns(1, difference=1.0)), "lower_bound is"),
        (evidence.guardrail_of_cost("tokens", 130, 100, no_worse_than=0.2), "guardrail_tokens is 0.3, needs <= 0.2"),
    ],
)
def test_one_broken_condition_keeps_the_champion_and_is_named_with_its_number(broken, said):
    decision = decide([evidence.no_shared_subjects(0), broken, evidence.sample_ratio(0.5)])
    assert not decision.promoted
    assert decision.reason.startswith("Champion stays: ")
    assert said in decision.reason
    assert broken.detail in decision.reason


def test_further_failures_are_counted():
    decision = decide(
        [evidence.sample_ratio(1e-6), evidence.no_shared_subjects(1), evidence.few_near_identical_texts(0.5)]
    )
    assert "(2 more conditions failed)" in decision.reason


def test_what_could_not_be_measured_does_not_pass():
    assert not evidence.sample_ratio(math.nan).passed
    assert not evidence.better_than_champion(accumulate([])).passed
    assert not evidence.enough_overlap(accumulate([])).passed


def test_a_decision_needs_conditions():
    with pytest.raises(ValueError, match="without a condition"):
        decide([])


def test_the_record_reads_as_a_table_and_fits_the_warehouse():
    from orchestration.tables import TABLES

    decision = decide([evidence.sample_ratio(0.2), evidence.no_shared_subjects(1)])
    assert "| shared_subjects | 1 | <= | 0 | **no** |" in decision.as_markdown()
    columns = set(TABLES["promotion_conditions"].columns) - {"turn", "loop", "record"}
    assert all(set(condition.as_row()) == columns for condition in decision.conditions)


@given(
    st.lists(
        st.builds(
            Condition.of,
            st.sampled_from("abc"),
            st.floats(-2, 2),
            st.sampled_from([">", ">=", "<", "<="]),
            st.floats(-2, 2),
            st.just("said"),
        ),
        min_size=1,
    )
)
def test_promoted_means_that_every_condition_holds(conditions):
    signs = {">": 1, ">=": 1, "<": -1, "<=": -1}
    decision = decide(conditions)
    strictly = [signs[c.comparison] * (c.number - c.threshold) for c in conditions]
    equal_is_fine = [c.comparison in (">=", "<=") for c in conditions]
    assert decision.promoted == all(d > 0 or (d == 0 and e) for d, e in zip(strictly, equal_is_fine, strict=True))


def test_a_release_that_doubles_complaints_fails_its_guardrail_and_an_innocent_one_does_not():
    harmful = worsening([(40, 10_000)] * 6, [(10, 5_000)] * 6)
    innocent = worsening([(21, 10_000)] * 6, [(10, 5_000)] * 6)
    assert not evidence.guardrail_of_release("complaint", harmful).passed
    assert evidence.guardrail_of_release("complaint", innocent).passed
    assert harmful.relative == pytest.approx(1.0)


def test_a_guardrail_watched_for_thirty_turns_seldom_cries_wolf():
    rng = np.random.default_rng(21)
    alarms = 0
    for _ in range(150):
        treated = [(rng.binomial(4000, 0.002), 4000) for _ in range(30)]
        control = [(rng.binomial(800, 0.002), 800) for _ in range(30)]
        alarms += any(worsening(treated[:n], control[:n]).low > 0 for n in range(1, 31))
    assert alarms <= 7  # at most 5 % of 150


def test_a_group_without_units_says_nothing():
    assert worsening([(0, 0)], [(3, 100)]).low == -math.inf
    assert evidence.guardrail_of_release("complaint", worsening([], [])).passed
