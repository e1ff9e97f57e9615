"""What a text is worth before anybody has met it: a reward model of texts, learned within subjects.

Here: fitting, calibration, cross-validation by whole subjects and by time, and what the model card says.
Not here: reading a text (text_features, resources.text_embedding) and what a prediction is used for: it is the prior
of a fresh variant (allocation), never the judge of a release.

Two variants of one subject differ by their texts alone, so the model is a ridge regression of log ratios within
subjects (log_rates), with one penalty for the embedding and one for the surface features, both chosen by
cross-validation over whole subjects. The normal equations of the folds add up to those of the whole, so that a fit
with its validation reads the rows a few times only.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from orchestration.learning.log_rates import Within, within_subjects
from orchestration.learning.pairs import pairwise_accuracy
from orchestration.learning.text_features import FEATURE_NAMES

FOLDS = 5
WINDOW = 40_000
_PENALTIES = tuple(10.0**power for power in (-2.5, -1.75, -1.0, -0.25, 0.5, 1.25))  # times the mean information
_ROUNDS = 2  # of iteratively reweighted least squares: the working response moves little after the second


@dataclass(frozen=True)
class RewardModel:
    """A linear score of texts. The difference of two scores is the expected log ratio of their reward rates.

    `residual_sd` is the spread of true log ratios around the score: the prior's uncertainty for a fresh variant.
    """

    embedding_coefficients: tuple[float, ...] = ()
    feature_coefficients: tuple[float, ...] = ()
    feature_names: tuple[str, ...] = FEATURE_NAMES
    residual_sd: float = 0.3
    card: Mapping[str, object] = field(default_factory=dict)

    def predict(self, embeddings: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Scores (n,) on the log scale of embeddings (n, d) and features (n, len(feature_names)).

        All zero before the first fit. Raises ValueError when the columns are not those that it was fitted on.
        """
        if not self.feature_coefficients:
            return np.zeros(len(features))
        for what, given, known in (
            ("embedding", embeddings.shape[1], len(self.embedding_coefficients)),
            ("features", features.shape[1], len(self.feature_coefficients)),
        ):
            if given != known:
                raise ValueError(f"The model was fitted on {known} columns of {what}, not {given}: fit it again.")
        return embeddings @ np.array(self.embedding_coefficients) + features @ np.array(self.feature_coefficients)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "RewardModel":
        values = json.loads(text)
        for name in ("embedding_coefficients", "feature_coefficients", "feature_names"):
            values[name] = tuple(values[name])
        return cls(**values)


