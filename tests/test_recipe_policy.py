"""Which recipe a subject gets: what evidence does to beliefs, and propensities that are what they say."""

import pickle

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.learning.policies.choice import Context
from orchestration.learning.policies.drawing import inclusion_probabilities, systematic_sample
from orchestration.learning.policies.recipe_policy import (
    RecipePolicy,
    fit_recipe_policy,
    initial_policy,
    probability_best,
)

RECIPES = ("plain", "playful", "vivid")
BY_FORMAT = {"description": RECIPES}


def audience(
    lift: dict[str, float],
    *,
    subjects: int = 200,
    units: int = 300,
    rate: float = 0.05,
    text_sd: float = 0.1,
    by_category: float = 0.0,
    seed: int = 1,
) -> pl.DataFrame:
    """Evidence of subjects in eight categories, each with a control and two recipes, from known log lifts."""
    rng = np.random.default_rng(seed)
    own = {(category, recipe): rng.normal(0, by_category) for category in range(8) for recipe in lift}
    rows = []
    for subject in range(subjects):
        category = subject % 8
        level = np.log(rate) + rng.normal(0, 0.3)
        for recipe in [None, *rng.choice(sorted(lift), 2, replace=False)]:
            effect = 0.0 if recipe is None else lift[recipe] + own[category, recipe]
            reward = float(rng.binomial(units, min(1.0, np.exp(level + effect + rng.normal(0, text_sd)))))
            rows.append(
                {
                    "subject_id": f"s{subject}",
                    "category": f"c{category}",
                    "variant_id": f"s{subject}-{recipe}",
                    "is_control": recipe is None,
                    "recipe_id": recipe,
                    "units": units,
                    "reward": reward,
                    "reward_squares": reward,
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def test_without_evidence_every_recipe_is_as_likely_as_any_other():
    for policy in (
        initial_policy(RECIPES, BY_FORMAT),
        fit_recipe_policy(audience(dict.fromkeys(RECIPES, 0.0)).clear(), BY_FORMAT),
    ):
        assert policy.probabilities(Context(pool="dairy", format="description")) == pytest.approx(
            dict.fromkeys(RECIPES, 1 / 3)
        )
        assert policy.expected("dairy", "plain")[0] == 0


def test_the_better_recipe_is_found_and_the_others_stay_possible():
    policy = fit_recipe_policy(audience({"plain": 0.0, "playful": 0.3, "vivid": 0.1}), BY_FORMAT)
    chances = policy.probabilities(Context(pool="c0", format="description"))
    assert max(chances, key=chances.__getitem__) == "playful"
    assert chances["playful"] > 0.8
    assert min(chances.values()) >= policy.exploration / 3 - 1e-12
    mean, sd = policy.expected("c0", "playful")
    assert abs(mean - 0.3) < 0.12
    assert sd > policy.spreads.text


def test_a_category_with_its_own_taste_gets_its_own_favourite():
    lift = {"plain": 0.0, "playful": 0.2, "vivid": 0.0}
    evidence = audience(lift, subjects=400)
    odd = pl.col("category") == "c3"
    doubled = pl.when(odd & (pl.col("recipe_id") == "vivid")).then(pl.col("reward") * 2).otherwise(pl.col("reward"))
    evidence = evidence.with_columns(doubled.alias("reward"), doubled.alias("reward_squares"))
    policy = fit_recipe_policy(evidence, BY_FORMAT)
    assert policy.probabilities(Context(pool="c3", format="description"))["vivid"] > 0.8
    assert policy.probabilities(Context(pool="c1", format="description"))["playful"] > 0.7
    assert policy.belief("never seen", "playful").sd > policy.belief("c1", "playful").sd


@pytest.mark.parametrize(("recipe_gap", "between_categories"), [(0.3, 0.05), (0.05, 0.25)])
def test_the_spreads_that_shrink_are_estimated_from_the_evidence(recipe_gap, between_categories):
    lift = {f"r{index}": recipe_gap * (-1) ** index for index in range(6)}
    evidence = audience(lift, subjects=1200, units=2000, by_category=between_categories, text_sd=0.15, seed=3)
    spreads = fit_recipe_policy(evidence, {"description": sorted(lift)}).spreads
    assert spreads.text == pytest.approx(0.15, rel=0.15)
    assert spreads.category == pytest.approx(between_categories, rel=0.4, abs=0.02)
    assert spreads.recipe == pytest.approx(recipe_gap, rel=0.8, abs=0.05)


def test_beliefs_are_as_far_from_the_truth_as_they_say():
    """Standardised errors over 30 worlds of few and rare rewards have spread one."""
    errors = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        lift = {recipe: rng.normal(0, 0.2) for recipe in RECIPES}
        policy = fit_recipe_policy(audience(lift, units=60, seed=seed), BY_FORMAT)
        beliefs = [policy.belief("never seen", recipe) for recipe in RECIPES]
        errors += [(belief.mean - lift[recipe]) / belief.sd for recipe, belief in zip(RECIPES, beliefs, strict=True)]
    assert 0.6 < np.std(errors) < 1.25
    assert abs(np.mean(errors)) < 0.5


def test_subjects_without_a_single_reward_change_nothing():
    evidence = audience({"plain": 0.0, "playful": 0.3, "vivid": 0.1}, subjects=40)
    silent = evidence.with_columns(
        pl.lit(0.0).alias("reward"),
        pl.lit(0.0).alias("reward_squares"),
        ("quiet-" + pl.col("subject_id")).alias("subject_id"),
        ("quiet-" + pl.col("variant_id")).alias("variant_id"),
    )
    with_them = fit_recipe_policy(pl.concat([evidence, silent]), BY_FORMAT)
    without = fit_recipe_policy(evidence, BY_FORMAT)
    for recipe in RECIPES:
        assert with_them.belief("c1", recipe).mean == pytest.approx(without.belief("c1", recipe).mean, abs=0.02)


def test_more_reward_for_a_recipe_never_makes_it_less_likely():
    evidence = audience({"plain": 0.0, "playful": 0.1, "vivid": 0.1}, subjects=80)
    chances = []
    for factor in (1.0, 1.1, 1.25, 1.5):
        raised = pl.when(pl.col("recipe_id") == "vivid").then(pl.col("reward") * factor).otherwise(pl.col("reward"))
        policy = fit_recipe_policy(evidence.with_columns(raised.alias("reward")), BY_FORMAT)
        chances.append(policy.probabilities(Context(pool="unseen", format="description"))["vivid"])
    assert chances == sorted(chances)


def test_amounts_are_learned_from_as_well_as_clicks():
    rng = np.random.default_rng(5)
    evidence = audience({"plain": 0.0, "playful": 0.4, "vivid": 0.0}, subjects=400)
    baskets = [rng.lognormal(3, 0.5, int(count)) for count in evidence["reward"]]
    evidence = evidence.with_columns(
        pl.Series("reward", [float(values.sum()) for values in baskets]),
        pl.Series("reward_squares", [float((values**2).sum()) for values in baskets]),
    )
    policy = fit_recipe_policy(evidence, BY_FORMAT)
    assert policy.probabilities(Context(pool="c0", format="description"))["playful"] > 0.8
    assert policy.belief("c0", "playful").mean == pytest.approx(0.4, abs=0.15)


def test_a_policy_is_a_value_that_survives_writing_down():
    policy = fit_recipe_policy(audience({"plain": 0.0, "playful": 0.3, "vivid": 0.1}), BY_FORMAT)
    assert RecipePolicy.from_json(policy.to_json()) == policy
    assert pickle.loads(pickle.dumps(policy)) == policy
    with pytest.raises(TypeError):
        policy.general["plain"] = policy.general["vivid"]


def test_a_new_recipe_starts_with_a_fair_chance_and_a_gone_one_is_forgotten():
    policy = fit_recipe_policy(audience({"plain": 0.0, "playful": 0.2, "vivid": 0.1}), BY_FORMAT)
    wider = policy.covering({"description": ("playful", "vivid", "terse")})
    chances = wider.probabilities(Context(pool="c0", format="description"))
    assert set(chances) == {"playful", "vivid", "terse"}
    assert chances["terse"] > 0.05
    with pytest.raises(ValueError, match="covering"):
        policy.expected("c0", "terse")
    with pytest.raises(ValueError, match="Add a recipe"):
        policy.probabilities(Context(pool="c0", format="sonnet"))


def test_propensities_are_what_happens_over_subjects():
    policy = fit_recipe_policy(audience({"plain": 0.0, "playful": 0.15, "vivid": 0.1}, subjects=60), BY_FORMAT)
    draws = [policy.choose(f"s{index}", "c0", "description", "2026-01-05", k=2) for index in range(4000)]
    said = dict(pair for draw in draws for pair in draw)
    assert all(len({recipe for recipe, _ in draw}) == 2 for draw in draws)
    for recipe in RECIPES:
        happened = np.mean([recipe in dict(draw) for draw in draws])
        assert happened == pytest.approx(said[recipe], abs=4 * np.sqrt(0.25 / 4000))
    assert sum(said.values()) == pytest.approx(2)
    assert draws[7] == policy.choose("s7", "c0", "description", "2026-01-05", k=2)


chances_of = st.lists(st.floats(0.001, 1.0), min_size=1, max_size=12).map(lambda p: np.array(p) / sum(p))


@given(chances_of, st.integers(1, 14), st.floats(0, 0.999999))
def test_a_sample_has_its_size_and_takes_what_is_certain(chances, k, start):
    inclusion = inclusion_probabilities(chances, k)
    picked = systematic_sample(inclusion, start)
    assert len(set(picked)) == len(picked) == min(k, len(chances))
    assert inclusion.sum() == pytest.approx(min(k, len(chances)))
    assert inclusion.max() <= 1 + 1e-12
    assert set(np.flatnonzero(inclusion >= 1 - 1e-12)) <= set(picked)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0.01, 1)), min_size=1, max_size=6))
def test_the_chance_to_be_best_agrees_with_drawing(beliefs):
    mean, sd = (np.array(values) for values in zip(*beliefs, strict=True))
    draws = np.random.default_rng(0).normal(mean, sd, (4000, len(mean)))
    drawn = np.bincount(draws.argmax(axis=1), minlength=len(mean)) / len(draws)
    assert probability_best(mean, sd) == pytest.approx(drawn, abs=0.04)
