"""What a text is worth before anybody has met it: a reward model of texts, learned within subjects.

Here: fitting, calibration, cross-validation by whole subjects and by time, and what the model card says.
Not here: reading a text (text_features, model.text_embedding) and what a prediction is used for: it is the prior
of a fresh variant (allocation), never the judge of a release.

Two variants of one subject differ by their texts alone, so the model is a ridge regression of log ratios within
subjects (log_rates, text_ridge), one penalty for the embedding and one for the surface features. What it is worth is
measured on subjects that it did not see, and its scores are scaled by what they were worth there.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from orchestration.learning.texts.log_rates import Within, within_subjects
from orchestration.learning.texts.reward_card import accuracy_on, strongest, weak_where
from orchestration.learning.texts.text_features import FEATURE_NAMES
from orchestration.learning.texts.text_ridge import FOLDS, LATE_PARTS, TextRidge, parts_of

WINDOW = 40_000
_SAME_WITHIN = 0.05  # a feature that varies less than this within subjects, against between, is left out


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
    **options: Any,
) -> RewardModel:
    """The model of `fit_with_held_out`, with the same arguments."""
    return fit_with_held_out(subject, embeddings, features, units, rewards, **options)[0]


def fit_with_held_out(
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
) -> tuple[RewardModel, np.ndarray]:
    """Fit on one row per subject and text: totals over turns, so that a text counts once.

    Returns the model, and the score (n,) of every row by a model that did not see the row's fold.

    subject (n,) any labels; embeddings (n, d); features (n, p); units, rewards (n,); `turn` (n,) orders rows in time
    (the last one in which the text was met) for the temporal check and for the window of the newest `window` rows.
    `fold` (n,) keeps a subject in one fold of cross-validation; by default subjects are dealt in order of appearance.
    `scale` is log_rates.dispersion. Without two informative subjects the model stays at zero, and its card says so.
    """
    turn = np.zeros(len(units)) if turn is None else turn
    newest = np.sort(np.argsort(turn, kind="stable")[-window:])
    codes, appeared = _codes(subject[newest])
    turns = np.unique(turn[newest], return_inverse=True)[1]
    folds = appeared[codes] % FOLDS if fold is None else fold[newest] % FOLDS
    fold_of = np.zeros(len(units), dtype=int) if fold is None else fold % FOLDS
    fold_of[newest] = folds
    data, used = within_subjects(codes, units[newest].astype(float), rewards[newest].astype(float), 0.0, scale)
    if len(np.unique(folds[used])) < 2:
        unfitted = RewardModel(feature_names=feature_names, card={"rows": len(newest), "fitted": False})
        return unfitted, np.zeros(len(units))
    order = np.argsort(data.subject, kind="stable")
    data = Within(data.subject[order], data.effect[order], data.noise[order])
    rows = newest[used][order]
    folds, turns, codes = folds[used][order], turns[used][order], data.subject
    counts, earned = units[rows].astype(float), rewards[rows].astype(float)
    width = embeddings.shape[1]
    columns = np.hstack([embeddings[rows], features[rows]], dtype=np.float32, casting="same_kind")
    columns -= columns.mean(axis=0, dtype=float).astype(np.float32)
    unit = _unit(data, columns, width)
    columns /= unit

    effect_spread = data.spread()
    levels = np.log(np.bincount(codes, earned) / np.bincount(codes, counts))
    late = _late(codes, turns)
    parts = folds + FOLDS * late
    ridge = TextRidge.of(data, columns, parts, turns, levels, spread=effect_spread, width=width)
    penalties = ridge.best_penalties()
    held_out = ridge.held_out(columns, folds, penalties)
    slope, slope_error = calibration(data, held_out, effect_spread)
    spread = data.spread(slope * held_out)
    scaled = slope * ridge.solve(penalties)
    coefficients = scaled / unit
    every = np.ones(len(rows), dtype=bool)
    by_time = columns @ ridge.solve(penalties, without=LATE_PARTS) if late.any() else held_out
    card = {
        "fitted": True,
        "rows": len(rows),
        "subjects": len(levels),
        "units": float(counts.sum()),
        "rewards": float(earned.sum()),
        "turns": len(np.unique(turns)),
        "penalties": asdict(penalties),
        "calibration_slope": slope,
        "calibration_slope_error": slope_error,
        "effect_sd": float(np.sqrt(effect_spread)),
        "residual_sd": float(np.sqrt(spread)),
        "explained": 1 - spread / effect_spread if effect_spread > 0 else 0.0,
        "held_out_subjects": accuracy_on(every, codes, counts, earned, held_out),
        "held_out_turns": accuracy_on(late, codes, counts, earned, by_time) if late.any() else None,
        "strongest_features": strongest(scaled[width:], feature_names),
        "weak_where": weak_where(codes, counts, earned, held_out, _lengths(features[rows], feature_names)),
    }
    model = RewardModel(
        tuple(coefficients[:width].tolist()),
        tuple(coefficients[width:].tolist()),
        feature_names,
        float(np.sqrt(max(spread, 1e-4))),
        card,
    )
    scores = np.zeros(len(units))
    for part in np.unique(fold_of):
        unseen = slope * ridge.solve(penalties, without=parts_of(part)) / unit
        mine = fold_of == part
        scores[mine] = embeddings[mine] @ unseen[:width] + features[mine] @ unseen[width:]
    return model, scores


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


def _codes(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n,) of labels, and for every code its place in order of appearance."""
    _, first, codes = np.unique(labels, return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=int)
    order[np.argsort(first)] = np.arange(len(first))
    return codes, order


def _unit(data: Within, columns: np.ndarray, width: int) -> np.ndarray:
    """What each column (p,) is divided by: embeddings keep their geometry, features become of spread one.

    A feature that hardly varies within subjects is divided away: no difference within a subject could test it.
    """
    unit = np.ones(columns.shape[1], dtype=columns.dtype)
    between = columns[:, width:].std(axis=0)
    within = data.centred(columns[:, width:], np.ones(len(columns))).std(axis=0)
    unit[width:] = np.where(within > np.maximum(_SAME_WITHIN * between, 1e-8), between, np.inf)
    return unit


def _late(subject: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Mask (n,) of the subjects met in the last fifth of the turns; nobody when that leaves none before."""
    last = turns.max() + 1 - max(1, (turns.max() + 1) // 5)
    late = np.isin(subject, np.unique(subject[turns >= last]))
    return late if not late.all() else np.zeros(len(subject), dtype=bool)


def _lengths(features: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    return features[:, names.index("length")] if "length" in names else np.zeros(len(features))
