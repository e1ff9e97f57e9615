"""Ridge regression of log ratios on texts: normal equations by fold, and the penalties that held-out subjects choose.

Here: the linear algebra behind the reward model.
Not here: what is regressed on what, calibration, and the model card (reward_model, reward_card).

Differences within a subject tell what texts do. Differences between the levels of subjects tell something too, if what
draws readers to one subject also draws them to one of its texts; or they mislead, if levels differ for other reasons.
How much they count is therefore a penalty like the others: chosen by how well differences *within* held-out subjects
are predicted, and nothing if that is best. Source: random-intercept regression as a mixture of the within and between
regressions (Mundlak 1978), with the mixing weight left to cross-validation.
"""

from dataclasses import dataclass

import numpy as np

from orchestration.learning.log_rates import Within, subject_sums

FOLDS = 5
_EMBEDDING = (0.1, 0.3, 1.0, 3.0, 10.0)  # penalties as multiples of the block's mean information
_SURFACE = (0.01, 0.03, 0.1, 0.3, 1.0)
_BETWEEN = (0.0, 0.1, 0.3, 1.0)  # information of a subject's level as a multiple of that of one difference


@dataclass(frozen=True)
class Penalties:
    """What was chosen: `embedding` and `surface` as multiples of mean information, `between` as explained above."""

    embedding: float
    surface: float
    between: float


@dataclass(frozen=True)
class TextRidge:
    """Normal equations of each fold, within subjects (`left`, `right`) and between their levels.

    Shapes (folds, p, p) and (folds, p); the first `width` columns are the embedding, which is penalised apart.
    """

    left: np.ndarray
    right: np.ndarray
    left_between: np.ndarray
    right_between: np.ndarray
    width: int

    @classmethod
    def of(
        cls,
        data: Within,
        columns: np.ndarray,
        folds: np.ndarray,
        turns: np.ndarray,
        levels: np.ndarray,
        *,
        spread: float,
        width: int,
    ) -> "TextRidge":
        """columns (n, p); folds, turns (n,) codes, constant within a subject for folds; levels (subjects,) log rates.

        Levels are compared within a turn only, so that a season is not taken for an effect of words.
        """
        weights = data.weights(spread)
        root = np.sqrt(weights)
        rows = data.centred(columns, weights) * root[:, None]
        response = data.effect * root
        count = np.bincount(data.subject)
        means = subject_sums(data.subject, columns) / count[:, None]
        first = np.unique(data.subject, return_index=True)[1]
        turn = np.unique(turns[first], return_inverse=True)[1]
        means, levels = _centred(means, turn), _centred(levels[:, None], turn)[:, 0]
        strength = float(np.median(weights))
        of_subject = folds[first]
        within = [_normal(rows[folds == fold], response[folds == fold]) for fold in range(FOLDS)]
        between = [
            _normal(means[of_subject == fold] * np.sqrt(strength), levels[of_subject == fold] * np.sqrt(strength))
            for fold in range(FOLDS)
        ]
        return cls(
            np.stack([left for left, _ in within]),
            np.stack([right for _, right in within]),
            np.stack([left for left, _ in between]),
            np.stack([right for _, right in between]),
            width,
        )

    def solve(self, penalties: Penalties, without: int | None = None) -> np.ndarray:
        """Coefficients (p,), from all folds or all but one."""
        from scipy.linalg import solve

        kept = [fold for fold in range(FOLDS) if fold != without]
        left, right = self.left[kept].sum(axis=0), self.right[kept].sum(axis=0)
        information = np.diagonal(left)
        diagonal = np.full(len(information), 1e-9)
        diagonal[: self.width] += penalties.embedding * _mean(information[: self.width])
        diagonal[self.width :] += penalties.surface * _mean(information[self.width :])
        if penalties.between > 0:
            left = left + penalties.between * self.left_between[kept].sum(axis=0)
            right = right + penalties.between * self.right_between[kept].sum(axis=0)
        return solve(left + np.diag(diagonal), right, assume_a="pos", check_finite=False)

    def held_out(self, columns: np.ndarray, folds: np.ndarray, penalties: Penalties) -> np.ndarray:
        """Scores (n,) of each row by the model that did not see its fold."""
        scores = np.zeros(len(columns))
        for fold in np.unique(folds):
            scores[folds == fold] = columns[folds == fold] @ self.solve(penalties, without=fold)
        return scores

    def best_penalties(self) -> Penalties:
        """The least weighted squared error within held-out subjects, by a search along one penalty after the other.

        The error of a fold needs its normal equations only: y'y - 2 b'right + b'left b.
        """

        def loss(penalties: Penalties) -> float:
            error = 0.0
            for fold in range(FOLDS):
                if self.left[fold].any():
                    beta = self.solve(penalties, without=fold)
                    error += float(beta @ self.left[fold] @ beta - 2 * beta @ self.right[fold])
            return error

        best = Penalties(1.0, 0.1, 0.0)
        best = min((Penalties(best.embedding, best.surface, value) for value in _BETWEEN), key=loss)
        best = min((Penalties(value, best.surface, best.between) for value in _EMBEDDING), key=loss)
        best = min((Penalties(best.embedding, value, best.between) for value in _SURFACE), key=loss)
        return min((Penalties(best.embedding, best.surface, value) for value in _BETWEEN), key=loss)


def _normal(rows: np.ndarray, response: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return rows.T @ rows, rows.T @ response


def _centred(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    return values - (subject_sums(group, values) / np.bincount(group)[:, None])[group]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
