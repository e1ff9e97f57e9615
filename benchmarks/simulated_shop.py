"""A simulated shop whose demand is known, for the benchmark `decisions`: prices within bounds against a fixed price.

Here: products with their cost and demand, a season sold by our price policy, and one sold by trying a grid first.
Not here: the policy (orchestration.learning.policies.prices) and the score (decisions).
"""

import json
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from orchestration.learning.policies.choice import Context, Option
from orchestration.learning.policies.prices import PriceBounds, PricePolicy, fit_prices

FIRST = date(2026, 1, 5)
TURNS, VISITORS, PRODUCTS = 16, 400, 10
GRID = 9
MOVES_AT_MOST = 0.10


@dataclass(frozen=True, kw_only=True)
class Product:
    """`rate` of visitors buy at the price `start`; `elasticity` is how demand falls. Bounds are those of the shop."""

    name: str
    cost: float
    start: float
    rate: float
    elasticity: float
    bounds: PriceBounds

    def demand(self, prices: np.ndarray) -> np.ndarray:
        return np.minimum(self.rate * (prices / self.start) ** self.elasticity, 1.0)

    def profit(self, prices: np.ndarray) -> np.ndarray:
        """Expected profit per visitor."""
        return (prices - self.cost) * self.demand(prices)


def products(seed: int) -> list[Product]:
    """Ten products of one to two pounds' cost whose first price is a guess: up to 30 % from the best."""
    rng = np.random.default_rng([seed, 5])
    made = []
    for number in range(PRODUCTS):
        cost = round(float(rng.uniform(3, 12)), 2)
        elasticity = -2.4 + 0.4 * float(np.clip(rng.standard_normal(), -2, 2))
        best = cost * elasticity / (1 + elasticity)
        start = round(best * float(rng.uniform(0.75, 1.3)), 2)
        floor, ceiling = round(max(1.05 * cost, 0.6 * best), 2), round(1.6 * best, 2)
        start = min(max(start, floor), ceiling)
        bounds = PriceBounds(floor=floor, ceiling=ceiling, moves_at_most=MOVES_AT_MOST)
        rate = float(rng.uniform(0.05, 0.2))
        made.append(Product(name=f"p{number}", cost=cost, start=start, rate=rate, elasticity=elasticity, bounds=bounds))
    return made


@dataclass(frozen=True, kw_only=True)
class Season:
    """Expected profit per visitor of each turn, how far a price ever lay outside its bounds, and the largest move."""

    profit: np.ndarray
    outside: float
    moved: float


def by_policy(seed: int) -> Season:
    """Every visitor is offered a rung of the ladder around the price in force; the likeliest is in force next."""
    rng = np.random.default_rng([seed, 6])
    shelf = products(seed)
    in_force = {product.name: product.start for product in shelf}
    policy, log = PricePolicy.first(), pl.DataFrame()
    profit, outside, moved = np.zeros(TURNS), 0.0, 0.0
    for turn in range(TURNS):
        frames = [] if log.is_empty() else [log]
        for product in shelf:
            before = in_force[product.name]
            rungs = product.bounds.ladder(before)
            options = tuple(Option(option_id=f"{rung:.2f}", parts={"price": rung}) for rung in rungs)
            features = {"unit_cost": product.cost, "price_in_force": before}
            chances = policy.probabilities(Context(pool=product.name, features=features, options=options))
            p = np.array([chances[f"{rung:.2f}"] for rung in rungs])
            prices = np.array(rungs)
            profit[turn] += float(p @ product.profit(prices)) / PRODUCTS
            outside = max(outside, product.bounds.floor - prices.min(), prices.max() - product.bounds.ceiling)
            moved = max(moved, float(np.abs(prices / before - 1).max()))
            chosen = rng.choice(len(rungs), VISITORS, p=p / p.sum())
            bought = rng.random(VISITORS) < product.demand(prices)[chosen]
            frames.append(
                _logged(turn, product, features, options, p, chosen, bought * (prices[chosen] - product.cost))
            )
            in_force[product.name] = float(prices[p.argmax()])
        log = pl.concat(frames)
        policy = fit_prices(log)
    return Season(profit=profit, outside=outside, moved=moved)


def by_grid(seed: int) -> Season:
    """Half of the season tries nine prices over the whole range evenly; the other half sells at each product's best."""
    rng = np.random.default_rng([seed, 8])
    profit = np.zeros(TURNS)
    for product in products(seed):
        grid = np.geomspace(product.bounds.floor, product.bounds.ceiling, GRID)
        visitors = rng.multinomial(VISITORS * TURNS // 2, np.full(GRID, 1 / GRID))
        earned = rng.binomial(visitors, product.demand(grid)) * (grid - product.cost) / np.maximum(visitors, 1)
        profit[: TURNS // 2] += float(product.profit(grid).mean()) / PRODUCTS
        profit[TURNS // 2 :] += float(product.profit(grid[earned.argmax() : earned.argmax() + 1])[0]) / PRODUCTS
    return Season(profit=profit, outside=0.0, moved=0.0)


def best(seed: int) -> float:
    """Expected profit per visitor at the best price of each product."""
    return float(
        np.mean([p.profit(np.geomspace(p.bounds.floor, p.bounds.ceiling, 2001)).max() for p in products(seed)])
    )


def _logged(
    turn: int,
    product: Product,
    features: dict[str, float],
    options: tuple[Option, ...],
    chances: np.ndarray,
    chosen: np.ndarray,
    rewards: np.ndarray,
) -> pl.DataFrame:
    names, n = [option.option_id for option in options], len(chosen)
    ids = [f"{product.name}-t{turn:03d}-{row:05d}" for row in range(n)]
    return pl.DataFrame(
        {
            "turn": [FIRST + timedelta(weeks=turn)] * n,
            "decision_id": ids,
            "subject_id": ids,
            "category": [product.name] * n,
            "context": [json.dumps(features, sort_keys=True)] * n,
            "options": [json.dumps(dict(zip(names, chances.tolist(), strict=True)))] * n,
            "option_parts": [json.dumps({option.option_id: dict(option.parts) for option in options})] * n,
            "option": [names[index] for index in chosen],
            "propensity": chances[chosen],
            "in_holdout": [False] * n,
            "reward": rewards,
            "units": [1] * n,
            "fold": np.arange(n) % 5,
        }
    )
