"""Which option a subject gets, by what is known of the subject: beliefs about parts of options, pools and features.

Here: the policy as a value, fitted on logged decisions, and its choice probabilities.
Not here: columns (encoding, option_columns), the posterior (product_model), reading decisions (decision_rows), and
prices (prices).

Every option is a sum of its parts, each worth something in general, in a pool, and by each feature of a subject. How
much each kind of difference matters is estimated from the same decisions, so that what does not matter costs little.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from orchestration.learning.policies.choice import Context, Option, Value, canonical
from orchestration.learning.policies.decision_rows import read_decisions
from orchestration.learning.policies.encoding import INTERCEPT, Encoding
from orchestration.learning.policies.option_columns import (
    CONTROL,
    GUESSES,
    ITSELF,
    POOL,
    all_products,
    choice_columns,
    encodings,
    guess,
    subject_values,
    with_itself,
)
from orchestration.learning.policies.product_model import Link, Products, mean_reward, posterior
from orchestration.learning.policies.quasi_random import DRAWS, normals, normals_of

Floats = NDArray[np.float64]
EXPLORATION = 0.01
BOLDNESS = 0.3


@dataclass(frozen=True, kw_only=True)
class ContextualPolicy:
    """Beliefs about what each option earns from each subject; a value that is never changed, only replaced.

    `mean` are coefficients of the products of option columns and subject columns, and `factor` the rows of a lower
    triangular matrix whose square is the covariance of those that can change a choice. `unit` is what a reward of 1 in
    the model is worth. `horizon_left` counts the turns left that the policy will choose in, None when there is no end.
    """

    options: Encoding = Encoding()
    subjects: Encoding = Encoding()
    link: Link = "identity"
    unit: float = 1.0
    mean: tuple[float, ...] = ()
    factor: tuple[tuple[float, ...], ...] = ()
    spreads: Mapping[str, float] = field(default_factory=dict)
    exploration: float = EXPLORATION
    horizon_left: int | None = None
    trained_on: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.exploration <= 1:
            raise ValueError(f"exploration must lie in (0, 1], not {self.exploration}: propensities may not be 0.")
        if self.horizon_left is not None and self.horizon_left < 1:
            raise ValueError(f"horizon_left counts the next turn, so it is at least 1, not {self.horizon_left}.")
        object.__setattr__(self, "spreads", MappingProxyType(dict(sorted(self.spreads.items()))))
        object.__setattr__(self, "trained_on", MappingProxyType(dict(sorted(self.trained_on.items()))))
        if self.mean and len(self.mean) != len(self._products.option):
            raise ValueError("The coefficients do not fit the columns: build the policy with fit_contextual.")

    def __reduce__(self) -> tuple:
        return ContextualPolicy.from_json, (self.to_json(),)

    @classmethod
    def first(cls, *, exploration: float = EXPLORATION, horizon_left: int | None = None) -> "ContextualPolicy":
        """The policy before any evidence: every option is as likely as any other."""
        return cls(exploration=exploration, horizon_left=horizon_left)

    def probabilities(self, context: Context) -> dict[str, float]:
        """Probability of each option: that it is the best for this subject, evened out. See `probabilities_all`."""
        return self.probabilities_all([context])[0]

    def probabilities_all(self, contexts: Sequence[Context]) -> list[dict[str, float]]:
        """Thompson's rule for many contexts at once, each answer keyed by option_id and summing to 1.

        How often each option has the highest expected reward over 256 fixed quasi-random draws of the coefficients,
        mixed with `exploration` of even choice: every option has at least exploration / number of options. A turn is
        one batch: all of its decisions are drawn from the same beliefs, and a hundredth of them is evidence enough on
        an option that looks a little worse. So draws deviate from the mean by 0.3 of what is in doubt, by all of it
        for a part never seen; with an end in sight by less, and in the last turn, which teaches nobody, not at all.
        Raises ValueError when a context offers nothing.
        """
        made: list[dict[str, float]] = [{} for _ in contexts]
        for options, rows in _by_options(contexts):
            names = [option.option_id for option in options]
            chances = self._chances(options, [subject_values(contexts[row]) for row in rows])
            for row, chance in zip(rows, chances.tolist(), strict=True):
                made[row] = dict(zip(names, chance, strict=True))
        return made

    def expected(self, context: Context) -> dict[str, float]:
        """Expected reward of each option for the subject, in reward units, keyed by option_id."""
        return dict(zip((o.option_id for o in context.options), self.expected_all([context])[0].tolist(), strict=True))

    def expected_all(self, contexts: Sequence[Context]) -> list[Floats]:
        """Expected rewards of the options of each context, in the order of `context.options`."""
        made: list[Floats] = [np.empty(0)] * len(contexts)
        for options, rows in _by_options(contexts):
            earned = self._expected(self._parts(options), [subject_values(contexts[row]) for row in rows])
            for row, of in zip(rows, earned, strict=True):
                made[row] = of
        return made

    def expected_of_control(self, contexts: Sequence[Context]) -> Floats:
        """Expected reward (n,) of the control, in reward units; the level of all options where none was held out."""
        return self._expected([{CONTROL: CONTROL}], [subject_values(context) for context in contexts])[:, 0]

    def to_json(self) -> str:
        """Canonical JSON: the same policy gives the same bytes."""
        return canonical(
            {
                "kind": "contextual",
                "options": self.options.as_json(),
                "subjects": self.subjects.as_json(),
                "link": self.link,
                "unit": self.unit,
                "mean": list(self.mean),
                "factor": [list(row) for row in self.factor],
                "spreads": dict(self.spreads),
                "exploration": self.exploration,
                "horizon_left": self.horizon_left,
                "trained_on": dict(self.trained_on),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "ContextualPolicy":
        read = json.loads(text)
        if read.pop("kind", None) != "contextual":
            raise ValueError("This is not a contextual policy: its kind says otherwise.")
        read["options"], read["subjects"] = (Encoding.from_values(read[name]) for name in ("options", "subjects"))
        read["mean"], read["factor"] = tuple(read["mean"]), tuple(tuple(row) for row in read["factor"])
        return cls(**read)

    @cached_property
    def _products(self) -> Products:
        return all_products(self.options, self.subjects)[0]

    @cached_property
    def _choice_columns(self) -> NDArray[np.int64]:
        return choice_columns(self.options, self._products)

    @cached_property
    def _boldness(self) -> float:
        """What deviations of draws from the mean are multiplied with."""
        return BOLDNESS if self.horizon_left is None else float(BOLDNESS * np.sqrt(1 - 1 / self.horizon_left))

    @cached_property
    def _sampled(self) -> Floats:
        """Draws (s, d) of the coefficients, as far as they differ between options."""
        columns = self._choice_columns
        size = len(columns)
        lower = np.zeros((size, size))
        for index, row in enumerate(self.factor):
            lower[index, : len(row)] = row
        made = np.zeros((DRAWS, len(self.mean)))
        made[:, columns] = np.array(self.mean)[columns] + self._boldness * normals(size) @ lower.T
        return made

    def _parts(self, options: Sequence[Option]) -> list[Mapping[str, Value]]:
        return [with_itself(option, ITSELF in self.options.levels) for option in options]

    def _chances(self, options: Sequence[Option], subjects: Sequence[Mapping[str, Value]]) -> Floats:
        """Probabilities (n, k)."""
        count = len(options)
        if not self.mean or count == 1:
            return np.full((len(subjects), count), 1 / count)
        parts, z = self._parts(options), self.subjects.columns(subjects)
        slopes = self._products.by_option(self.options.columns(parts), self._sampled, z.shape[1])
        slopes[:, :, 0] += self._boldness / BOLDNESS * self._of_unknown(parts)
        flat = np.ascontiguousarray(slopes.reshape(DRAWS * count, -1).T.astype(np.float32))
        wins = np.empty((len(z), count))
        for start in range(0, len(z), 2048):
            scores = (z[start : start + 2048].astype(np.float32) @ flat).reshape(-1, DRAWS, count)
            best = scores.argmax(axis=2) + count * np.arange(len(scores))[:, None]
            wins[start : start + 2048] = np.bincount(best.ravel(), minlength=count * len(scores)).reshape(-1, count)
        return (1 - self.exploration) * wins / DRAWS + self.exploration / count

    def _expected(self, parts: Sequence[Mapping[str, Value]], subjects: Sequence[Mapping[str, Value]]) -> Floats:
        """Expected rewards (n, k)."""
        if not self.mean:
            return np.zeros((len(subjects), len(parts)))
        z = self.subjects.columns(subjects)
        slopes = self._products.by_option(self.options.columns(parts), np.array(self.mean), z.shape[1])
        score = z @ slopes.T
        return self.unit * mean_reward(score, self.link)

    def _of_unknown(self, parts: Sequence[Mapping[str, Value]]) -> Floats:
        """Draws (s, k) of what parts never seen are worth: equal parts the same, each with its group's spread."""
        made = np.zeros((DRAWS, len(parts)))
        for column, of in enumerate(parts):
            for name, level in self.options.unknown(of):
                spread = self.spreads.get(f"{name} x {INTERCEPT}", self.spreads.get("part", 0.0))
                made[:, column] += spread * normals_of(name, level)
        return made


