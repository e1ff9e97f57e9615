"""Reading a turn's outbox as an application would.

Here: the releases of one loop and turn, checked, and the variant that each unit is to meet.
Not here: who those units are and what they do (visits, sandbox).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestration.assignment import point


@dataclass(frozen=True)
class Variant:
    """A text that units may meet."""

    variant_id: str
    text: str
    share: float
    is_control: bool


@dataclass(frozen=True)
class Offer:
    """What the outbox says about one subject. `control` is the index of the original among `variants`."""

    loop: str
    subject_id: str
    unit: str
    category: str
    salt: str
    holdout_salt: str
    holdout_share: float
    variants: tuple[Variant, ...]
    control: int
    release_id: str | None = None

    def variant_at(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """Index of the variant for each of the points (n,) in [0, 1): `assignment.chosen` for many units at once."""
        shares = np.array([variant.share for variant in self.variants])
        edges = np.cumsum(shares)
        return np.minimum(np.searchsorted(edges, points, side="right"), np.flatnonzero(shares > 0)[-1])


def points(salt: str, units: Sequence[str]) -> NDArray[np.float64]:
    """`assignment.point` of every unit (n,)."""
    return np.fromiter((point(salt, unit) for unit in units), dtype=np.float64, count=len(units))


def read_outbox(file: Path, turn: str) -> tuple[Offer, ...]:
    """The offers of an outbox file in its order.

    Raises FileNotFoundError when nothing was released, and ValueError naming the line for anything that an
    application could not serve: another turn, shares that do not sum to 1, no control or more than one.
    """
    if not file.exists():
        raise FileNotFoundError(f"Nothing was released to {file}: run the job `produce` for turn {turn} first.")
    lines = file.read_text(encoding="utf-8").splitlines()
    offers = tuple(
        _offer(json.loads(line), turn, f"{file.name}, line {number}") for number, line in enumerate(lines, 1)
    )
    if not offers:
        raise ValueError(f"{file.name} is empty: no subject was released. Land subjects and produce turn {turn} again.")
    if len({(offer.loop, offer.unit, offer.holdout_salt) for offer in offers}) > 1:
        raise ValueError(f"{file.name} mixes loops, units or holdouts; an outbox file holds the releases of one loop.")
    if len({offer.subject_id for offer in offers}) < len(offers):
        raise ValueError(f"{file.name} names a subject twice.")
    return offers


def _offer(line: dict[str, Any], turn: str, where: str) -> Offer:
    variants = tuple(
        Variant(each["variant_id"], each["text"], float(each["share"]), bool(each["is_control"]))
        for each in line["variants"]
    )
    controls = [index for index, variant in enumerate(variants) if variant.is_control]
    if line["turn"] != turn:
        raise ValueError(
            f"{where} belongs to turn {line['turn']}, not {turn}: give the outbox file of the turn played."
        )
    if len(controls) != 1:
        raise ValueError(f"{where} has {len(controls)} controls; a release has one.")
    total = sum(variant.share for variant in variants)
    if abs(total - 1) > 1e-6 or min(variant.share for variant in variants) < 0:
        raise ValueError(f"{where}: shares must be at least 0 and sum to 1, not {total:.6f}.")
    return Offer(
        loop=line["loop"],
        subject_id=line["subject_id"],
        unit=line["unit"],
        category=line.get("category") or "",
        salt=line["salt"],
        holdout_salt=line["holdout"]["salt"],
        holdout_share=float(line["holdout"]["share"]),
        variants=variants,
        control=controls[0],
        release_id=line.get("release_id"),
    )
