"""What to offer is learned by parts, pools and features, and every option keeps a chance."""

import json
import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.learning.policies.choice import Context, Option
from orchestration.learning.policies.contextual import ContextualPolicy, fit_contextual
from orchestration.learning.policies.product_model import Products, posterior
from tests.logged_decisions import decisions_of, picked

NAMES = [f"{offer}-{line}" for offer in ("none", "ten", "free") for line in ("plain", "warm")]
OPTIONS = tuple(
    Option(option_id=name, parts=dict(zip(("offer", "line"), name.split("-"), strict=True))) for name in NAMES
)
POOLS = ("students", "families")


def worth(pools, ages):
    """Log odds (n, 6): `ten` is best for students, `free` for families, `warm` for the old."""
    student = np.array([pool == "students" for pool in pools])
    ten, free = np.where(student, 1.2, -0.2), np.where(student, -0.2, 1.2)
    warm = 0.7 * np.asarray(ages)
    columns = [offer + line for offer in (np.zeros(len(ages)), ten, free) for line in (np.zeros(len(ages)), warm)]
    return np.column_stack(columns) - 1.5


def turn_of(rng, turn, n=1500, *, held_out=0.1, amounts=False):
    pools = [POOLS[index] for index in rng.integers(2, size=n)]
    ages = rng.standard_normal(n)
    chances = rng.dirichlet(np.full(6, 20.0), n)
    chosen = picked(rng, chances)
    chosen[rng.random(n) < held_out] = -1
    odds = np.where(chosen < 0, -2.5, worth(pools, ages)[np.arange(n), chosen])
    rewards = (rng.random(n) < 1 / (1 + np.exp(-odds))) * (rng.gamma(4, 5, n) if amounts else 1.0)
    features = [{"age": float(age), "tier": "gold" if age > 0 else "silver"} for age in ages]
    return decisions_of(
        turn, chances=chances, chosen=chosen, rewards=rewards, names=NAMES, pools=pools, features=features
    )


def context(pool="students", age=0.0, options=OPTIONS):
    return Context(pool=pool, features={"age": age, "tier": "gold" if age > 0 else "silver"}, options=options)


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(1)
    return pl.concat([turn_of(rng, turn) for turn in range(4)])


@pytest.fixture(scope="module")
def policy(log):
    return fit_contextual(log)


def favourite(chances):
    return max(chances, key=chances.get)


def test_every_pool_and_age_gets_what_pays_there(policy):
    assert favourite(policy.probabilities(context("students", 1.5))) == "ten-warm"
    assert favourite(policy.probabilities(context("students", -1.5))) == "ten-plain"
    assert favourite(policy.probabilities(context("families", 1.5))) == "free-warm"
    assert favourite(policy.probabilities(context("families", -1.5))) == "free-plain"


def test_before_any_evidence_every_option_is_as_likely_as_any_other(log):
    first = ContextualPolicy.first()
    assert first.probabilities(context()) == dict.fromkeys(sorted(NAMES), pytest.approx(1 / 6))
    silent = log.with_columns(units=pl.lit(0))
    assert fit_contextual(silent).probabilities(context()) == first.probabilities(context())
    assert fit_contextual(log.clear()).to_json() == first.to_json()


def test_expected_rewards_are_near_the_true_ones_and_the_control_is_known(policy):
    for pool in POOLS:
        for age in (-1.0, 0.0, 1.0):
            true = 1 / (1 + np.exp(-worth([pool], [age])[0]))
            believed = policy.expected(context(pool, age))
            assert [believed[name] for name in NAMES] == pytest.approx(true, abs=0.08)
    control = policy.expected_of_control([context("students"), context("families")])
    assert control == pytest.approx(1 / (1 + np.exp(2.5)), abs=0.04)


def test_amounts_are_learned_as_they_are():
    rng = np.random.default_rng(2)
    policy = fit_contextual(pl.concat([turn_of(rng, turn, amounts=True) for turn in range(4)]))
    assert policy.link == "identity"
    assert favourite(policy.probabilities(context("students", 1.5))) == "ten-warm"
    assert favourite(policy.probabilities(context("families", -1.5))) == "free-plain"
    true = 20 / (1 + np.exp(-worth(["families"], [0.0])[0]))
    believed = policy.expected(context("families", 0.0))
    assert [believed[name] for name in NAMES] == pytest.approx(true, abs=2.5)


def test_the_same_rows_give_the_same_bytes_in_whichever_order_they_come(log, policy):
    assert fit_contextual(log.sample(fraction=1.0, shuffle=True, seed=3)).to_json() == policy.to_json()


