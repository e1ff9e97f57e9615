"""What a fresh variant is expected to do, before it has met anyone: predictions, weighed by what they were worth.

Here: the weights that predictions (of a text model, of a recipe policy) earned on subjects with results, the spread
they leave, and the level of subjects; together the prior that allocation starts from.
Not here: where predictions come from (reward_model, recipe_policy) and what is done with the prior (allocation).
"""

import json
from dataclasses import asdict, dataclass

import numpy as np

from orchestration.learning.texts.log_rates import within_subjects

_ROUNDS = 3
_LEVEL_SUBJECTS = 200  # levels drift, so the newest subjects tell what the next ones start from


@dataclass(frozen=True)
class VariantPrior:
    """Log ratio of a fresh variant to its subject's level: normal, mean `weights` times predictions, sd `spread`.

    A subject's log level is normal with `level_mean` and `level_sd`. `weight_errors` are standard errors.
    """

    weights: tuple[float, ...] = ()
    weight_errors: tuple[float, ...] = ()
    spread: float = 0.2
    level_mean: float = -4.0
    level_sd: float = 2.0
    subjects: int = 0

    def mean(self, predictions: np.ndarray) -> np.ndarray:
        """Prior means (n,) for predictions (n, p) of log ratios; 0 before anything was learned."""
        return predictions @ np.array(self.weights) if self.weights else np.zeros(len(predictions))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "VariantPrior":
        values = json.loads(text)
        values["weights"], values["weight_errors"] = tuple(values["weights"]), tuple(values["weight_errors"])
        return cls(**values)


def fit_variant_prior(
    subject: np.ndarray,
    units: np.ndarray,
    rewards: np.ndarray,
    predictions: np.ndarray,
    *,
    turn: np.ndarray | None = None,
    scale: float = 1.0,
) -> VariantPrior:
    """Estimate weights, spread and level from subjects with results.

    subject (n,) codes; units, rewards (n,); predictions (n, p) log ratios made without the subject's own results
    (cross-fitted), or the weights come out too large. Weights start from N(0, 1) each, so that a prediction nobody
    has tested counts for nothing and one that holds soon counts for what it is worth. The level is that of the newest
    200 subjects by `turn` (n,), of all where it is not given.
    """
    width = predictions.shape[1]
    weights, errors, spread = np.zeros(width), np.ones(width), VariantPrior.spread
    codes, used = subject, np.zeros(len(subject), dtype=bool)
    for _ in range(_ROUNDS):
        data, used = within_subjects(codes, units.astype(float), rewards.astype(float), predictions @ weights, scale)
        if not used.any():
            break
        precision = data.weights(spread**2)
        columns = data.centred(predictions[used], precision)
        left = (columns * precision[:, None]).T @ columns + np.eye(width)
        covariance = np.linalg.inv(left)
        weights = covariance @ ((columns * precision[:, None]).T @ data.effect)
        errors = np.sqrt(np.diag(covariance))
        found = data.spread(predictions[used] @ weights)
        freedom = len(data.subject) - len(np.unique(data.subject))
        # worth of one subject pair for the default, so that a handful of rows cannot claim that texts do not matter
        spread = float(np.sqrt((found * freedom + VariantPrior.spread**2) / (freedom + 1)))
    newest = np.ones(len(codes), dtype=bool) if turn is None else _newest(codes, turn)
    level_mean, level_sd = _level(codes[newest], units[newest], rewards[newest], scale)
    return VariantPrior(
        tuple(weights.tolist()),
        tuple(errors.tolist()),
        spread,
        level_mean,
        level_sd,
        len(np.unique(codes[used])),
    )


def _newest(subject: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Mask (n,) of the rows of the subjects met last."""
    last = np.full(int(subject.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(last, subject, np.unique(turn, return_inverse=True)[1])
    known = np.unique(subject)
    return np.isin(subject, known[np.argsort(-last[known], kind="stable")[:_LEVEL_SUBJECTS]])


def _level(subject: np.ndarray, units: np.ndarray, rewards: np.ndarray, scale: float) -> tuple[float, float]:
    """Mean and sd of subjects' log levels: a gamma fitted to rates by moments, seen on the log scale.

    var(rate) = mean^2 * shape^-1 + scale * mean / units, hence shape; sd(log rate) ~ sqrt(log(1 + 1 / shape)).
    """
    exposed = np.bincount(subject, units)
    earned = np.bincount(subject, np.maximum(rewards, 0.0))
    met = exposed > 0
    if met.sum() < 2 or earned.sum() <= 0:
        return VariantPrior.level_mean, VariantPrior.level_sd
    exposed, earned = exposed[met], earned[met]
    mean = earned.sum() / exposed.sum()
    excess = ((earned - mean * exposed) ** 2 - scale * mean * exposed).sum() / (mean**2 * (exposed**2).sum())
    variance = float(np.log1p(max(excess, 1e-3)))
    return float(np.log(mean) - variance / 2), float(np.sqrt(variance))
