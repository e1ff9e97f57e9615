"""The flywheels that the evidence is measured on are what they claim to be."""

import numpy as np
import polars as pl
import pytest

from benchmarks.known_bandits import WORLDS
from benchmarks.simulated_flywheels import even, evidence_of, fate, favourite, gap_for, learner, names
from orchestration.learning.policies.choice import Context
from orchestration.learning.proof.off_policy import evaluate
from orchestration.learning.proof.power import Design
from orchestration.tables import TABLES

SMALL = Design(base_rate=0.1, subjects=30, units=300, recipes=4)


def test_the_evidence_has_the_columns_that_the_warehouse_has_and_the_rates_asked_for():
    evidence = evidence_of(SMALL, 0.5, 6, np.random.default_rng(1))
    assert set(evidence.columns) - set(TABLES["evidence"].columns) == {"arm"}
    rates = (
        evidence.with_columns(best=pl.col("recipe_id") == names(SMALL)[0])
        .group_by(pl.col("best").fill_null(False))
        .agg(pl.col("reward").sum() / pl.col("units").sum())
    )
    rate = dict(rates.iter_rows())
    assert rate[False] == pytest.approx(0.1, rel=0.1)
    assert rate[True] / rate[False] == pytest.approx(1.5, rel=0.15)


@pytest.mark.parametrize("lift", [0.0, 0.1, 0.3])
def test_the_favourite_policy_is_worth_the_lift_asked_for(lift):
    gains = 1 + gap_for(SMALL, lift) * np.eye(4)[0]
    worth = [
        sum(p * g for p, g in zip(one.chances.values(), gains, strict=True)) for one in (favourite(SMALL), even(SMALL))
    ]
    assert worth[0] / worth[1] == pytest.approx(1 + lift)


def test_a_learner_finds_a_recipe_that_is_much_better_and_is_promoted():
    rng = np.random.default_rng(2)
    evidence = evidence_of(SMALL, 0.6, 4, rng)
    assert learner(SMALL)(evidence).probabilities(Context(pool="category-0", format="headline"))[names(SMALL)[0]] > 0.8
    assert 2 < fate(SMALL, 0.6, 12, rng, learner(SMALL)).ours <= 12


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_each_known_bandit_has_a_log_that_its_value_can_be_estimated_from(world):
    made = evaluate("dr", **world.log(np.random.default_rng(3)))
    assert abs(made.value - world.value) < 4 * made.standard_error
