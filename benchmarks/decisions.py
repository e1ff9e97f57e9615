"""Benchmark `decisions`: one answer for each customer, chosen as well as contextual bandits of libraries choose.

Here: our contextual policy and tuned peers in the same simulated worlds, with the same features and feedback; prices
in a simulated shop; what is proven where nothing matters.
Not here: worlds (simulated_decisions, simulated_shop), peers (decision_peers). All customers here are simulated.

Regret is the expected reward of the best option for each customer less that of what was chosen, per decision. All
update once a turn. Peers are tuned for each world, on seeds of their own; ours has one setting for all worlds,
chosen on seeds that are not in the figures.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from benchmarks.decision_peers import Chooser, Linear, VowpalWabbit, settings
from benchmarks.report import Row, measured, write
from benchmarks.simulated_decisions import FIRST, INDIFFERENT, WORLDS, Customers, World, logged
from benchmarks.simulated_shop import MOVES_AT_MOST, TURNS, best, by_grid, by_policy
from orchestration.learning.policies.choice import Context
from orchestration.learning.policies.contextual import ContextualPolicy, fit_contextual
from orchestration.learning.proof.decision_comparison import increment_of_decisions
from orchestration.learning.proof.paired_estimate import looks

SEEDS = int(os.environ.get("FLYWHEEL_BENCH_SEEDS", "20"))
TUNING = int(os.environ.get("FLYWHEEL_BENCH_TUNING", "3"))
ONLY = os.environ.get("FLYWHEEL_BENCH_WORLDS", "").split(",")
FLYWHEELS = int(os.environ.get("FLYWHEEL_BENCH_FLYWHEELS", "100"))
FIRST_TUNING = 1000  # the first of the seeds that only tuning sees
FRESH = range(2000, 2000 + SEEDS)  # seeds that nothing was chosen on


def main() -> None:
    started = time.perf_counter()
    rows: list[Row] = []
    for world in WORLDS:
        if ONLY == [""] or world.name in ONLY:
            begun = time.perf_counter()
            rows += regret(world)
            print(f"{world.name}: {time.perf_counter() - begun:.0f} s", flush=True)
    rows += prices()
    rows += indifferent()
    write("decisions", rows, time.perf_counter() - started)


def regret(world: World) -> list[Row]:
    """Ours against the best of the peers in one world, over seeds; and each peer's own figure."""
    ours = [play(world, seed, Ours) for seed in FRESH]
    peers = {}
    for name, tried in settings().items():
        made = [peer(name, setting) for setting in tried]
        tuned = [np.mean([play(world, FIRST_TUNING + seed, make) for seed in range(TUNING)]) for make in made]
        best = int(np.argmin(tuned))
        peers[name] = [play(world, seed, made[best]) for seed in FRESH]
        print(f"  {name}: {tried[best]}, median {np.median(peers[name]):.5f}", flush=True)
    best_peer = min(peers, key=lambda name: float(np.median(peers[name])))
    ratios = np.array(ours) / np.array(peers[best_peer])
    return [
        measured(
            f"{world.name}: regret per 1,000 decisions, {SEEDS} seeds",
            [1000 * one for one in ours],
            "rewards",
            peer=[1000 * one for one in peers[best_peer]],
            peer_name=f"{best_peer}, the best of three, tuned",
            goal=1.0,
        ),
        measured(f"{world.name}: seeds in which ours has less regret", float((ratios < 1).mean()), "share"),
    ]


