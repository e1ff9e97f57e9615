"""Bandits whose values are known, and Open Bandit, for the benchmark `evidence`.

Here: synthetic worlds and their logs, the outcome model that estimators are given, and the real log.
Not here: the estimators (orchestration.learning.proof.off_policy) and what is reported (evidence).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

FOLDS = 3
Log = dict[str, Any]


@dataclass(frozen=True)
class World:
    """A contextual bandit. `level` sets how rare rewards are (log odds), `sharpness` how far the log is from even,
    `amounts` whether a reward is worth a log-normal amount, `visits` how many decisions share a visitor.
    `model` says what predictions the estimators get: a cross-fitted ridge regression, or nothing but the mean.
    """

    name: str
    rows: int
    level: float
    sharpness: float = 1.0
    amounts: bool = False
    visits: int = 1
    model: Literal["ridge", "mean"] = "ridge"
    actions: int = 8
    features: int = 4

    @cached_property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(17)
        taste, habit = rng.standard_normal((2, self.features, self.actions)) * 0.5
        return taste, habit

    def chances(self, contexts: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-(self.level + contexts @ self.weights[0])))

    def logging(self, contexts: np.ndarray) -> np.ndarray:
        return 0.8 * _softmax(self.sharpness * contexts @ self.weights[1]) + 0.2 / self.actions

    def target(self, contexts: np.ndarray) -> np.ndarray:
        return 0.9 * _softmax(2 * contexts @ self.weights[0]) + 0.1 / self.actions

    @cached_property
    def value(self) -> float:
        """The target's value, from a million contexts: known to less than a tenth of any standard error here."""
        rng = np.random.default_rng(18)
        sums = 0.0
        for _ in range(20):
            contexts = rng.standard_normal((50_000, self.features))
            sums += float((self.chances(contexts) * self.target(contexts)).sum(axis=1).mean())
        return sums / 20

    def log(self, rng: np.random.Generator) -> Log:
        """Arguments of `evaluate`; amounts have mean 1, so that the value does not change."""
        visitor = np.arange(self.rows) // self.visits
        contexts = rng.standard_normal((visitor.max() + 1, self.features))[visitor]
        logging = self.logging(contexts)
        chosen = (logging.cumsum(axis=1) > rng.random(self.rows)[visitor, None]).argmax(axis=1)
        rows = np.arange(self.rows)
        # A visitor's decisions are one choice, and half of them one mood.
        luck = np.where(rng.random(self.rows) < 0.5, rng.random(self.rows)[visitor], rng.random(self.rows))
        if self.visits == 1:
            luck = rng.random(self.rows)
        rewards = (luck < self.chances(contexts)[rows, chosen]).astype(float)
        if self.amounts:
            rewards *= rng.lognormal(-0.5 * 0.8**2, 0.8, self.rows)
        log = {
            "rewards": rewards,
            "propensities": logging[rows, chosen],
            "chosen": chosen,
            "target": self.target(contexts),
            "predicted": cross_fitted(contexts, chosen, rewards, visitor, self.actions, self.model),
        }
        return log | ({"clusters": visitor} if self.visits > 1 else {})


WORLDS = (
    World("frequent rewards", rows=2000, level=-1.0),
    World("far from the log", rows=2000, level=-1.0, sharpness=3.0),
    World("no model", rows=2000, level=-1.0, model="mean"),
    World("rare clicks", rows=8000, level=-5.0),
    World("revenue", rows=6000, level=-3.0, amounts=True),
    World("returning visitors", rows=3000, level=-1.5, visits=3),
)


def cross_fitted(
    contexts: np.ndarray, chosen: np.ndarray, rewards: np.ndarray, groups: np.ndarray, actions: int, model: str
) -> np.ndarray:
    """Expected rewards (n, k) from a ridge regression per action that saw neither the row nor its group."""
    predicted = np.empty((len(rewards), actions))
    folds = groups % FOLDS
    design = np.column_stack([np.ones(len(rewards)), contexts])
    penalty = np.diag([1.0] + [10.0] * contexts.shape[1])
    for fold in range(FOLDS):
        train, held = folds != fold, folds == fold
        mean = rewards[train].mean()
        predicted[held] = mean
        if model == "mean":
            continue
        for action in range(actions):
            rows = train & (chosen == action)
            x = design[rows]
            coefficients = np.linalg.solve(x.T @ x + penalty, x.T @ (rewards[rows] - mean))
            predicted[held, action] += design[held] @ coefficients
    return predicted


def open_bandit(folder: Path) -> tuple[Log, Log, float, float]:
    """Logs for `evaluate`, random judged for Thompson and Thompson for random, and both on-policy click rates.

    Thompson's target is how often it chose each item at each position, in its own log. Predictions come from a
    cross-fitted logistic regression on item, position and the user's affinity to the item.
    """
    random, thompson = (pl.read_parquet(folder / "open_bandit" / f"{name}.parquet") for name in ("random", "bts"))
    items = int(pl.concat([random["item_id"], thompson["item_id"]]).to_numpy().max()) + 1
    counts = np.zeros((4, items))
    np.add.at(counts, (thompson["position"].to_numpy(), thompson["item_id"].to_numpy()), 1)
    often = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    forward = _open_bandit_log(random, lambda rows: often[rows["position"].to_numpy()], items)
    back = _open_bandit_log(thompson, lambda rows: np.full((len(rows), items), 1 / items), items)
    return forward, back, float(thompson["click"].to_numpy().mean()), float(random["click"].to_numpy().mean())


def _open_bandit_log(rows: pl.DataFrame, target: Callable[[pl.DataFrame], np.ndarray], items: int) -> Log:
    from sklearn.linear_model import LogisticRegression

    clicks = rows["click"].to_numpy().astype(float)
    chosen = rows["item_id"].to_numpy().astype(int)
    position = np.eye(4)[rows["position"].to_numpy()]
    affinity = rows.select([f"user-item_affinity_{item}" for item in range(items)]).to_numpy()
    # Folds by hour: what is near in time is held out together.
    folds = (rows["timestamp"].dt.epoch("s").to_numpy() // 3600) % FOLDS
    predicted = np.empty((len(rows), items))
    each = np.eye(items)
    for fold in range(FOLDS):
        train, held = folds != fold, folds == fold
        seen = np.column_stack([each[chosen[train]], position[train], affinity[train, chosen[train]]])
        model = LogisticRegression(C=0.1, max_iter=500).fit(seen, clicks[train])
        offsets = position[held] @ model.coef_[0, items : items + 4] + model.intercept_[0]
        scores = offsets[:, None] + model.coef_[0, :items] + model.coef_[0, -1] * affinity[held]
        predicted[held] = 1 / (1 + np.exp(-scores))
    return {
        "rewards": clicks,
        "propensities": rows["propensity_score"].to_numpy(),
        "chosen": chosen,
        "target": target(rows),
        "predicted": predicted,
    }


def _softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
