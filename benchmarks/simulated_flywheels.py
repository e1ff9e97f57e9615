"""Simulated flywheels for the benchmark `evidence`: what a champion that draws evenly would have logged.

Here: the world, its evidence, a challenger that learns, and how often it is promoted.
Not here: the tests themselves (orchestration.learning) and what is reported (evidence).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from orchestration.learning.policies.choice import Context
from orchestration.learning.policies.recipe_policy import probability_best
from orchestration.learning.proof.comparison import Policy, compare
from orchestration.learning.proof.evidence import better_than_champion, decide, enough_overlap
from orchestration.learning.proof.paired_estimate import looks
from orchestration.learning.proof.power import Design

FIRST = date(2026, 1, 5)
CATEGORIES = 6


@dataclass(frozen=True)
class Table:
    """A policy that chooses alike for every category."""

    chances: dict[str, float]

    def probabilities(self, context: Context) -> dict[str, float]:  # noqa: ARG002
        return self.chances


def names(design: Design) -> list[str]:
    return [f"recipe-{number}" for number in range(design.recipes)]


def even(design: Design) -> Table:
    """The champion."""
    return Table(dict.fromkeys(names(design), 1 / design.recipes))


def favourite(design: Design) -> Table:
    """The challenger that knows the best recipe, the first."""
    chances = np.full(design.recipes, design.exploration / design.recipes)
    chances[0] += 1 - design.exploration
    return Table(dict(zip(names(design), chances.tolist(), strict=True)))


def gap_for(design: Design, lift: float) -> float:
    """How much better the first recipe must be, relative, for its favourite policy to be worth `lift` more."""
    mass = 1 - design.exploration + design.exploration / design.recipes
    return lift / (mass - (1 + lift) / design.recipes)


def evidence_of(design: Design, gap: float, turns: int, rng: np.random.Generator) -> pl.DataFrame:
    """Rows of evidence: new subjects every turn, `gap` the relative advantage of the first recipe."""
    shape = (turns, design.subjects)
    drawn = rng.random((*shape, design.recipes)).argsort(axis=-1)[..., : design.briefs]
    shares = [design.control_share] + [(1 - design.control_share) / design.briefs] * design.briefs
    met = rng.multinomial(rng.poisson(design.treated_units, shape), shares)
    spread = design.subject_spread
    level = design.base_rate * np.exp(spread * rng.standard_normal(shape) - spread**2 / 2)[..., None]
    text = design.text_spread * rng.standard_normal(drawn.shape) - design.text_spread**2 / 2
    rates = np.concatenate([level, level * np.where(drawn == 0, 1 + gap, 1.0) * np.exp(text)], axis=-1)
    rewards = rng.binomial(met, np.minimum(rates, 1.0)).astype(float)
    turn, subject, arm = (index.ravel() for index in np.indices(met.shape))
    recipe = np.concatenate([np.full((*shape, 1), -1), drawn], axis=-1).ravel()
    label = pl.Series([*names(design), None], dtype=pl.String)
    return pl.DataFrame(
        {
            "turn": pl.Series(turn, dtype=pl.Int32),
            "subject_id": turn * 100_000 + subject,
            "arm": arm,
            "format": np.full(len(turn), "headline"),
            "category": np.char.add("category-", (subject % CATEGORIES).astype(str)),
            "is_control": arm == 0,
            "recipe_id": label[np.where(recipe < 0, design.recipes, recipe)],
            "units": met.ravel(),
            "reward": rewards.ravel(),
            "reward_squares": rewards.ravel(),
            "share": np.array(shares)[arm],
            "recipe_propensity": np.where(arm == 0, np.nan, design.briefs / design.recipes),
            "fold": subject % 5,
        }
    ).with_columns(
        turn=pl.lit(FIRST) + pl.col("turn") * timedelta(weeks=1),
        subject_id=pl.col("subject_id").cast(pl.String),
        variant_id=pl.format("{}-{}", "subject_id", "arm"),
        recipe_propensity=pl.col("recipe_propensity").fill_nan(None),
    )


def learner(design: Design) -> Callable[[pl.DataFrame], Policy]:
    """A challenger as light as 40,000 fits need: Thompson's rule on rates of recipes within subjects.

    Levels of subjects and ratios of recipes are fitted in turns (a Poisson model with two factors).
    """
    order = names(design)
    place = pl.DataFrame({"recipe_id": order, "recipe": np.arange(1, len(order) + 1)})
    weight = 1 / design.subject_spread**2

    def fit(evidence: pl.DataFrame) -> Policy:
        rows = evidence.join(place, on="recipe_id", how="left")
        recipe = rows["recipe"].fill_null(0).to_numpy()
        subject = rows["subject_id"].rank("dense").to_numpy().astype(int) - 1
        units, reward = rows["units"].to_numpy().astype(float), rows["reward"].to_numpy()
        overall = reward.sum() / max(units.sum(), 1.0)
        level = np.full(subject.max() + 1, overall)
        ratio = np.ones(len(order) + 1)
        earned, met = np.bincount(subject, reward), np.bincount(recipe, reward, minlength=len(ratio))
        for _ in range(4):
            expected = np.bincount(subject, units * ratio[recipe])
            level = overall * (earned + weight) / (overall * expected + weight)
            ratio = (met + 1) / (np.bincount(recipe, units * level[subject], minlength=len(ratio)) + 1)
        texts = np.bincount(recipe, minlength=len(ratio))
        sd = np.sqrt(1 / (met + 1) + design.text_spread**2 / np.maximum(texts, 1))
        best = probability_best(np.log(ratio[1:]), sd[1:])
        chances = (1 - design.exploration) * best + design.exploration / len(order)
        return Table(dict(zip(order, chances.tolist(), strict=True)))

    return fit


@dataclass(frozen=True)
class Fate:
    """First turn (1, 2, ...) at which each rule would have promoted; 0 for never.

    `ours` is the decision with its bound for ever; `planned` the group-sequential bound; `either_side`
    and `above` a z test at 5 % at every turn, two-sided and one-sided.
    """

    ours: int
    planned: int
    either_side: int
    above: int


def fate(
    design: Design,
    gap: float,
    turns: int,
    rng: np.random.Generator,
    fit: Callable[[pl.DataFrame], Policy],
) -> Fate:
    """One flywheel, decided upon after every turn as the promotion does."""
    evidence = evidence_of(design, gap, turns, rng)
    last = FIRST + timedelta(weeks=turns - 1)
    increments = compare(evidence, fit, even(design), last, control_share=design.control_share).increments
    course = looks(increments)
    z = np.array([look.value / look.standard_error if look.standard_error > 0 else 0.0 for look in course])
    decided = [decide([enough_overlap(look), better_than_champion(look)]).promoted for look in course]
    ended = [look.low > 0 for look in looks(increments, planned=len(increments))]
    return Fate(_turn(decided), _turn(ended), _turn(np.abs(z) > 1.959964), _turn(z > 1.644854))


def _turn(flags: "np.ndarray | list[bool]") -> int:
    hits = np.flatnonzero(np.asarray(flags))
    return int(hits[0]) + 2 if len(hits) else 0  # the first look is at the second turn
