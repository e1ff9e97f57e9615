"""A challenger is compared with the champion on what the champion's turns happened to show."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.learning.policies.choice import Context
from orchestration.learning.policies.recipe_outcomes import fit_outcomes
from orchestration.learning.proof.comparison import compare, increment, splits
from orchestration.learning.proof.paired_estimate import Increment, accumulate, looks

RECIPES = ("plain", "playful", "premium", "question")
FIRST = date(2026, 1, 5)


@dataclass(frozen=True)
class Table:
    weights: dict[str, float]

    def probabilities(self, context: Context) -> dict[str, float]:
        assert context.pool in ("c0", "c1", "c2")
        assert context.format == "headline"
        return self.weights


UNIFORM = Table(dict.fromkeys(RECIPES, 1 / len(RECIPES)))
PLAYFUL = Table({"plain": 0.1, "playful": 0.8, "premium": 0.05, "question": 0.05})


def day(number: int) -> date:
    return FIRST + timedelta(weeks=number)


def logged(rng, turns, *, subjects=60, units=400, effects=(0, 0, 0, 0), pool=None, base=0.05, blocked=0.0):
    """Turns of a champion that draws two of four recipes at random, as rows of evidence.

    Texts of `playful` are blocked with probability `blocked`: their units meet the control instead.
    """
    rows = []
    for number in range(turns):
        names = [f"t{number}-{i}" for i in range(subjects)] if pool is None else [f"p{i}" for i in range(pool)]
        for position, subject in enumerate(names):
            level = base * np.exp(0.4 * np.sin(position))
            drawn = [int(recipe) for recipe in rng.choice(len(RECIPES), 2, replace=False)]
            out = [recipe for recipe in drawn if RECIPES[recipe] != "playful" or rng.random() >= blocked]
            shares = [1 - 0.45 * len(out)] + [0.45] * len(out)
            for arm, met in enumerate(rng.multinomial(rng.poisson(units), shares)):
                recipe = None if arm == 0 else out[arm - 1]
                rate = level if recipe is None else level * np.exp(effects[recipe] + 0.1 * rng.standard_normal())
                reward = float(rng.binomial(met, min(rate, 1)))
                rows.append(
                    {
                        "turn": day(number),
                        "subject_id": subject,
                        "format": "headline",
                        "category": f"c{position % 3}",
                        "variant_id": f"{subject}/{'control' if recipe is None else (number, arm)}",
                        "is_control": recipe is None,
                        "recipe_id": None if recipe is None else RECIPES[recipe],
                        "units": int(met),
                        "reward": reward,
                        "reward_squares": reward,
                        "share": shares[arm],
                        "recipe_propensity": None if recipe is None else 0.5,
                        "fold": position % 5,
                        "drawn": [RECIPES[recipe] for recipe in drawn],
                    }
                )
    return pl.DataFrame(rows)


def briefs_of(evidence):
    asked = evidence.filter(pl.col("is_control")).explode("drawn")
    return asked.select("turn", "subject_id", recipe_id="drawn", propensity=pl.lit(0.5))


def made_mean(made):
    return sum(one.difference for one in made) / sum(one.weight for one in made)


def fixed(policy):
    return lambda _: policy


@pytest.mark.parametrize("pool", [None, 40])
def test_the_estimate_is_unbiased_and_its_error_is_what_it_says(pool):
    effects = (0.0, 0.2, -0.1, 0.0)
    gains = np.array(
        [sum(p * np.exp(e) for p, e in zip(w.weights.values(), effects, strict=True)) for w in (PLAYFUL, UNIFORM)]
    ) * np.exp(0.1**2 / 2)
    level = 0.05 * np.exp(0.4 * np.sin(np.arange(60 if pool is None else pool))).mean()
    truth = level * (gains[0] - gains[1])
    rng = np.random.default_rng(3)
    made = [compare(logged(rng, 3, effects=effects, pool=pool), fixed(PLAYFUL), UNIFORM, day(2)) for _ in range(60)]
    errors = np.array([(one.value - truth) / one.standard_error for one in made])
    assert abs(errors.mean()) < 0.3
    assert 0.75 < errors.std() < 1.25
    assert np.mean([one.relative for one in made]) == pytest.approx(gains[0] / gains[1] - 1, rel=0.3)


def test_a_turn_is_judged_by_a_challenger_that_saw_neither_it_nor_its_subjects():
    evidence = logged(np.random.default_rng(4), 3, pool=20, subjects=20)
    seen = []

    def fit(part):
        seen.append(part)
        return PLAYFUL

    increment(evidence, fit, UNIFORM, day(2))
    judged = set(evidence.filter(pl.col("turn") == day(2))["subject_id"].unique())
    assert len(seen) == 5
    for part in seen:
        assert part["turn"].max() < day(2)
        (left_out,) = {0, 1, 2, 3, 4} - set(part["fold"].unique())
        assert not {s for s in judged if int(s[1:]) % 5 == left_out} & set(part["subject_id"])


@pytest.mark.parametrize("pool", [None, 20])
def test_the_splits_that_are_checked_for_leaks_are_the_ones_that_were_fitted(pool):
    evidence = logged(np.random.default_rng(4), 3, pool=pool, subjects=20)
    seen = []
    increment(evidence, lambda part: seen.append(part) or PLAYFUL, UNIFORM, day(2))
    parts = splits(evidence, day(2))
    assert [train.equals(part) for (train, _), part in zip(parts, seen, strict=True)] == [True] * len(seen)
    assert sum(len(judged) for _, judged in parts) == len(evidence.filter(pl.col("turn") == day(2)))
    assert not any(set(train["subject_id"]) & set(judged["subject_id"]) for train, judged in parts)
    assert splits(evidence, day(0)) == []


def test_new_subjects_need_one_fit_that_sees_all_earlier_turns():
    evidence = logged(np.random.default_rng(4), 3, subjects=10)
    seen = []
    increment(evidence, lambda part: seen.append(part) or PLAYFUL, UNIFORM, day(2))
    assert [part["turn"].n_unique() for part in seen] == [2]


def test_the_same_policy_twice_proves_nothing_and_is_never_promoted():
    evidence = logged(np.random.default_rng(5), 4, subjects=20)
    same = compare(evidence, fixed(UNIFORM), UNIFORM, day(3))
    assert same.value == 0
    assert same.low == -np.inf
    assert len(same.increments) == 3


def test_the_first_turn_has_no_challenger_to_judge():
    evidence = logged(np.random.default_rng(6), 1, subjects=10)
    assert increment(evidence, fixed(PLAYFUL), UNIFORM, day(0)) is None
    nothing = compare(evidence, fixed(PLAYFUL), UNIFORM, day(0))
    assert nothing.increments == ()
    assert nothing.low == -np.inf
    assert nothing.effective_sample_size == 0


def test_a_variant_kept_for_its_success_is_not_counted_as_a_new_draw():
    evidence = logged(np.random.default_rng(7), 2, pool=20, subjects=20, units=200)
    best = evidence.filter(pl.col("turn") == day(0), ~pl.col("is_control"))
    kept = best.with_columns(turn=pl.lit(day(1)), reward=pl.col("units") * 0.9, reward_squares=pl.col("units") * 0.9)
    without = increment(evidence, fixed(PLAYFUL), UNIFORM, day(1))
    carried = increment(pl.concat([evidence, kept]), fixed(PLAYFUL), UNIFORM, day(1))
    assert carried.drawn / carried.weight == pytest.approx(without.drawn / without.weight, rel=0.02)
    assert carried.champion / carried.weight < 3 * without.champion / without.weight


def test_a_recipe_whose_texts_are_blocked_is_worth_the_control_and_not_its_survivors():
    """`playful` lifts by half where it gets through, but nine in ten of its texts are blocked."""
    rng = np.random.default_rng(8)
    values = {"told": [], "untold": []}
    for _ in range(40):
        evidence = logged(rng, 3, effects=(0.0, 0.4, 0.0, 0.0), blocked=0.9)
        briefs = briefs_of(evidence)
        values["told"].append(compare(evidence, fixed(PLAYFUL), UNIFORM, day(2), briefs=briefs).relative)
        values["untold"].append(compare(evidence, fixed(PLAYFUL), UNIFORM, day(2)).relative)
    assert np.mean(values["told"]) == pytest.approx(0.55 * 0.1 * (np.exp(0.4) - 1), abs=0.02)
    assert np.mean(values["untold"]) > 0.1


def test_a_text_written_again_counts_as_the_recipes_answer_of_this_turn():
    evidence = logged(np.random.default_rng(9), 2, pool=20, subjects=20)
    first = evidence.filter(pl.col("turn") == day(0))
    again = pl.concat([first, first.with_columns(turn=pl.lit(day(1)))])
    assert increment(again, fixed(PLAYFUL), UNIFORM, day(1)) is None
    repeated = increment(again, fixed(PLAYFUL), UNIFORM, day(1), briefs=briefs_of(again))
    assert repeated.subjects == 20
    assert repeated.drawn > 0


def test_kept_increments_are_not_computed_again():
    evidence = logged(np.random.default_rng(10), 4, subjects=20)
    whole = compare(evidence, fixed(PLAYFUL), UNIFORM, day(3))
    fits = []
    resumed = compare(
        evidence, lambda part: fits.append(part) or PLAYFUL, UNIFORM, day(3), earlier=whole.increments[:-1]
    )
    assert len(fits) == 1
    assert resumed == whole


def test_turns_before_the_champion_took_over_are_left_out():
    evidence = logged(np.random.default_rng(10), 4, subjects=20)
    assert compare(evidence, fixed(PLAYFUL), UNIFORM, day(3), since=day(2)).turns == (day(2), day(3))


def test_a_policy_without_probabilities_is_refused_by_name():
    evidence = logged(np.random.default_rng(10), 2, subjects=5)
    with pytest.raises(ValueError, match=r"category 'c\d' and format 'headline'"):
        increment(evidence, fixed(Table({"plain": 0.0})), UNIFORM, day(1))


def test_a_challenger_that_wants_what_nobody_drew_has_little_effective_sample():
    evidence = logged(np.random.default_rng(10), 4, subjects=40)
    known = compare(evidence, fixed(PLAYFUL), UNIFORM, day(3))
    unseen = compare(evidence, fixed(Table({"unheard": 0.95, "plain": 0.05})), UNIFORM, day(3))
    assert known.effective_sample_size > 5 * unseen.effective_sample_size


def test_a_planned_test_proves_with_less_and_nothing_after_its_end():
    rng = np.random.default_rng(13)
    made = [Increment(day(i), 48, 1000.0, 40 + 15 * rng.standard_normal(), 225.0, 500.0, 1000.0, 3e4) for i in range(6)]
    for_ever, planned = accumulate(made), accumulate(made, planned=6)
    assert for_ever.low < planned.low < planned.value
    assert accumulate(made, planned=5).low == -np.inf


def test_the_course_of_the_evidence_is_what_was_said_at_each_turn():
    rng = np.random.default_rng(14)
    made = [
        Increment(day(i), 48, 1000.0, rng.standard_normal(), 0.0 if i == 2 else 1.0 + i, 500.0, 1e3, 3e4)
        for i in range(6)
    ]
    for planned in (None, 6, 4):
        said = looks(made, planned=planned)
        assert said == [accumulate(made[: turn + 1], planned=planned) for turn in range(6)]
    assert looks(made)[2].low == pytest.approx(
        made_mean(made[:3]) - (looks(made)[1].value - looks(made)[1].low) * 2 / 3
    )


@given(st.permutations(range(5)), st.floats(0.1, 100))
@settings(max_examples=20, deadline=None)
def test_the_bound_depends_on_neither_order_of_arrival_nor_unit_of_reward(order, scale):
    made = [Increment(day(i), 48, 900.0, 3.0 * i, 100.0 + i, 40.0, 900.0, 2e4) for i in range(5)]
    scaled = [
        Increment(one.turn, 48, 900.0, scale * one.difference, scale**2 * one.squares, scale * 40.0, 900.0, 2e4)
        for one in (made[i] for i in order)
    ]
    assert accumulate(scaled).relative_low == pytest.approx(accumulate(made).relative_low)


def test_the_outcome_model_shrinks_a_thin_recipe_to_the_control():
    evidence = logged(np.random.default_rng(14), 3, effects=(0.0, 0.5, 0.0, 0.0))
    ratios = fit_outcomes(evidence).ratios
    thin = fit_outcomes(evidence.head(12)).ratios
    assert ratios["playful"] > 1.25 > 1.1 > ratios["plain"] > 0.8
    assert all(0.6 < ratio < 1.6 for ratio in thin.values())


def test_levels_without_any_history_are_the_control_rate_shrunken_to_nothing_known():
    nothing = fit_outcomes(logged(np.random.default_rng(1), 1, subjects=2, units=0))
    level = nothing.levels(["a"], ["c0"], np.array([0.2]), np.array([99.0]))
    assert level == pytest.approx([0.2 * 99 / 100])
