"""Prices follow what demand loses when they rise, and never leave what is allowed."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestration.learning.policies.choice import Context, Option
from orchestration.learning.policies.prices import PriceBounds, PricePolicy, fit_prices
from tests.logged_decisions import decisions_of, picked

BOUNDS = PriceBounds(floor=5.0, ceiling=20.0, moves_at_most=0.10)
cents = st.integers(50, 5000).map(lambda number: number / 100)


def rungs(prices):
    return tuple(Option(option_id=f"{price:.2f}", parts={"price": price}) for price in prices)


def at(pool, prices, cost=4.0, **features):
    return Context(pool=pool, features={"unit_cost": cost, **features}, options=rungs(prices))


def sold(rng, turn, pool, prices, *, elasticity, cost=4.0, rate=0.3, n=3000, revenue=False):
    """A turn of prices drawn evenly; demand is `rate` at the first."""
    chances = np.full((n, len(prices)), 1 / len(prices))
    chosen = picked(rng, chances)
    price = np.array(prices)[chosen]
    bought = rng.random(n) < rate * (price / prices[0]) ** elasticity
    return decisions_of(
        turn,
        chances=chances,
        chosen=chosen,
        rewards=bought * (price if revenue else price - cost),
        names=[f"{price:.2f}" for price in prices],
        parts={f"{price:.2f}": {"price": price} for price in prices},
        subjects=[f"{pool}-{turn}-{row}" for row in range(n)],
        pools=[pool] * n,
        features=[{} if revenue else {"unit_cost": cost}] * n,
    ).with_columns(decision_id=pl.lit(pool) + pl.col("decision_id"))


@given(floor=cents, wide=st.floats(0, 3), moves=st.floats(0, 0.5), in_force=st.floats(0.5, 60), steps=st.integers(1, 9))
def test_every_rung_is_inside_near_enough_and_in_whole_cents(floor, wide, moves, in_force, steps):
    bounds = PriceBounds(floor=floor, ceiling=floor * (1 + wide), moves_at_most=moves)
    low, high = max(floor, in_force * (1 - moves)), min(bounds.ceiling, in_force * (1 + moves))
    if not bounds.allows(in_force, in_force) and math.ceil(low * 100 - 1e-6) > math.floor(high * 100 + 1e-6):
        with pytest.raises(ValueError, match="by hand"):
            bounds.ladder(in_force, steps)
        return
    ladder = bounds.ladder(in_force, steps)
    assert 1 <= len(ladder) <= steps
    assert list(ladder) == sorted(set(ladder))
    for rung in ladder:
        assert floor - 1e-9 <= rung <= bounds.ceiling + 1e-9
        assert abs(rung - in_force) <= moves * in_force + 1e-9
        assert rung == in_force or math.isclose(rung * 100, round(rung * 100), abs_tol=1e-6)
    assert (in_force in ladder) == (floor <= in_force <= bounds.ceiling)


def test_a_ladder_spans_what_is_allowed_around_the_price_in_force():
    assert BOUNDS.ladder(10.0) == (9.0, 9.46, 10.0, 10.46, 11.0)
    assert BOUNDS.ladder(19.9, 3) == (17.91, 19.9, 20.0) or BOUNDS.ladder(19.9, 3)[-1] <= 20.0
    assert BOUNDS.ladder(21.0)[-1] == 20.0


def test_a_price_from_which_no_allowed_move_leads_inside_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match="by hand"):
        BOUNDS.ladder(30.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"floor": 0.0, "ceiling": 1.0, "moves_at_most": 0.1},
        {"floor": 2.0, "ceiling": 1.0, "moves_at_most": 0.1},
        {"floor": 1.0, "ceiling": 2.0, "moves_at_most": 1.0},
    ],
)
def test_bounds_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError):
        PriceBounds(**wrong)


@pytest.mark.parametrize(("elasticity", "best"), [(-4.0, "9.00"), (-1.2, "11.00")])
def test_a_price_falls_where_demand_gives_way_and_rises_where_it_does_not(elasticity, best):
    """The best price is cost * e / (1 + e): 5.33 and 24 here, so the lowest and the highest rung."""
    rng = np.random.default_rng(1)
    prices = BOUNDS.ladder(10.0)
    log = pl.concat([sold(rng, turn, "tea", prices, elasticity=elasticity) for turn in range(4)])
    policy = fit_prices(log)
    chances = policy.probabilities(at("tea", prices))
    assert max(chances, key=chances.get) == best
    believed = policy.demand("tea")
    assert abs(believed.elasticity - elasticity) < 3 * believed.doubt
    earned = policy.expected(at("tea", prices))
    assert earned["10.00"] == pytest.approx(0.3 * (10 / 9) ** elasticity * 6, rel=0.1)


def test_revenue_without_a_cost_is_learned_too():
    rng = np.random.default_rng(2)
    prices = BOUNDS.ladder(10.0)
    log = pl.concat([sold(rng, turn, "tea", prices, elasticity=-2.0, revenue=True) for turn in range(4)])
    policy = fit_prices(log)
    assert policy.demand("tea").elasticity == pytest.approx(-2.0, abs=3 * policy.demand("tea").doubt)
    chances = policy.probabilities(Context(pool="tea", options=rungs(prices)))
    assert max(chances, key=chances.get) == "9.00"  # elastic demand: revenue falls with the price


def test_a_pool_with_few_decisions_borrows_from_the_others():
    rng = np.random.default_rng(3)
    prices = BOUNDS.ladder(10.0)
    many = [sold(rng, 0, f"p{index}", prices, elasticity=-3.0) for index in range(8)]
    policy = fit_prices(pl.concat([*many, sold(rng, 0, "new", prices, elasticity=-3.0, n=40)]))
    assert policy.demand("new").elasticity == pytest.approx(-3.0, abs=0.7)
    assert policy.demand("new").doubt > policy.demand("p0").doubt
    assert policy.demand("never seen").elasticity == pytest.approx(-3.0, abs=0.7)


def test_a_price_outside_the_bounds_or_moved_too_far_is_never_chosen():
    policy = PricePolicy.first(bounds=BOUNDS)
    with pytest.raises(ValueError, match="not allowed"):
        policy.probabilities(at("tea", (19.0, 20.5)))
    with pytest.raises(ValueError, match=r"bounds\.ladder"):
        policy.probabilities(at("tea", (10.0, 12.0), price_in_force=10.0))
    assert policy.probabilities(at("tea", BOUNDS.ladder(10.0), price_in_force=10.0))["10.00"] == pytest.approx(0.2)


def test_a_policy_survives_being_written_and_read_and_the_same_rows_give_the_same_bytes():
    rng = np.random.default_rng(4)
    log = sold(rng, 0, "tea", BOUNDS.ladder(10.0), elasticity=-2.0)
    policy = fit_prices(log, bounds=BOUNDS)
    assert PricePolicy.from_json(policy.to_json()) == policy
    assert fit_prices(log.reverse(), bounds=BOUNDS).to_json() == policy.to_json()
    assert fit_prices(log.with_columns(units=pl.lit(0))) == PricePolicy.first()


@settings(max_examples=50, deadline=None)
@given(in_force=st.floats(5, 20), cost=st.floats(0, 30), pool=st.sampled_from(["tea", "never seen"]))
def test_probabilities_are_positive_and_sum_to_one(in_force, cost, pool):
    policy = _policy()
    ladder = BOUNDS.ladder(in_force)
    assume(len({f"{rung:.2f}" for rung in ladder}) == len(ladder))
    chances = policy.probabilities(at(pool, ladder, cost=cost, price_in_force=in_force))
    assert len(chances) == len(ladder)
    assert sum(chances.values()) == pytest.approx(1)
    assert min(chances.values()) >= policy.exploration / len(ladder) * (1 - 1e-9)


def _policy(known=[]):  # noqa: B006
    if not known:
        known.append(
            fit_prices(sold(np.random.default_rng(5), 0, "tea", BOUNDS.ladder(10.0), elasticity=-2.0), bounds=BOUNDS)
        )
    return known[0]


def test_a_shop_earns_more_within_its_bounds_than_at_its_first_prices_and_moves_as_allowed():
    rng = np.random.default_rng(6)
    price, policy, log, earned = 10.0, PricePolicy.first(bounds=BOUNDS), [], []
    elasticity, cost = -3.0, 4.0  # best at 6.00
    for turn in range(10):
        ladder = BOUNDS.ladder(price)
        chances = policy.probabilities(at("tea", ladder, price_in_force=price))
        p = np.array([chances[f"{rung:.2f}"] for rung in ladder])
        demand = 0.1 * (np.array(ladder) / 10) ** elasticity
        earned.append(float(p @ ((np.array(ladder) - cost) * demand)))
        chosen = rng.choice(len(ladder), 2000, p=p / p.sum())
        bought = rng.random(2000) < demand[chosen]
        log.append(
            decisions_of(
                turn,
                chances=np.tile(p, (2000, 1)),
                chosen=chosen,
                rewards=bought * (np.array(ladder)[chosen] - cost),
                names=[f"{rung:.2f}" for rung in ladder],
                parts={f"{rung:.2f}": {"price": rung} for rung in ladder},
                pools=["tea"] * 2000,
                features=[{"unit_cost": cost, "price_in_force": price}] * 2000,
            )
        )
        moved = ladder[int(p.argmax())]
        assert BOUNDS.allows(moved, price)
        price, policy = moved, fit_prices(pl.concat(log), bounds=BOUNDS)
    assert 5.0 <= price <= 7.2
    assert earned[-1] > 1.15 * 0.1 * (10 - cost)


def test_decisions_whose_cost_is_not_known_teach_nothing_where_the_reward_is_profit():
    rng = np.random.default_rng(10)
    prices = BOUNDS.ladder(10.0)
    known = pl.concat([sold(rng, turn, "tea", prices, elasticity=-3.0) for turn in range(3)])
    unknown = pl.concat([sold(rng, turn, "pie", prices, elasticity=-9.0, revenue=True) for turn in range(3)])
    bounds = PriceBounds(floor=5.0, ceiling=20.0, moves_at_most=0.10, cost="cost")
    assert fit_prices(pl.concat([known, unknown]), bounds=bounds) == fit_prices(known, bounds=bounds)
