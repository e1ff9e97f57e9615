"""What a reward model says about itself: what it saw, what it is worth on held-out subjects, where it is weak.

Here: the contents of the model card, as plain values that go into JSON.
Not here: the fit (reward_model) and where the card is kept (registry.tracking).
"""

import numpy as np

from orchestration.learning.texts.pairs import pairwise_accuracy


def accuracy_on(
    rows: np.ndarray, subject: np.ndarray, units: np.ndarray, rewards: np.ndarray, scores: np.ndarray
) -> dict[str, object]:
    """Pairwise accuracy of scores (n,) on the significant pairs among `rows` (a mask), with its interval."""
    return pairwise_accuracy(subject[rows], units[rows], rewards[rows], scores[rows]).as_dict()


def strongest(effects: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """Effect on the log rate of one standard deviation more of a surface feature, the ten strongest."""
    order = np.argsort(-np.abs(effects))[:10]
    return {names[index]: float(effects[index]) for index in order}


def weak_where(
    subject: np.ndarray,
    units: np.ndarray,
    rewards: np.ndarray,
    scores: np.ndarray,
    lengths: np.ndarray,
) -> dict[str, object]:
    """Accuracy where a reader would doubt it: subjects of short, middle and long texts, and those with few rewards."""
    count = np.maximum(np.bincount(subject), 1)
    length = (np.bincount(subject, lengths) / count)[subject]
    part = np.digitize(length, np.quantile(length, [1 / 3, 2 / 3]))
    earned = (np.bincount(subject, rewards) / count)[subject]
    parts = {
        "short texts": part == 0,
        "middle texts": part == 1,
        "long texts": part == 2,
        "few rewards": earned <= np.median(earned),
        "many rewards": earned > np.median(earned),
    }
    return {name: accuracy_on(rows, subject, units, rewards, scores) for name, rows in parts.items()}