def fit_reward_model(
    subject: np.ndarray,
    embeddings: np.ndarray,
    features: np.ndarray,
    units: np.ndarray,
    rewards: np.ndarray,
    *,
    turn: np.ndarray | None = None,
    fold: np.ndarray | None = None,
    scale: float = 1.0,
    feature_names: tuple[str, ...] = FEATURE_NAMES,
    window: int = WINDOW,
) -> RewardModel:
    """Fit on one row per subject and text: totals over turns, so that a text counts once.

    subject (n,) any labels; embeddings (n, d); features (n, p); units, rewards (n,); `turn` (n,) orders rows in time
    (the last one in which the text was met) for the temporal check and for the window of the newest `window` rows.
    `fold` (n,) keeps a subject in one fold of cross-validation; by default subjects are dealt in order of appearance.
    `scale` is log_rates.dispersion. Without two informative subjects the model stays at zero, and its card says so.
    """
    turn = np.zeros(len(units)) if turn is None else turn
    newest = np.sort(np.argsort(turn, kind="stable")[-window:])
    codes, order = _codes(subject[newest])
    turns = np.unique(turn[newest], return_inverse=True)[1]
    folds = order[codes] % FOLDS if fold is None else fold[newest] % FOLDS
    data, used = within_subjects(codes, units[newest].astype(float), rewards[newest].astype(float), 0.0, scale)
    if len(np.unique(folds[used])) < 2:
        return RewardModel(feature_names=feature_names, card={"rows": len(newest), "fitted": False})
    rows = newest[used]
    folds, turns, codes = folds[used], turns[used], codes[used]
    columns = np.hstack([embeddings[rows], features[rows]]).astype(float)
    inverse_sd = 1.0 / np.maximum(columns.std(axis=0), 1e-8)
    inverse_sd[columns.std(axis=0) < 1e-8] = 0.0
    columns = (columns - columns.mean(axis=0)) * inverse_sd
    width = embeddings.shape[1]

    spread = data.spread()
    raw_spread = spread
    held_out = np.zeros(len(rows))
    penalties = np.empty(0)
    for _ in range(_ROUNDS):
        data, _kept = within_subjects(codes, units[rows].astype(float), rewards[rows].astype(float), held_out, scale)
        grams = _Grams.of(data, columns, folds, spread)
        if not len(penalties):
            penalties = grams.best_penalties(folds, width)
        held_out = grams.held_out(columns, folds, penalties)
        slope, slope_error = calibration(data, held_out, spread)
        held_out = slope * held_out
        spread = data.spread(held_out)
    coefficients = grams.solve(penalties) * inverse_sd * slope
    temporal = _temporal(data, columns, turns, spread, penalties)
    card = {
        "fitted": True,
        "rows": len(rows),
        "subjects": len(np.unique(codes)),
        "units": float(units[rows].sum()),
        "rewards": float(rewards[rows].sum()),
        "turns": len(np.unique(turns)),
        "penalties": {"embedding": penalties[0], "features": penalties[-1]},
        "calibration_slope": slope,
        "calibration_slope_error": slope_error,
        "effect_sd": float(np.sqrt(raw_spread)),
        "residual_sd": float(np.sqrt(spread)),
        "explained": 1 - spread / raw_spread if raw_spread > 0 else 0.0,
        "held_out_subjects": pairwise_accuracy(codes, units[rows], rewards[rows], held_out).as_dict(),
        "held_out_turns": temporal_card(codes, units[rows], rewards[rows], temporal),
        "strongest_features": _strongest(coefficients[width:] / np.maximum(inverse_sd[width:], 1e-12), feature_names),
        "weak_where": _weak_where(codes, units[rows], rewards[rows], held_out, features[rows], feature_names),
    }
    return RewardModel(
        tuple(coefficients[:width].tolist()),
        tuple(coefficients[width:].tolist()),
        feature_names,
        float(np.sqrt(max(spread, 1e-4))),
        card,
    )


def calibration(data: Within, predicted: np.ndarray, spread: float) -> tuple[float, float]:
    """Slope of true on predicted log ratios within subjects, and its standard error: the weight that predictions earn.

    predicted (n,) must come from models that did not see the row's subject. The slope is kept within [0, 1.5].
    """
    weights = data.weights(spread)
    centred = data.centred(predicted, weights)
    information = float((weights * centred**2).sum())
    if information <= 0:
        return 0.0, float("inf")
    slope = float((weights * centred * data.effect).sum()) / information
    return min(max(slope, 0.0), 1.5), information**-0.5