def fit_contextual(
    decisions: pl.DataFrame, *, exploration: float = EXPLORATION, horizon_left: int | None = None
) -> ContextualPolicy:
    """Beliefs from all decisions logged so far; columns as in decision_rows. Decisions without units teach nothing.

    Rewards of two values, one of them zero, are modelled by log odds; others as they are. Held out decisions say what
    the control earns. The same rows give the same policy, in whichever order they come.
    """
    rows = read_decisions(decisions)
    first = ContextualPolicy.first(exploration=exploration, horizon_left=horizon_left)
    seen = np.unique(rows.rewards)
    if not (rows.chosen >= 0).any() or len(seen) < 2:
        return first
    options, subjects = encodings(rows)
    link: Link = "logit" if len(seen) == 2 and seen.min() == 0 else "identity"
    unit = float(seen[np.abs(seen).argmax()]) if link == "logit" else 1.0
    products, names = all_products(options, subjects)
    size = 1.0 if link == "logit" else max(abs(float(rows.rewards.mean())), 0.1 * float(rows.rewards.std()))
    itself = ITSELF in options.levels
    parts = [with_itself(option, itself) for option in rows.catalogue]
    found = posterior(
        products,
        options.columns([*parts, {CONTROL: CONTROL}]),
        subjects.columns([{POOL: pool, **of} for pool, of in zip(rows.pools, rows.features, strict=True)]),
        np.where(rows.chosen >= 0, rows.chosen, len(parts)),
        rows.rewards / unit,
        link=link,
        spreads=np.array([size * guess(name) for name in names]),
        fixed=np.array([name == f"{INTERCEPT} x {INTERCEPT}" for name in names]),
    )
    choice = choice_columns(options, products)
    doubt = found.covariance[np.ix_(choice, choice)] + 1e-12 * size**2 * np.eye(len(choice))
    lower = np.asarray(np.linalg.cholesky(doubt), dtype=np.float64)
    least = float(np.sqrt(np.diag(found.covariance)).min())
    return ContextualPolicy(
        options=options,
        subjects=subjects,
        link=link,
        unit=unit,
        mean=tuple(_rounded(found.mean, least / 100)),
        factor=tuple(tuple(_rounded(lower[row, : row + 1], least / 100)) for row in range(len(lower))),
        spreads={name: float(f"{of:.4g}") for name, of in zip(names, found.spreads, strict=True)}
        | {"part": float(f"{size * GUESSES['part']:.4g}")},
        exploration=exploration,
        horizon_left=horizon_left,
        trained_on={"decisions": len(rows), "subjects": len(set(rows.subjects))},
    )


def _by_options(contexts: Sequence[Context]) -> Iterable[tuple[tuple[Option, ...], list[int]]]:
    """Rows by what is on offer, so that options are encoded once for all contexts that share them."""
    same: dict[int, tuple[Option, ...]] = {}
    groups: dict[tuple[Option, ...], list[int]] = {}
    for row, context in enumerate(contexts):
        if not context.options:
            raise ValueError(f"Nothing to choose from in pool {context.pool!r}: a context needs options.")
        options = same.setdefault(id(context.options), context.options)
        groups.setdefault(options, []).append(row)
    return groups.items()


def _rounded(numbers: Floats, grain: float) -> list[float]:
    """To the power of ten at or below the grain: what is far below any doubt need not be written."""
    digits = int(np.ceil(-np.log10(grain)))
    return [float(number) + 0.0 for number in np.round(numbers, digits)]
