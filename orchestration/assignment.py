"""Which variant a unit meets: the rule that the application, the sandbox and ingestion share.

Here: the hash that turns a unit into a point, and the walk along a release's shares.
Not here: how shares are set (allocation) and where exposures come from (graph.assets.landing).
"""

import hashlib
from collections.abc import Sequence

POINT_DIGITS = 13  # 52 bits: exact in a double


def point(salt: str, unit: str) -> float:
    """A number in [0, 1) that depends on salt and unit alone: uniform over units, the same for ever."""
    digest = hashlib.sha256(f"{salt}:{unit}".encode()).hexdigest()
    return int(digest[:POINT_DIGITS], 16) / 16**POINT_DIGITS


def holdout_salt(loop: str) -> str:
    """Salt of a loop's holdout: one for all subjects and turns, so that a unit held out stays so."""
    return f"{loop}:holdout"


def subject_salt(loop: str, subject_id: str) -> str:
    """Salt of a subject: the same over turns, so that few units change variant when shares move."""
    return f"{loop}:{subject_id}"


def in_holdout(loop: str, unit: str, holdout: float) -> bool:
    """Whether the unit always gets the control."""
    return point(holdout_salt(loop), unit) < holdout


def chosen(shares: Sequence[float], at: float) -> int:
    """Index of the interval of [0, 1) that holds `at`, the intervals being `shares` in order.

    Raises ValueError unless the shares sum to 1. The last positive share also takes what rounding leaves.
    """
    if abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"Shares must sum to 1, not {sum(shares):.6f}.")
    edge = 0.0
    last = 0
    for index, share in enumerate(shares):
        if share <= 0:
            continue
        edge += share
        last = index
        if at < edge:
            return index
    return last