@dataclass(frozen=True)
class _Grams:
    """Normal equations by fold: `left` (folds, p, p) and `right` (folds, p)."""

    left: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, data: Within, columns: np.ndarray, folds: np.ndarray, spread: float) -> "_Grams":
        root = np.sqrt(data.weights(spread))
        rows = data.centred(columns, root**2) * root[:, None]
        response = data.effect * root
        parts = [(rows[folds == fold], response[folds == fold]) for fold in range(FOLDS)]
        return cls(np.stack([part.T @ part for part, _ in parts]), np.stack([part.T @ y for part, y in parts]))

    def solve(self, penalties: np.ndarray, without: int | None = None) -> np.ndarray:
        from scipy.linalg import solve

        left, right = self.left.sum(axis=0), self.right.sum(axis=0)
        if without is not None:
            left, right = left - self.left[without], right - self.right[without]
        return solve(left + np.diag(penalties), right, assume_a="pos", check_finite=False)

    def held_out(self, columns: np.ndarray, folds: np.ndarray, penalties: np.ndarray) -> np.ndarray:
        """Scores (n,) of each row by the model that did not see its fold."""
        scores = np.zeros(len(columns))
        for fold in np.unique(folds):
            scores[folds == fold] = columns[folds == fold] @ self.solve(penalties, without=fold)
        return scores

    def best_penalties(self, folds: np.ndarray, width: int) -> np.ndarray:
        """Penalties (p,) with the least weighted squared error on held-out folds: coordinate search over two blocks.

        The first `width` columns are the embedding. The error of a fold needs its normal equations only:
        y'y - 2 b'right + b'left b.
        """
        size = self.left.shape[1]
        information = float(np.trace(self.left.sum(axis=0))) / size

        def penalties(embedding: float, surface: float) -> np.ndarray:
            return information * np.r_[np.full(width, embedding), np.full(size - width, surface)]

        def loss(blocks: tuple[float, float]) -> float:
            error = 0.0
            for fold in np.unique(folds):
                beta = self.solve(penalties(*blocks), without=fold)
                error += beta @ self.left[fold] @ beta - 2 * beta @ self.right[fold]
            return float(error)

        best = (_PENALTIES[3], _PENALTIES[3])
        best = min(((value, best[1]) for value in _PENALTIES), key=loss)
        best = min(((best[0], value) for value in _PENALTIES), key=loss)
        return penalties(*best)


def _codes(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n,) of labels, and for every code its place in order of appearance."""
    _, first, codes = np.unique(labels, return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=int)
    order[np.argsort(first)] = np.arange(len(first))
    return codes, order


def _temporal(
    data: Within, columns: np.ndarray, turns: np.ndarray, spread: float, penalties: np.ndarray
) -> np.ndarray | None:
    """Scores (n,) of the last fifth of the turns by a model of the others; nan elsewhere; None for one turn."""
    last = turns.max() - max(1, (turns.max() + 1) // 5) + 1 if turns.max() > 0 else 0
    late_subjects = np.unique(data.subject[turns >= last])
    late = np.isin(data.subject, late_subjects)
    if turns.max() == 0 or not (~late).any():
        return None
    grams = _Grams.of(data, columns, np.where(late, 1, 0), spread)
    scores = np.full(len(columns), np.nan)
    scores[late] = columns[late] @ grams.solve(penalties, without=1)
    return scores


def temporal_card(
    subject: np.ndarray, units: np.ndarray, rewards: np.ndarray, scores: np.ndarray | None
) -> dict[str, object] | None:
    """Pairwise accuracy on subjects of the last turns by a model of earlier ones; None when there is one turn."""
    if scores is None:
        return None
    late = ~np.isnan(scores)
    return pairwise_accuracy(subject[late], units[late], rewards[late], scores[late]).as_dict()


def _strongest(effects: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """Effect on the log rate of one standard deviation more of a surface feature, the ten strongest."""
    order = np.argsort(-np.abs(effects))[:10]
    return {names[index]: float(effects[index]) for index in order}


def _weak_where(
    subject: np.ndarray,
    units: np.ndarray,
    rewards: np.ndarray,
    scores: np.ndarray,
    features: np.ndarray,
    names: tuple[str, ...],
) -> dict[str, object]:
    """Held-out accuracy on the parts where a reader would doubt it: the third of short, middle and long subjects."""
    if "length" not in names:
        return {}
    lengths = np.bincount(subject, features[:, names.index("length")]) / np.maximum(np.bincount(subject), 1)
    edges = np.quantile(lengths[subject], [1 / 3, 2 / 3])
    part = np.digitize(lengths[subject], edges)
    return {
        name: pairwise_accuracy(
            subject[part == index], units[part == index], rewards[part == index], scores[part == index]
        ).as_dict()
        for index, name in enumerate(("short texts", "middle texts", "long texts"))
    }
