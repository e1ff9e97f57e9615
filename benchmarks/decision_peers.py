"""Contextual bandits of libraries as peers: mabwiser's LinUCB and LinTS, Vowpal Wabbit's cb_explore_adf.

Here: how a turn's contexts and feedback are put to each library, and what is tuned.
Not here: the worlds (simulated_decisions), our own policy and the score (decisions).

All see the same features: one, pool, tier and numbers of a customer, the parts of an option, and their products; all
get the feedback of a turn at its end. mabwiser's are tried with one model for all options over the products, and with
one model for each option over the customer's columns.
"""

from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

import numpy as np

from benchmarks.simulated_decisions import TIERS, Customers
from orchestration.learning.policies.choice import Context


class Chooser(Protocol):
    """Chooses for a turn, then learns what came of it."""

    def chances(self, contexts: list[Context], columns: np.ndarray) -> np.ndarray:
        """Probabilities (n, k) of the options."""
        ...

    def learn(self, columns: np.ndarray, chosen: np.ndarray, chances: np.ndarray, rewards: np.ndarray) -> None:
        """Feedback: `chosen` (n,) with `chances` (n,), and what it earned."""
        ...


@dataclass
class Linear:
    """mabwiser's LinUCB or LinTS. `shared` is one model over parts times columns, else one for each option."""

    customers: Customers
    seed: int
    rule: str
    alpha: float
    shared: bool
    ridge: float = 1.0
    _model: Any = None

    def chances(self, contexts: list[Context], columns: np.ndarray) -> np.ndarray:
        k = len(self.customers.options)
        if self._model is None:
            return np.full((len(contexts), k), 1 / k)
        if self.shared:
            asked = self._products(np.repeat(columns, k, axis=0), np.tile(np.arange(k), len(columns)))
            scores = np.array([of["all"] for of in self._model.predict_expectations(asked)]).reshape(-1, k)
        else:
            scores = np.array([[of[arm] for arm in range(k)] for of in self._model.predict_expectations(columns)])
        scores = scores + 1e-9 * np.random.default_rng(self.seed).random(scores.shape)
        return np.eye(k)[scores.argmax(axis=1)]

    def learn(self, columns: np.ndarray, chosen: np.ndarray, chances: np.ndarray, rewards: np.ndarray) -> None:  # noqa: ARG002
        from mabwiser.mab import MAB, LearningPolicy

        arms: list = ["all"] if self.shared else list(range(len(self.customers.options)))
        told = ["all"] * len(chosen) if self.shared else chosen.tolist()
        rows = self._products(columns, chosen) if self.shared else columns
        if self._model is None:
            rule = getattr(LearningPolicy, self.rule)(alpha=self.alpha, l2_lambda=self.ridge)
            self._model = MAB(arms, rule, seed=self.seed)
            self._model.fit(told, rewards, rows)
        else:
            self._model.partial_fit(told, rewards, rows)

    def _products(self, columns: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        options = [option.parts for option in self.customers.options]
        parts = sorted({(name, str(value)) for of in options for name, value in of.items()})
        has = np.array([[1.0] + [float(of.get(name) == value) for name, value in parts] for of in options])
        return np.einsum("na,nb->nab", has[chosen], columns).reshape(len(columns), -1)


@dataclass
class VowpalWabbit:
    """`cb_explore_adf` with products of the customer's and the options' features; `explore` is the library's option."""

    customers: Customers
    seed: int
    explore: str
    learning_rate: float
    _workspace: Any = None
    _met: list[list[str]] = field(default_factory=list)

    def chances(self, contexts: list[Context], columns: np.ndarray) -> np.ndarray:  # noqa: ARG002
        import vowpalwabbit

        if self._workspace is None:
            self._workspace = vowpalwabbit.Workspace(
                f"--cb_explore_adf {self.explore} -l {self.learning_rate} -q CO -q CP --random_seed {self.seed} --quiet"
            )
        actions = [
            "|O " + " ".join(f"{name}={value}" for name, value in option.parts.items()) + f" |P id={place}"
            for place, option in enumerate(self.customers.options)
        ]
        pools = self.customers.world.pools
        self._met = [
            [f"shared |C pool={p} tier={t} " + " ".join(f"x{i}:{x:.4f}" for i, x in enumerate(numbers)), *actions]
            for p, t, numbers in zip(
                columns[:, 1 : 1 + pools].argmax(axis=1),
                columns[:, 1 + pools : 1 + pools + len(TIERS)].argmax(axis=1),
                columns[:, 1 + pools + len(TIERS) :],
                strict=True,
            )
        ]
        made = np.maximum(np.array([self._workspace.predict(lines) for lines in self._met]), 0.0)
        return made / made.sum(axis=1, keepdims=True)

    def learn(self, columns: np.ndarray, chosen: np.ndarray, chances: np.ndarray, rewards: np.ndarray) -> None:  # noqa: ARG002
        for lines, option, chance, reward in zip(self._met, chosen, chances, rewards, strict=True):
            told = list(lines)
            told[1 + option] = f"0:{-reward:.5f}:{chance:.6f} {told[1 + option]}"
            self._workspace.learn(told)


def settings() -> dict[str, list[dict[str, Any]]]:
    """What is tried for each peer; the best on the seeds for tuning is taken."""
    linear = [
        {"alpha": alpha, "shared": shared, "ridge": ridge}
        for alpha, shared, ridge in product((0.03, 0.1), (True, False), (10.0, 30.0, 100.0, 300.0))
    ]
    explore = [
        *((f"--squarecb --gamma_scale {scale}", "mtr", rate) for scale in (1000, 3000) for rate in (0.2, 0.5, 1.0)),
        *((f"--softmax --lambda {sharpness}", kind, 0.5) for sharpness in (50, 150) for kind in ("mtr", "dr")),
        *((rule, kind, 0.2) for rule in ("--epsilon 0.05", "--bag 8 --epsilon 0.02") for kind in ("mtr", "dr")),
    ]
    return {
        "LinUCB": [{"rule": "LinUCB", **of} for of in linear],
        "LinTS": [{"rule": "LinTS", **of} for of in linear],
        "cb_explore_adf": [
            {"explore": f"{rule} --cb_type {kind}", "learning_rate": rate} for rule, kind, rate in explore
        ],
    }
