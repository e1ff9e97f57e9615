"""Named values as columns of numbers: what a model of rewards sees of subjects and of options.

Here: which columns there are, learned once from rows, and rows turned into them.
Not here: which columns are multiplied with which and what they are worth (product_model).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from orchestration.learning.policies.choice import Value

Floats = NDArray[np.float64]
INTERCEPT = "1"


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """One column of ones, one for each level of a category, and one standardised for each number.

    `levels` lists the levels of each category; a level that is not listed has zeros. `numbers` holds (middle, width,
    whether the logarithm is taken) of each number; a number that is missing counts as the middle.
    """

    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    numbers: Mapping[str, tuple[float, float, bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        levels = {name: tuple(of) for name, of in sorted(self.levels.items())}
        numbers = {name: (float(m), float(w), bool(log)) for name, (m, w, log) in sorted(self.numbers.items())}
        if any(width <= 0 for _, width, _ in numbers.values()):
            raise ValueError("The width of a number must be above zero: leave out numbers that never vary.")
        object.__setattr__(self, "levels", MappingProxyType(levels))
        object.__setattr__(self, "numbers", MappingProxyType(numbers))

    def __reduce__(self) -> tuple:
        return _encoding, (dict(self.levels), dict(self.numbers))

    @property
    def groups(self) -> tuple[str, ...]:
        """The name that each column belongs to, (m,): columns of one category share a group."""
        of_levels = [name for name, levels in self.levels.items() for _ in levels]
        return (INTERCEPT, *of_levels, *(f"log {name}" if log else name for name, (_, _, log) in self.numbers.items()))

    def columns(self, rows: Sequence[Mapping[str, Value]]) -> Floats:
        """The rows as an array (n, m)."""
        made = np.zeros((len(rows), len(self.groups)))
        made[:, 0] = 1.0
        start = 1
        for name, levels in self.levels.items():
            place = {level: start + index for index, level in enumerate(levels)}
            hits = [place.get(row.get(name), -1) for row in rows]  # type: ignore[arg-type]
            at = np.array(hits, dtype=int)
            seen = np.flatnonzero(at >= 0)
            made[seen, at[seen]] = 1.0
            start += len(levels)
        for name, (middle, width, log) in self.numbers.items():
            read = np.array([_number(row.get(name)) for row in rows])
            if log:
                read = np.log(np.maximum(read, 1e-12))
            made[:, start] = np.nan_to_num((read - middle) / width, nan=0.0)
            start += 1
        return made

    def unknown(self, row: Mapping[str, Value]) -> list[tuple[str, str]]:
        """The (name, level) of the row's categories that no column stands for."""
        return [
            (name, value)
            for name, value in row.items()
            if isinstance(value, str) and value not in self.levels.get(name, ())
        ]

    def as_json(self) -> dict[str, object]:
        return {
            "levels": {name: list(levels) for name, levels in self.levels.items()},
            "numbers": {name: list(of) for name, of in self.numbers.items()},
        }

    @classmethod
    def from_values(cls, read: Mapping[str, Mapping]) -> "Encoding":
        return cls(levels={name: tuple(of) for name, of in read["levels"].items()}, numbers=read["numbers"])


def learn_encoding(rows: Iterable[Mapping[str, Value]], *, at_most: int = 24, logs: bool = False) -> Encoding:
    """The columns that the rows need: the `at_most` most frequent levels of each category, numbers that vary.

    With `logs`, numbers that are always positive, such as prices, enter as logarithms.
    """
    counts: dict[str, dict[str, int]] = {}
    numbers: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, str):
                of = counts.setdefault(name, {})
                of[value] = of.get(value, 0) + 1
            else:
                numbers.setdefault(name, []).append(float(value))
    levels = {
        name: tuple(sorted(sorted(of, key=lambda level: (-of[level], level))[:at_most])) for name, of in counts.items()
    }
    scaled = {}
    for name, seen in numbers.items():
        read = np.array(seen)
        log = logs and bool((read > 0).all())
        if log:
            read = np.log(read)
        width = float(read.std())
        if width > 1e-9:
            scaled[name] = (_rounded(float(read.mean())), _rounded(width), log)
    return Encoding(levels=levels, numbers=scaled)


def _number(value: object) -> float:
    return value if isinstance(value, float) else float(value) if isinstance(value, int) else np.nan


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")


def _encoding(levels: Mapping[str, tuple[str, ...]], numbers: Mapping[str, tuple[float, float, bool]]) -> Encoding:
    return Encoding(levels=levels, numbers=numbers)
