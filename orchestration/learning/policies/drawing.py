"""Drawing options with known probabilities: repeatable, and each with the propensity that it was drawn with.

Here: the draw of one or several options, by a point that is a hash.
Not here: the probabilities themselves (whatever chooses).
"""

from collections.abc import Mapping

import numpy as np

from orchestration.assignment import point


def draw(
    probabilities: Mapping[str, float], subject_id: str, turn: str, k: int, seed: int = 0
) -> list[tuple[str, float]]:
    """`k` different options for a subject (all, if there are fewer), each with its exact inclusion probability.

    Systematic sampling (Madow 1949) from a point that is a hash of seed, turn and subject: the same call gives the same
    answer, and over subjects an option is included as often as its propensity says.
    """
    salt = f"{seed}:{turn}:{subject_id}"
    order = sorted(probabilities, key=lambda option: point(f"order:{salt}", option))
    inclusion = inclusion_probabilities(np.array([probabilities[option] for option in order]), k)
    picked = systematic_sample(inclusion, point(f"recipes:{seed}:{turn}", subject_id))
    return [(order[index], float(inclusion[index])) for index in picked]


def inclusion_probabilities(probabilities: np.ndarray, k: int) -> np.ndarray:
    """Inclusion probabilities (n,) of a sample of `k`, proportional to `probabilities` where below 1; sum min(k, n)."""
    size = len(probabilities)
    if k >= size:
        return np.ones(size)
    certain = np.zeros(size, dtype=bool)
    while True:
        left = np.where(certain, 0.0, probabilities)
        inclusion = np.where(certain, 1.0, (k - certain.sum()) * left / left.sum())
        above = (inclusion > 1) & ~certain
        if not above.any():
            return inclusion
        certain |= above


def systematic_sample(inclusion: np.ndarray, start: float) -> list[int]:
    """Indices drawn at `start`, `start` + 1, ... along the cumulated inclusion probabilities; `start` in [0, 1)."""
    edges = np.cumsum(inclusion)
    size = round(float(edges[-1]))
    edges[-1] = size  # what rounding took from the last interval
    return np.searchsorted(edges, start + np.arange(size), side="right").tolist()
