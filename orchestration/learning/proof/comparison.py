"""A challenger's recipes against the champion's, on the same logged turns, honestly.

Here: the paired difference in value of two recipe policies, one increment a turn.
Not here: policies (recipe_policy), what increments prove together (paired_estimate), the decision (evidence).

The null that is tested: *no challenger so far was better than the champion*. Each turn brings one increment. Its
challenger was fitted on earlier turns alone and, where a subject comes back, without that subject's fold, so that the
increment's mean given the past is the true difference between the two policies on the turn's subjects, whatever was
learned from earlier increments. Sums of such increments are martingales around the sum of true differences, and a
bound on them holds at every turn at once. What is promoted is the challenger made by the same procedure from one
turn more. After a promotion the test starts anew against the new champion.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from orchestration.learning.policies.choice import Context, language_of
from orchestration.learning.policies.recipe_outcomes import fit_outcomes
from orchestration.learning.proof.paired_estimate import Increment, PairedEstimate, accumulate

Floats = NDArray[np.float64]


class Policy(Protocol):
    """What chooses a recipe for a subject."""

    def probabilities(self, context: Context) -> Mapping[str, float]:
        """Probability of each recipe, keyed by recipe_id, for one brief; scaled to sum to 1 here."""
        ...


Fit = Callable[[pl.DataFrame], Policy]
Cell = tuple[int | None, str, str, str]
"""Subjects for whom a policy chooses alike: fold, pool, format and language."""


def compare(
    evidence: pl.DataFrame,
    fit: Fit,
    champion: Policy,
    turn: date | str,
    *,
    since: date | str | None = None,
    earlier: Sequence[Increment] = (),
    briefs: pl.DataFrame | None = None,
    alpha: float = 0.05,
    horizon: float = 5.0,
    planned: int | None = None,
    control_share: float = 0.10,
) -> PairedEstimate:
    """What all turns from `since` (the champion's first) to `turn` say about challengers made by `fit`.

    `evidence` has the columns of `flywheel.evidence`, of one loop. `fit` makes a policy from a part of it, and must
    depend on nothing else. Turns found in `earlier` (kept increments against the same champion) are not computed
    again. `briefs`, `planned`, `alpha`, `horizon`, `control_share` as in `increment` and `accumulate`.
    """
    last = _day(turn)
    first = _day(since) if since is not None else date.min
    known = {kept.turn: kept for kept in earlier}
    turns = sorted(day for day in evidence["turn"].unique().to_list() if first <= day <= last)
    computed = (
        known.get(day) or increment(evidence, fit, champion, day, briefs=briefs, control_share=control_share)
        for day in turns
    )
    return accumulate([made for made in computed if made is not None], alpha=alpha, horizon=horizon, planned=planned)


def increment(
    evidence: pl.DataFrame,
    fit: Fit,
    champion: Policy,
    turn: date | str,
    *,
    briefs: pl.DataFrame | None = None,
    control_share: float = 0.10,
) -> Increment | None:
    """The evidence of one turn; None when there is no earlier turn to fit a challenger on, or nothing new to judge.

    Doubly robust: an outcome model's difference, plus the inverse-propensity-weighted residuals of the recipes that
    were drawn. Only variants new in the turn count: those carried over were kept because they had done well.
    `briefs` (turn, subject_id, recipe_id, propensity) tells which recipes were drawn but not released; these are
    worth what the control earned. Leave out briefs that were deferred. Without it they count as not drawn.
    Source: Dudik, Langford and Li (2011), with the inclusion probabilities of Horvitz and Thompson (1952).
    """
    day = _day(turn)
    past, now = evidence.filter(pl.col("turn") < day), evidence.filter(pl.col("turn") == day)
    if past.is_empty() or now.is_empty():
        return None
    drawn = _drawn(past, now, briefs.filter(pl.col("turn") == day) if briefs is not None else None)
    subjects = (
        now.group_by("subject_id", maintain_order=True)
        .agg(
            pl.col("category", "format", "fold").first(),
            pl.col("units").sum(),
            control_reward=pl.col("reward").filter(pl.col("is_control")).sum(),
            control_units=pl.col("units").filter(pl.col("is_control")).sum(),
        )
        .filter(pl.col("units") > 0)
        .join(drawn.select("subject_id").unique(), on="subject_id", how="semi")
        .with_row_index("row")
    )
    if subjects.is_empty():
        return None
    drawn = drawn.join(subjects.select("subject_id", "row", traffic="units"), on="subject_id", how="inner")

    new, old, recipes = _choices(subjects, past, fit, champion, drawn)
    outcomes = fit_outcomes(past)
    units = subjects["units"].to_numpy().astype(float)
    control_units = subjects["control_units"].to_numpy().astype(float)
    control = np.full(len(units), np.nan)
    np.divide(subjects["control_reward"].to_numpy(), control_units, out=control, where=control_units > 0)
    level = outcomes.levels(
        subjects["subject_id"].to_list(), subjects["category"].to_list(), control, control_share * units
    )
    ratio = outcomes.ratio(recipes)

    row, column = drawn["row"].to_numpy().astype(int), np.array([recipes.index(r) for r in drawn["recipe_id"]], int)
    expected = level[row] * ratio[column]
    observed = drawn["rate"].to_numpy()  # nan for what was drawn and not released: its units met the control
    observed = np.where(np.isnan(observed), np.where(np.isnan(control), level, control)[row], observed)
    residual = (observed - expected) / drawn["propensity"].to_numpy()

    def value(policy: Floats) -> Floats:
        corrections = np.bincount(row, weights=policy[row, column] * residual, minlength=len(units))
        return level * (policy @ ratio) + corrections

    champion_value = value(old)
    difference = units * (value(new) - champion_value)
    importance = new[row, column] / drawn["propensity"].to_numpy()
    weights = units * np.bincount(row, weights=importance, minlength=len(units)).astype(float)
    return Increment.of(day, units, difference, champion_value, weights)


def splits(evidence: pl.DataFrame, turn: date | str) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """The (training, judged) rows of `increment`, for the leakage check to look at; empty without an earlier turn."""
    day = _day(turn)
    past, now = evidence.filter(pl.col("turn") < day), evidence.filter(pl.col("turn") == day)
    return [] if past.is_empty() else [(train, judged) for _, train, judged in _splits(past, now)]


def _drawn(past: pl.DataFrame, now: pl.DataFrame, briefs: pl.DataFrame | None) -> pl.DataFrame:
    """What was drawn in the turn: (subject_id, recipe_id, propensity, rate); rate is null when not released."""
    met = now.filter(~pl.col("is_control"), pl.col("recipe_id").is_not_null(), pl.col("recipe_propensity") > 0)
    fresh = met.join(past.select("subject_id", "variant_id").unique(), on=["subject_id", "variant_id"], how="anti")
    keys = ["subject_id", "recipe_id"]
    if briefs is not None:
        asked = briefs.group_by(keys, maintain_order=True).agg(pl.col("propensity").first())
        # A text written again keeps its identity: it is the recipe's answer of this turn as much as a new one.
        again = met.join(fresh, on=keys, how="anti").join(asked, on=keys, how="semi")
        fresh = pl.concat([fresh.join(asked, on=keys, how="semi"), again])
    traffic = now.group_by("subject_id").agg(traffic=pl.col("units").sum())
    rates = (
        fresh.group_by(keys, maintain_order=True)
        .agg(pl.col("units", "reward", "share").sum(), propensity=pl.col("recipe_propensity").first())
        .join(traffic, on="subject_id")
        # A variant with a small share may meet nobody; being met at all is a part of being observed.
        .with_columns(met=1 - (1 - pl.col("share").fill_null(1.0).clip(0, 1)) ** pl.col("traffic"))
        .select(
            *keys,
            pl.col("units"),
            propensity=pl.col("propensity") * pl.col("met"),
            rate=pl.when(pl.col("units") > 0).then(pl.col("reward") / pl.col("units")),
        )
    )
    if briefs is not None:
        silent = asked.join(rates, on=keys, how="anti").select(
            *keys, units=pl.lit(None, pl.Int64), propensity="propensity", rate=pl.lit(None, pl.Float64)
        )
        rates = pl.concat([rates.with_columns(pl.col("units").cast(pl.Int64)), silent])
    observed = rates.filter(pl.col("units").is_null() | (pl.col("units") > 0)).drop("units")
    return observed.sort(keys)  # so that sums round alike every time


def _splits(past: pl.DataFrame, now: pl.DataFrame) -> list[tuple[int | None, pl.DataFrame, pl.DataFrame]]:
    """(fold, training rows, judged rows); fold is None for all judged rows whose folds need leave nothing out."""
    again = now.join(past.select("subject_id").unique(), on="subject_id", how="semi")
    folds = again["fold"].unique().sort().to_list()
    parts: list[tuple[int | None, pl.DataFrame, pl.DataFrame]] = [
        (fold, past.filter(pl.col("fold") != fold), now.filter(pl.col("fold") == fold)) for fold in folds
    ]
    unseen = now.filter(~pl.col("fold").is_in(folds))
    return parts if unseen.is_empty() else [*parts, (None, past, unseen)]


def _choices(
    subjects: pl.DataFrame, past: pl.DataFrame, fit: Fit, champion: Policy, drawn: pl.DataFrame
) -> tuple[Floats, Floats, list[str]]:
    """Probabilities (s, r) of the cross-fitted challenger and of the champion, and the recipes they are over.

    A subject is written for in one language, that of what was drawn for it: recipes of others have probability 0.
    """
    spoken = {subject: language_of(recipe) for subject, recipe in drawn.select("subject_id", "recipe_id").iter_rows()}
    fitted: dict[int | None, Policy] = {
        fold: fit(train) if not train.is_empty() else champion for fold, train, _ in _splits(past, subjects)
    }

    cells: dict[Cell, tuple[Mapping[str, float], Mapping[str, float]]] = {}
    keys = []
    for subject, fold, category, form in subjects.select("subject_id", "fold", "category", "format").iter_rows():
        key = (fold if fold in fitted else None, category, form, spoken[subject])
        keys.append(key)
        if key not in cells:
            cells[key] = (
                fitted[key[0]].probabilities(Context(pool=category, format=form)),
                champion.probabilities(Context(pool=category, format=form)),
            )
    recipes = sorted({recipe for pair in cells.values() for one in pair for recipe in one} | set(drawn["recipe_id"]))
    rows = {key: tuple(_scaled(_spoken(one, recipes, key[3]), key) for one in pair) for key, pair in cells.items()}
    return np.array([rows[key][0] for key in keys]), np.array([rows[key][1] for key in keys]), recipes


def _spoken(chances: Mapping[str, float], recipes: Sequence[str], language: str) -> Floats:
    """Chances of `recipes` in a language; of all of them where the policy knows none in it any more."""
    every = np.array([chances.get(recipe, 0.0) for recipe in recipes])
    own = np.where([language_of(recipe) == language for recipe in recipes], every, 0.0)
    return own if own.sum() > 0 else every


def _scaled(probabilities: Floats, key: Cell) -> Floats:
    total = probabilities.sum()
    if not total > 0 or np.any(probabilities < 0):
        raise ValueError(f"A policy gives no probabilities for category {key[1]!r} and format {key[2]!r}.")
    return probabilities / total


def _day(turn: date | str) -> date:
    return turn if isinstance(turn, date) else date.fromisoformat(turn)
