"""Bandit libraries as peers: mabwiser's LinTS and Vowpal Wabbit's cb_explore_adf, with the features that all have.

Here: how a headline and what was seen of it are put to each library, and how its answer becomes shares.
Not here: the peers without a library (bandits).

Both get the predicted click rate of a headline as a feature (the regression on embedding and surface features that
LOLA starts from) and the headline's identity, and have been trained on the earlier tests. Results of a batch are
handed over in sums: a row for each headline, weighted by its impressions, which gives linear models the same fit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.bandits import Seen

RATE = 0.0125  # the unit of click rates for both libraries: about one
DRAWS = 24


@dataclass(frozen=True)
class Earlier:
    """Arms of earlier tests for training: predicted rates (made without the test itself), impressions, clicks."""

    group: np.ndarray
    predicted: np.ndarray
    impressions: np.ndarray
    clicks: np.ndarray


@dataclass
class LinTS:
    """One linear model a group: intercept, predicted rate, and one column a headline, of prior scale `own`.

    Shares are how often each headline has the highest of the rates that mabwiser draws, over 24 draws.
    """

    earlier: Earlier
    alpha: float
    own: float
    prior_weight: float = 0.05
    _models: list = field(default_factory=list)
    _before: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, seen: Seen) -> np.ndarray:
        groups, arms = seen.units.shape
        if seen.batch == 0:
            fresh = self._trained(arms, seen.seed)
            self._models = [fresh() for _ in range(groups)]
            self._before = np.zeros(seen.units.shape), np.zeros(seen.units.shape)
        assert self._before is not None
        units, clicks = seen.units - self._before[0], seen.clicks - self._before[1]
        self._before = seen.units.copy(), seen.clicks.copy()
        wins = np.zeros(seen.units.shape)
        own = np.eye(arms) * self.own
        for row, model in enumerate(self._models):
            contexts = np.column_stack([np.ones(arms), seen.predicted[row] / RATE, own])
            told = units[row] > 0
            if told.any():
                root = np.sqrt(units[row][told])
                rewards = clicks[row][told] / RATE / root
                model.partial_fit(["show"] * int(told.sum()), rewards, contexts[told] * root[:, None])
            drawn = np.array(
                [answer["show"] for answer in model.predict_expectations(np.tile(contexts, (DRAWS, 1)))]
            ).reshape(DRAWS, arms)
            wins[row] = np.bincount(drawn.argmax(axis=1), minlength=arms)
        return wins

    def _trained(self, arms: int, seeds: np.ndarray) -> Callable[[], Any]:
        """A maker of models that have seen the earlier tests, with a column for each of `arms` headlines."""
        import copy

        from mabwiser.mab import MAB, LearningPolicy

        root = np.sqrt(self.earlier.impressions * self.prior_weight)
        contexts = np.column_stack([np.ones(len(root)), self.earlier.predicted / RATE, np.zeros((len(root), arms))])
        rewards = self.earlier.clicks / RATE / self.earlier.impressions * root
        model = MAB(["show"], LearningPolicy.LinTS(alpha=self.alpha, l2_lambda=1.0), seed=int(seeds[0]))
        model.fit(["show"] * len(root), rewards, contexts * root[:, None])
        return lambda: copy.deepcopy(model)


@dataclass
class VowpalWabbit:
    """One contextual bandit over all groups of a seed: weights for the predicted rate and for each headline.

    `explore` is the library's own option, such as `--softmax --lambda 20`; shares are the probabilities it gives.
    """

    earlier: Earlier
    explore: str
    learning_rate: float
    _workspaces: dict = field(default_factory=dict)
    _before: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, seen: Seen) -> np.ndarray:
        arms = seen.units.shape[1]
        if seen.batch == 0:
            self._before = np.zeros(seen.units.shape), np.zeros(seen.units.shape)
        assert self._before is not None
        units, clicks = seen.units - self._before[0], seen.clicks - self._before[1]
        self._before = seen.units.copy(), seen.clicks.copy()
        shares = np.zeros(seen.units.shape)
        for row in range(len(shares)):
            workspace = self._workspace(int(seen.seed[row]))
            actions = [f"|t p:{seen.predicted[row, arm] / RATE:.4f} |h a{seen.arm[row, arm]}" for arm in range(arms)]
            given = units[row].sum()
            for arm in np.flatnonzero(units[row] > 0):
                rate = clicks[row, arm] / units[row, arm] / RATE
                told = [*actions]
                told[arm] = f"0:{-rate:.4f}:{min(1.0, given / units[row, arm] / arms):.4f} {actions[arm]}"
                workspace.learn(told)
            answer = workspace.predict(actions)
            shares[row] = np.maximum(answer, 0.0)
        return shares

    def _workspace(self, seed: int) -> Any:
        if seed not in self._workspaces:
            import vowpalwabbit

            options = f"--cb_explore_adf {self.explore} -l {self.learning_rate} --random_seed {seed} --quiet"
            workspace = vowpalwabbit.Workspace(options)
            order = np.argsort(self.earlier.group, kind="stable")
            edges = np.flatnonzero(np.diff(self.earlier.group[order])) + 1
            for rows in np.split(order, edges):
                _teach(workspace, self.earlier, rows)
            self._workspaces[seed] = workspace
        return self._workspaces[seed]


def _teach(workspace: Any, earlier: Earlier, rows: Sequence[int] | np.ndarray) -> None:
    actions = [f"|t p:{earlier.predicted[row] / RATE:.4f}" for row in rows]
    for place, row in enumerate(rows):
        rate = earlier.clicks[row] / earlier.impressions[row] / RATE
        told = [*actions]
        told[place] = f"0:{-rate:.4f}:1.0 {actions[place]}"
        workspace.learn(told)
