"""Comparing policies that share traffic: what their shares would have earned, on tests that neither has seen."""

from datetime import date

import numpy as np
import polars as pl

from orchestration.learning.policies.policy import Policy
from orchestration.learning.policies.recipe_policy import initial_policy
from orchestration.learning.policies.variant_prior import VariantPrior
from orchestration.learning.texts.reward_model import RewardModel
from orchestration.learning.texts.text_features import FEATURE_NAMES, text_features
from orchestration.learning.traffic.allocation import Allocation
from orchestration.learning.traffic.traffic_comparison import fresh_subjects, increment_of_traffic

BEFORE, TODAY = date(2024, 1, 1), date(2024, 1, 8)
ALLOCATION = Allocation(floor=0.02, control=0.02, holdout=0.05, variants=20, horizon=1)
KNOWS_NOTHING = Policy(initial_policy([], {}))


def no_embedding(texts: object) -> np.ndarray:
    return np.zeros((len(list(texts)), 2))  # type: ignore[call-overload]


def policy_that_likes(feature: str, by: float) -> Policy:
    coefficients = [by if name == feature else 0.0 for name in FEATURE_NAMES]
    model = RewardModel((0.0, 0.0), tuple(coefficients))
    return Policy(initial_policy([], {}), model, {}, VariantPrior((0.0, 1.0), (0.0, 0.1), 0.1))


def evidence(rows: list[tuple[date, str, str, int, float]]) -> pl.DataFrame:
    """(turn, subject, text, units, reward); the first text of a subject is its control."""
    table = pl.DataFrame(rows, schema=["turn", "subject_id", "text", "units", "reward"], orient="row")
    return table.with_columns(
        variant_id=pl.col("text"),
        category=pl.lit("tests"),
        recipe_id=pl.lit("given-01"),
        is_control=pl.int_range(pl.len()).over("turn", "subject_id") == 0,
        share=pl.lit(0.5),
    )


def test_a_policy_that_knows_what_works_earns_more_than_one_that_shares_evenly() -> None:
    asks = int(np.argmax(text_features(["Is it so?"])[0] != text_features(["It is so."])[0]))
    rows = [
        (TODAY, f"s{number}", text, 500, 500 * rate)
        for number in range(20)
        for text, rate in ((f"It is so, number {number}.", 0.02), (f"Is it so, number {number}?", 0.04))
    ]
    found = increment_of_traffic(
        evidence(rows), policy_that_likes(FEATURE_NAMES[asks], 5.0), KNOWS_NOTHING, TODAY, ALLOCATION, no_embedding
    )
    assert found is not None
    assert (found.subjects, found.weight) == (20, 20_000)
    assert found.champion == 20_000 * 0.03
    assert abs(found.difference) > 0.2 * found.champion


def test_the_same_policy_twice_differs_by_nothing() -> None:
    rows = [(TODAY, "s", "One text", 100, 3.0), (TODAY, "s", "Another text", 100, 5.0)]
    found = increment_of_traffic(evidence(rows), KNOWS_NOTHING, KNOWS_NOTHING, TODAY, ALLOCATION, no_embedding)
    assert found is not None
    assert (found.difference, found.squares) == (0.0, 0.0)


def test_a_test_with_an_arm_that_nobody_met_is_not_compared() -> None:
    rows = [(TODAY, "s", "One text", 100, 3.0), (TODAY, "s", "Another text", 0, 0.0)]
    assert increment_of_traffic(evidence(rows), KNOWS_NOTHING, KNOWS_NOTHING, TODAY, ALLOCATION, no_embedding) is None


def test_only_tests_count_that_no_earlier_turn_has_seen_by_name_or_in_nearly_the_same_words() -> None:
    long = "Nobody in this small town ever thought that the old bakery at the corner would open its doors again"
    rows = [
        (BEFORE, "old", "An old test", 10, 1.0),
        (BEFORE, "other", long, 10, 1.0),
        (TODAY, "old", "An old test", 10, 1.0),
        (TODAY, "copied", long.replace("small", "little"), 10, 1.0),
        (TODAY, "copied", "Its other arm", 10, 1.0),
        (TODAY, "new", "A text of today", 10, 1.0),
        (TODAY, "new", "And what it competes with", 10, 1.0),
    ]
    assert set(fresh_subjects(evidence(rows), TODAY)["subject_id"]) == {"new"}
