"""Decisions as the flywheel logs them, for tests: what is left out is what does not matter there."""

import json
from datetime import date, timedelta

import numpy as np
import polars as pl

FIRST = date(2026, 1, 5)


def day(turn):
    return FIRST + timedelta(weeks=turn)


def parts_of(names):
    return {name: dict(zip(("offer", "line"), name.split("-"), strict=False)) for name in names}


def decisions_of(turn, *, chances, chosen, rewards, names=None, parts=None, subjects=None, pools=None, features=None):
    """One turn of n decisions among k options: `chances` (n, k), `chosen` (n,), -1 in the holdout, `rewards` (n,)."""
    n, k = chances.shape
    names = names or [f"o{index}" for index in range(k)]
    held_out = np.asarray(chosen) < 0
    subjects = subjects or [f"t{turn}-{row}" for row in range(n)]
    return pl.DataFrame(
        {
            "turn": [day(turn)] * n,
            "decision_id": [f"t{turn:03d}-{row:06d}" for row in range(n)],
            "subject_id": subjects,
            "category": pools or ["all"] * n,
            "context": [json.dumps(of) for of in (features or [{}] * n)],
            "options": [json.dumps(dict(zip(names, row, strict=True))) for row in np.asarray(chances).tolist()],
            "option_parts": [json.dumps(parts or parts_of(names))] * n,
            "option": [None if out else names[index] for out, index in zip(held_out, chosen, strict=True)],
            "propensity": np.where(held_out, 1.0, chances[np.arange(n), chosen]),
            "in_holdout": held_out,
            "reward": np.asarray(rewards, dtype=float),
            "units": np.ones(n, dtype=int),
            "fold": [sum(map(ord, subject)) % 5 for subject in subjects],
        },
        schema_overrides={"option": pl.String},
    )


def picked(rng, chances):
    """Indices drawn row by row with the probabilities (n, k)."""
    return (chances.cumsum(axis=1) > rng.random(len(chances))[:, None]).argmax(axis=1)