def prices() -> list[Row]:
    """Profit of a season against trying a grid of fixed prices for its first half; and what bounds were kept."""
    ours, grid = [by_policy(seed) for seed in FRESH], [by_grid(seed) for seed in FRESH]
    half = TURNS // 2
    print(
        f"  prices: {sum(a.profit[half:].sum() > b.profit[half:].sum() for a, b in zip(ours, grid, strict=True))} "
        f"of {SEEDS} second halves above the best fixed price",
        flush=True,
    )
    of_best = [float(season.profit[-1]) / best(seed) for seed, season in zip(FRESH, ours, strict=True)]
    peer = "the best of nine fixed prices, tried in the first half"
    return [
        measured(
            f"prices: profit per 100 visitors, {part}, {SEEDS} seeds",
            [100 * float(season.profit[turns].mean()) for season in ours],
            "profit",
            peer=[100 * float(season.profit[turns].mean()) for season in grid],
            peer_name=peer,
            goal=1.0,
            better="higher",
        )
        for part, turns in (("second half", slice(half, None)), ("whole season", slice(None)))
    ] + [
        measured("prices: last turn's profit over that of the best price", of_best, "share"),
        measured("prices: most outside the bounds", max(season.outside for season in ours), "currency", goal=0.0),
        measured(
            "prices: largest move over the largest allowed",
            max(season.moved for season in ours) / MOVES_AT_MOST,
            "share",
            goal=1.0 + 1e-9,
        ),
    ]


def indifferent() -> list[Row]:
    """Flywheels in which no option is better: how many ever prove a challenger within 20 turns, a look at each."""
    world = replace(INDIFFERENT, turns=21, decisions=150)
    champion = ContextualPolicy.first()
    proven = 0
    for seed in range(FLYWHEELS):
        customers, rng = Customers(world, seed), np.random.default_rng([seed, 12])
        log = []
        for turn in range(world.turns):
            contexts, _, expected = customers.meet()
            chances = np.full(expected.shape, 1 / expected.shape[1])
            chosen = rng.integers(expected.shape[1], size=len(contexts))
            rewards = customers.answer(expected[np.arange(len(contexts)), chosen])
            log.append(logged(turn, contexts, chances, chosen, rewards))
        decisions = pl.concat(log)
        increments = []
        for turn in range(1, world.turns):
            found = increment_of_decisions(decisions, fit_contextual, champion, FIRST + timedelta(weeks=turn))
            assert found is not None
            increments.append(found[0])
        proven += any(look.low > 0 for look in looks(increments))
    what = f"indifferent: flywheels that ever prove a challenger in 20 turns, of {FLYWHEELS}"
    return [measured(what, proven / FLYWHEELS, "share", goal=0.05)]


def play(world: World, seed: int, make: Callable[[Customers, int], Chooser]) -> float:
    """Mean regret per decision over the turns of a world."""
    customers, rng = Customers(world, seed), np.random.default_rng([seed, 11])
    chooser = make(customers, seed)
    lost = 0.0
    for _ in range(world.turns):
        contexts, columns, expected = customers.meet()
        chances = chooser.chances(contexts, columns)
        chances = chances / chances.sum(axis=1, keepdims=True)
        lost += float((expected.max(axis=1) - (chances * expected).sum(axis=1)).mean())
        chosen = (chances.cumsum(axis=1) > rng.random(len(chances))[:, None]).argmax(axis=1)
        rows = np.arange(len(chosen))
        chooser.learn(columns, chosen, chances[rows, chosen], customers.answer(expected[rows, chosen]))
    return lost / world.turns


@dataclass
class Ours:
    """The flywheel's contextual policy, as it ships: fitted anew after every turn on all decisions logged so far."""

    customers: Customers
    seed: int
    policy: ContextualPolicy = field(default_factory=ContextualPolicy.first)
    _log: list[pl.DataFrame] = field(default_factory=list)
    _met: list[Context] = field(default_factory=list)
    _chances: np.ndarray = field(default_factory=lambda: np.empty(0))

    def chances(self, contexts: list[Context], columns: np.ndarray) -> np.ndarray:  # noqa: ARG002
        self._met = contexts
        self._chances = np.array([list(of.values()) for of in self.policy.probabilities_all(contexts)])
        return self._chances

    def learn(self, columns: np.ndarray, chosen: np.ndarray, chances: np.ndarray, rewards: np.ndarray) -> None:  # noqa: ARG002
        self._log.append(logged(len(self._log), self._met, self._chances, chosen, rewards))
        self.policy = fit_contextual(pl.concat(self._log))


def peer(name: str, setting: dict[str, Any]) -> Callable[[Customers, int], Chooser]:
    kind: Any = VowpalWabbit if name == "cb_explore_adf" else Linear
    return lambda customers, seed: kind(customers, seed, **setting)


if __name__ == "__main__":
    main()
