"""Simulated customers who each get one answer a turn, for the benchmark `decisions`.

Here: worlds whose expected rewards are known, the contexts of a turn, and decisions as the flywheel logs them.
Not here: who chooses (decisions, decision_peers). All customers here are simulated.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import product

import numpy as np
import polars as pl

from orchestration.learning.policies.choice import Context, Option

FIRST = date(2026, 1, 5)
TIERS = ("bronze", "silver", "gold")


@dataclass(frozen=True, kw_only=True)
class World:
    """Customers of some pools with numbers and a tier, options made of parts, replies by log odds.

    `part`, `by_pool`, `by_feature` and `itself` are the standard deviations of effects in log odds: of a part of an
    option, of a part in a pool, of a part by a feature, and of an option beyond its parts. With `amounts` a reply is
    worth a log-normal amount of mean 1.
    """

    name: str
    turns: int = 12
    decisions: int = 1200
    offers: int = 3
    lines: int = 3
    pools: int = 6
    numbers: int = 3
    level: float = -2.0
    part: float = 0.3
    by_pool: float = 0.2
    by_feature: float = 0.2
    itself: float = 0.1
    amounts: bool = False

    @property
    def options(self) -> tuple[Option, ...]:
        if self.lines == 1:
            return tuple(Option(option_id=f"offer{o}", parts={"offer": f"offer{o}"}) for o in range(self.offers))
        return tuple(
            Option(option_id=f"offer{o} | line{w}", parts={"offer": f"offer{o}", "line": f"line{w}"})
            for o, w in product(range(self.offers), range(self.lines))
        )


class Customers:
    """A world with its effects drawn from a seed."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.rng = world, np.random.default_rng([seed, 7])
        w, rng = world, np.random.default_rng([seed, 3])
        self.options = w.options
        width = 1 + w.pools + len(TIERS) + w.numbers
        scale = np.array([w.part] + [w.by_pool] * w.pools + [w.by_feature] * (len(TIERS) + w.numbers))
        of_offers, of_lines = (rng.standard_normal((count, width)) * scale for count in (w.offers, w.lines))
        if w.lines == 1:
            of_lines = np.zeros_like(of_lines)
        beyond = rng.standard_normal((w.offers, w.lines)) * (w.itself if w.lines > 1 else 0.0)
        self.common = rng.standard_normal(width) * np.array([0.0] + [0.4] * (width - 1))
        self.effects = (of_offers[:, None] + of_lines[None, :]).reshape(-1, width)
        self.effects[:, 0] += beyond.ravel()

    def meet(self) -> tuple[list[Context], np.ndarray, np.ndarray]:
        """A turn's contexts, the same as columns (n, m) (one, pool, tier, numbers), and expected rewards (n, k)."""
        w, n = self.world, self.world.decisions
        pool, tier = self.rng.integers(w.pools, size=n), self.rng.integers(len(TIERS), size=n)
        numbers = self.rng.standard_normal((n, w.numbers))
        columns = np.column_stack([np.ones(n), np.eye(w.pools)[pool], np.eye(len(TIERS))[tier], numbers])
        contexts = [
            Context(
                pool=f"pool{p}",
                features={"tier": TIERS[t]} | {f"x{i}": round(float(x), 4) for i, x in enumerate(xs)},
                options=self.options,
            )
            for p, t, xs in zip(pool, tier, numbers, strict=True)
        ]
        odds = w.level + columns @ (self.effects + self.common).T
        return contexts, columns, 1 / (1 + np.exp(-odds))

    def answer(self, chances: np.ndarray) -> np.ndarray:
        """Rewards (n,) of what was chosen, from the chances (n,) of a reply."""
        replied = (self.rng.random(len(chances)) < chances).astype(float)
        return replied * self.rng.lognormal(-0.5 * 0.8**2, 0.8, len(chances)) if self.world.amounts else replied


OFFERS = World(name="offers and lines")
WORLDS = (
    OFFERS,
    World(name="one part, strong features", offers=5, lines=1, by_feature=0.4, by_pool=0.1),
    World(name="amounts", offers=4, lines=1, level=-1.5, amounts=True),
)
INDIFFERENT = replace(OFFERS, name="indifferent", part=0.0, by_pool=0.0, by_feature=0.0, itself=0.0)


def logged(
    turn: int, contexts: list[Context], chances: np.ndarray, chosen: np.ndarray, rewards: np.ndarray
) -> pl.DataFrame:
    """Decisions of a turn as the flywheel logs them; `chosen` -1 is the holdout."""
    names = [option.option_id for option in contexts[0].options]
    parts = json.dumps({option.option_id: dict(option.parts) for option in contexts[0].options}, sort_keys=True)
    n = len(contexts)
    held_out = chosen < 0
    return pl.DataFrame(
        {
            "turn": [FIRST + timedelta(weeks=turn)] * n,
            "decision_id": [f"t{turn:03d}-{row:06d}" for row in range(n)],
            "subject_id": [f"t{turn:03d}-{row:06d}" for row in range(n)],
            "category": [context.pool for context in contexts],
            "context": [json.dumps(dict(context.features), sort_keys=True) for context in contexts],
            "options": [json.dumps(dict(zip(names, row, strict=True))) for row in chances.round(6).tolist()],
            "option_parts": [parts] * n,
            "option": [None if out else names[index] for out, index in zip(held_out, chosen, strict=True)],
            "propensity": np.where(held_out, 1.0, chances[np.arange(n), chosen]),
            "in_holdout": held_out,
            "reward": rewards,
            "units": np.ones(n, dtype=int),
            "fold": np.arange(n) % 5,
        },
        schema_overrides={"option": pl.String},
    )


def returning(
    seed: int, turns: int, subjects: int, reward: Callable[[np.random.Generator, int], np.ndarray]
) -> pl.DataFrame:
    """Decisions of customers who come back every turn to offers that do not differ, drawn evenly; a fifth is held out.

    `reward` draws what a number of decisions earn. A customer stays in one fold.
    """
    customers, rng = Customers(replace(INDIFFERENT, decisions=subjects), seed), np.random.default_rng([seed, 13])
    contexts, _, expected = customers.meet()
    count = expected.shape[1]
    held_out = rng.random(subjects) < 0.2
    log = []
    for turn in range(turns):
        chosen = np.where(held_out, -1, rng.integers(count, size=subjects))
        frame = logged(turn, contexts, np.full(expected.shape, 1 / count), chosen, reward(rng, subjects))
        log.append(frame.with_columns(subject_id=pl.format("s{}", pl.int_range(pl.len()))))
    return pl.concat(log)
