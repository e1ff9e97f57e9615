"""Ridge regression of log ratios on texts: normal equations by fold, and the penalties that held-out subjects choose.

Here: the linear algebra behind the reward model.
Not here: what is regressed on what, calibration, and the model card (reward_model, reward_card).

Differences within a subject tell what texts do. Differences between the levels of subjects tell something too, if what
draws readers to one subject also draws them to one of its texts; or they mislead, if levels differ for other reasons.
How much they count is therefore a penalty like the others: chosen by how well differences *within* held-out subjects
are predicted, and nothing if that is best. Source: random-intercept regression as a mixture of the within and between
regressions (Mundlak 1978), with the mixing weight left to cross-validation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from orchestration.learning.texts.log_rates import Within, subject_sums

FOLDS = 5
_EMBEDDING = (0.3, 1.0, 3.0, 10.0)  # penalties as multiples of the block's mean information
_SURFACE = (0.1, 0.3, 1.0, 3.0)
_BETWEEN = (0.0, 0.1, 0.3, 1.0, 3.0)  # information of a subject's level as a multiple of that of one difference


@dataclass(frozen=True)
class Penalties:
    """What was chosen: `embedding` and `surface` as multiples of mean information, `between` as explained above."""

    embedding: float
    surface: float
    between: float


@dataclass(frozen=True)
class TextRidge:
    """Normal equations by part: (parts, p, p) and (parts, p), within subjects and between their levels.

    A part is a fold among the earlier subjects, or the same fold among those met last: part = fold + FOLDS * late.
    The first `width` columns are the embedding, which is penalised apart.
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
        parts: np.ndarray,
        turns: np.ndarray,
        levels: np.ndarray,
        *,
        spread: float,
        width: int,
    ) -> "TextRidge":
        """columns (n, p), rows of a subject side by side; parts (n,), the same within a subject; turns (n,) codes;
        levels (subjects,) log rates, which are compared within a turn only: a season is no effect of words."""
        weights = data.weights(spread).astype(columns.dtype)
        total = np.bincount(data.subject, weights)
        means = subject_sums(data.subject, columns * weights[:, None]) / total[:, None].astype(columns.dtype)
        effects = np.bincount(data.subject, weights * data.effect) / total
        first = np.flatnonzero(np.r_[True, np.diff(data.subject) != 0])
        turn = np.unique(turns[first], return_inverse=True)[1]
        part_of = parts[first]
        strength = float(np.median(weights))
        centred, levels = _centred(means, turn), _centred(levels[:, None], turn)[:, 0]
        equations = []
        for part in range(2 * FOLDS):
            rows, subjects = np.flatnonzero(parts == part), part_of == part
            left, right = _normal(columns[rows], weights[rows], data.effect[rows])
            # weighted sums of squares around the subject's mean = those around zero - those of the means
            around, toward = _normal(means[subjects], total[subjects], effects[subjects])
            even = np.full(int(subjects.sum()), strength)
            equations.append((left - around, right - toward, *_normal(centred[subjects], even, levels[subjects])))
        within, response, between, level = (np.stack(values) for values in zip(*equations, strict=True))
        return cls(within, response, between, level, width)

    def solve(self, penalties: Penalties, without: Sequence[int] = ()) -> np.ndarray:
        """Coefficients (p,), from all parts but those to be left out."""
        from scipy.linalg.lapack import dposv

        left, right, left_between, right_between = self._but(tuple(without))
        information = np.diagonal(left)
        diagonal = np.full(len(information), 1e-9)
        diagonal[: self.width] += penalties.embedding * _mean(information[: self.width])
        diagonal[self.width :] += penalties.surface * _mean(information[self.width :])
        if penalties.between > 0:
            left, right = left + penalties.between * left_between, right + penalties.between * right_between
        else:
            left = left.copy()
        left[np.diag_indices_from(left)] += diagonal
        _, solution, fault = dposv(left, right, overwrite_a=True)
        if fault:
            raise np.linalg.LinAlgError(f"The normal equations are singular or not finite in column {fault}.")
        return solution

    @cached_property
    def _whole(self) -> tuple[np.ndarray, ...]:
        return tuple(table.sum(axis=0) for table in (self.left, self.right, self.left_between, self.right_between))

    @cached_property
    def _sums(self) -> dict[tuple[int, ...], tuple[np.ndarray, ...]]:
        return {}

    def _but(self, without: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        """Normal equations of all parts but those to be left out: the same for all penalties, so added up once."""
        if without not in self._sums:
            out = [*without]
            tables = self.left, self.right, self.left_between, self.right_between
            self._sums[without] = tuple(
                whole - table[out].sum(axis=0) for whole, table in zip(self._whole, tables, strict=True)
            )
        return self._sums[without]

    def held_out(self, columns: np.ndarray, folds: np.ndarray, penalties: Penalties) -> np.ndarray:
        """Scores (n,) of each row by the model that did not see its fold."""
        scores = np.zeros(len(columns))
        for fold in np.unique(folds):
            scores[folds == fold] = columns[folds == fold] @ self.solve(penalties, without=parts_of(fold))
        return scores

    def best_penalties(self) -> Penalties:
        """The least weighted squared error within held-out subjects, by a search along one penalty after the other.

        The error of a fold needs its normal equations only: y'y - 2 b'right + b'left b.
        """

        folds = [parts_of(fold) for fold in range(FOLDS)]
        own = [(fold, self.left[[*fold]].sum(axis=0), self.right[[*fold]].sum(axis=0)) for fold in folds]
        informed = [(fold, left, right) for fold, left, right in own if left.any()]

        @cache  # each search comes by the best of the one before
        def loss(penalties: Penalties) -> float:
            error = 0.0
            for fold, left, right in informed:
                beta = self.solve(penalties, without=fold)
                error += float(beta @ left @ beta - 2 * beta @ right)
            return error

        best = Penalties(3.0, 1.0, 0.0)
        best = min((Penalties(best.embedding, best.surface, value) for value in _BETWEEN), key=loss)
        best = min((Penalties(value, best.surface, best.between) for value in _EMBEDDING), key=loss)
        return min((Penalties(best.embedding, value, best.between) for value in _SURFACE), key=loss)


LATE_PARTS = range(FOLDS, 2 * FOLDS)


def parts_of(fold: int) -> tuple[int, int]:
    """The parts of a fold: among the earlier subjects, and among those met last."""
    return int(fold), int(fold) + FOLDS


def _normal(rows: np.ndarray, weights: np.ndarray, response: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted normal equations in double precision; the product of the rows keeps theirs, which halves its time."""
    weighted = rows * np.sqrt(weights).astype(rows.dtype)[:, None]
    return (weighted.T @ weighted).astype(float), (rows.T @ (weights * response).astype(rows.dtype)).astype(float)


def _centred(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    means = subject_sums(group, values) / np.bincount(group)[:, None].astype(values.dtype)
    return values - means[group]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