def test_a_policy_survives_being_written_and_read_and_is_small(policy):
    text = policy.to_json()
    again = ContextualPolicy.from_json(text)
    assert again.to_json() == text
    assert json.loads(text)["kind"] == "contextual"
    assert len(text) < 50_000
    places = [context(pool, age) for pool in POOLS for age in (-1.0, 0.3)]
    assert again.probabilities_all(places) == policy.probabilities_all(places)


def test_one_context_gets_what_it_gets_among_many(policy):
    places = [context(pool, age) for pool in POOLS for age in np.linspace(-2, 2, 9)]
    assert policy.probabilities_all(places) == [policy.probabilities(place) for place in places]


def test_an_option_never_offered_is_tried_and_what_is_known_of_its_parts_counts(policy):
    odd = Option(option_id="ten-odd", parts={"offer": "ten", "line": "odd"})
    bad = Option(option_id="none-odd", parts={"offer": "none", "line": "odd"})
    chances = policy.probabilities(context(options=(*OPTIONS, odd, bad)))
    assert chances["ten-odd"] > 0.05
    assert chances["ten-odd"] > 5 * chances["none-odd"]


def test_the_nearer_the_end_the_less_is_explored(log):
    def least(left):
        chances = fit_contextual(log.head(300), horizon_left=left).probabilities(context())
        return 1 - max(chances.values())

    assert least(1) <= least(2) <= least(10) <= least(None)
    assert least(1) == pytest.approx(0.01 * 5 / 6)


def test_probabilities_of_40000_contexts_take_seconds(policy):
    rng = np.random.default_rng(4)
    places = [context(POOLS[index % 2], float(age)) for index, age in enumerate(rng.standard_normal(40_000))]
    begun = time.perf_counter()
    chances = policy.probabilities_all(places)
    assert time.perf_counter() - begun < 15  # 1.5 s on an idle core
    assert len(chances) == 40_000


@settings(max_examples=40, deadline=None)
@given(
    age=st.floats(-1e6, 1e6),
    pool=st.sampled_from([*POOLS, "never seen"]),
    offered=st.lists(st.sampled_from(OPTIONS), min_size=1, max_size=6, unique_by=lambda option: option.option_id),
)
def test_probabilities_are_positive_and_sum_to_one(policy, age, pool, offered):
    chances = policy.probabilities(context(pool, age, tuple(offered)))
    assert chances.keys() == {option.option_id for option in offered}
    assert sum(chances.values()) == pytest.approx(1)
    assert min(chances.values()) >= policy.exploration / len(offered) * (1 - 1e-9)


def test_where_options_are_alike_none_is_given_up():
    rng = np.random.default_rng(5)
    n = 4000
    chances = np.full((n, 6), 1 / 6)
    chosen = picked(rng, chances)
    flat = decisions_of(0, chances=chances, chosen=chosen, rewards=rng.random(n) < 0.1, names=NAMES)
    believed = fit_contextual(flat).expected(Context(pool="all", options=OPTIONS))
    assert max(believed.values()) - min(believed.values()) < 0.02


def test_a_chosen_option_that_was_not_on_offer_is_an_error_that_says_so(log):
    wrong = log.head(20).with_columns(option=pl.lit("other"))
    with pytest.raises(ValueError, match="'other' was chosen and not on offer"):
        fit_contextual(wrong)


def test_a_policy_with_nothing_to_choose_from_says_so(policy):
    with pytest.raises(ValueError, match="a context needs options"):
        policy.probabilities(Context(pool="students"))


@pytest.mark.parametrize("link", ["identity", "logit"])
def test_the_posterior_covers_true_coefficients_as_often_as_it_says(link):
    """Coefficients are drawn from the prior; 95 % intervals hold them about as often."""
    rng = np.random.default_rng(6)
    options = np.column_stack([np.ones(4), np.eye(4)])
    products = Products(
        option=np.repeat(np.arange(5), 3), subject=np.tile(np.arange(3), 5), group=np.array([0, 1, 1] + [2, 3, 3] * 4)
    )
    spreads = np.array([1.0, 0.4, 0.5, 0.2])
    inside = []
    for _ in range(60):
        true = rng.standard_normal(15) * spreads[products.group]
        z = np.column_stack([np.ones(800), rng.standard_normal((800, 2))])
        chosen = rng.integers(4, size=800)
        score = (options[chosen][:, products.option] * z[:, products.subject]) @ true
        rewards = score + rng.standard_normal(800)
        if link == "logit":
            rewards = (rng.random(800) < 1 / (1 + np.exp(-score))).astype(float)
        found = posterior(
            products, options, z, chosen, rewards, link=link, spreads=spreads, fixed=np.array([True] + [False] * 3)
        )
        inside.append(np.abs(found.mean - true) < 1.96 * np.sqrt(np.diag(found.covariance)))
    assert 0.90 <= np.mean(inside) <= 0.98
