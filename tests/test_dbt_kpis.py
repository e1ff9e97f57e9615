"""KPIs that dbt computes, by example: what counts for what, and what never does.

Every example is a loop of its own, and one build computes them all.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import polars as pl
import pytest

from tests.turn_facts import CLICK, COMPLAINT, NEXT, PURCHASE, TURN, TurnFacts

HALVES = {"original": 0.5, "playful": 0.5}
RATES = {"none": (0, 7), "some": (3, 11), "all": (11, 11)}
GIVEN: dict[str, Callable[[TurnFacts], None]] = {}


def given(facts_of: Callable[[TurnFacts], None]) -> Callable[[TurnFacts], None]:
    """Registers an example; its name is that of its loop."""
    GIVEN[facts_of.__name__] = facts_of
    return facts_of


@pytest.fixture(scope="module")
def kpis(tmp_path_factory: pytest.TempPathFactory) -> TurnFacts:
    facts = TurnFacts(tmp_path_factory.mktemp("examples"))
    for loop, facts_of in GIVEN.items():
        facts.loop = loop
        facts.declare(CLICK, PURCHASE, COMPLAINT)
        facts_of(facts)
    releases, met, clicks = _many_wheels()
    for loop in range(LOOPS):
        facts.pending["outcome_definitions"].append(
            {"loop": str(loop), "outcome": "click", "within_s": CLICK[1], "is_reward": True}
        )
    for table, rows in (("releases", releases), ("exposures", met), ("outcomes", clicks)):
        facts.append(table, rows)
    facts.build(TURN, NEXT)
    return facts


@given
def late(facts: TurnFacts) -> None:
    facts.release("s1", HALVES)
    facts.release("s1", HALVES, turn=NEXT)
    facts.expose("ann", "s1", "playful", "2026-01-11 20:00", segment=None)
    facts.expose("ann", "s1", "playful", "2026-01-11 21:00")
    facts.expose("bob", "s1", "playful", "2026-01-06 09:00")
    facts.expose("cid", "s1", "original", "2026-01-06 09:00")
    facts.outcome("ann", "s1", "click", "2026-01-12 19:59", turn=NEXT)
    facts.outcome("bob", "s1", "click", "2026-01-06 08:59")  # before the first exposure
    facts.outcome("cid", "s1", "click", "2026-01-07 09:01")  # a minute after its window of a day


def test_a_click_counts_within_its_window_for_the_turn_of_its_exposure(kpis: TurnFacts) -> None:
    playful = kpis.only("variant_readouts", loop="late", turn=TURN, variant_id="playful")
    assert (playful["exposures"], playful["units"], playful["reward"], playful["rate"]) == (3, 2, 1.0, 0.5)
    original = kpis.only("variant_readouts", loop="late", turn=TURN, variant_id="original")
    assert (original["units"], original["reward"], original["rate"]) == (1, 0.0, 0.0)
    following = kpis.mart("variant_readouts", loop="late", turn=NEXT)
    assert len(following) == 2
    assert all(row["units"] == 0 and row["rate"] is None for row in following)


@given
def two_variants(facts: TurnFacts) -> None:
    facts.release("s1", HALVES)
    facts.expose("ann", "s1", "original", "2026-01-06 09:00")
    facts.expose("ann", "s1", "playful", "2026-01-06 10:00")
    facts.expose("bob", "s1", "playful", "2026-01-06 09:00")
    facts.outcome("ann", "s1", "click", "2026-01-06 11:00")


def test_a_unit_that_met_two_variants_is_excluded_and_counted(kpis: TurnFacts) -> None:
    rows = kpis.mart("variant_readouts", loop="two_variants")
    sums = {name: sum(row[name] for row in rows) for name in ("excluded_units", "units", "reward", "exposures")}
    assert sums == {"excluded_units": 1, "units": 1, "reward": 0, "exposures": 3}
    assert kpis.only("momentum", loop="two_variants")["treated_units"] == 1


@given
def held(facts: TurnFacts) -> None:
    facts.release("s1", HALVES)
    for number in range(20):
        facts.expose(f"held{number}", "s1", "original", "2026-01-06 09:00", in_holdout=True)
        facts.expose(f"free{number}", "s1", "playful", "2026-01-06 09:00")
    for number in range(5):
        facts.outcome(f"held{number}", "s1", "click", "2026-01-06 10:00")
    for number in range(10):
        facts.outcome(f"free{number}", "s1", "click", "2026-01-06 10:00")


def test_the_holdout_is_compared_with_and_never_part_of_a_readout(kpis: TurnFacts) -> None:
    assert kpis.only("variant_readouts", loop="held", variant_id="original")["units"] == 0
    momentum = kpis.only("momentum", loop="held")
    assert (momentum["treated_rate"], momentum["holdout_rate"], momentum["lift"]) == (0.5, 0.25, 1.0)
    assert momentum["lift_low"] < 1 < momentum["lift_high"]
    assert momentum["no_lift_reason"] is None
    ratio = kpis.only("holdout_ratios", loop="held")
    assert (ratio["units"], ratio["holdout_units"], ratio["treated_units"], ratio["observed_share"]) == (40, 20, 0, 0.5)
    sides = {row["side"]: row["converted"] for row in kpis.mart("turn_kpis", loop="held", outcome="click")}
    assert sides == {"holdout": 5, "variant": 10}


@given
def amounts(facts: TurnFacts) -> None:
    facts.release("s1", HALVES)
    facts.expose("ann", "s1", "playful", "2026-01-06 09:00", simulated=True)
    facts.outcome("ann", "s1", "purchase", "2026-01-06 10:00", value=12.5, outcome_id="one")
    facts.outcome("ann", "s1", "purchase", "2026-01-12 08:00", value=12.5, outcome_id="one", turn=NEXT)
    facts.outcome("ann", "s1", "purchase", "2026-01-12 08:30", value=7.5, outcome_id="two", turn=NEXT)


def test_amounts_are_summed_once_an_event_and_only_where_an_outcome_has_them(kpis: TurnFacts) -> None:
    purchase = kpis.only("variant_outcomes", loop="amounts", variant_id="playful", outcome="purchase")
    assert (purchase["converted"], purchase["value"], purchase["rate"]) == (1, 20.0, 1.0)
    complaint = kpis.only("variant_outcomes", loop="amounts", variant_id="playful", outcome="complaint")
    assert (complaint["converted"], complaint["value"], complaint["is_guardrail"]) == (0, None, True)
    readout = kpis.only("variant_readouts", loop="amounts", variant_id="playful")
    assert readout["reward"] == 0, "a purchase is not what is learned from"


@pytest.mark.parametrize(
    "mart",
    ["variant_readouts", "variant_outcomes", "experiment_readouts", "sample_ratios", "holdout_ratios", "turn_kpis",
     "momentum"],
)  # fmt: skip
def test_a_simulated_event_labels_its_loop_and_no_other(kpis: TurnFacts, mart: str) -> None:
    assert {row["simulated"] for row in kpis.mart(mart, loop="amounts")} == {True}
    assert {row["simulated"] for row in kpis.mart(mart, loop="held")} == {False}


@given
def rates(facts: TurnFacts) -> None:
    for subject, (clicks, units) in RATES.items():
        facts.release(subject, {"original": 1.0})
        for number in range(units):
            facts.expose(f"u{number}", subject, "original", "2026-01-06 09:00")
        for number in range(clicks):
            facts.outcome(f"u{number}", subject, "click", "2026-01-06 09:00")


@pytest.mark.parametrize("subject", RATES)
def test_the_interval_of_a_rate_is_that_of_wilson(kpis: TurnFacts, subject: str) -> None:
    from scipy.stats import binomtest

    row = kpis.only("variant_readouts", loop="rates", subject_id=subject)
    expected = binomtest(*RATES[subject]).proportion_ci(method="wilson")
    assert (row["rate_low"], row["rate_high"]) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given
def uneven(facts: TurnFacts) -> None:
    facts.release("s1", {"original": 0.2, "playful": 0.5, "sober": 0.3})
    for variant, units in (("original", 30), ("playful", 40), ("sober", 30)):
        for number in range(units):
            facts.expose(f"{variant}{number}", "s1", variant, "2026-01-06 09:00")
            if (variant == "playful" and number < 10) or (variant == "original" and number < 3):
                facts.outcome(f"{variant}{number}", "s1", "click", "2026-01-06 09:00")


def test_a_sample_ratio_is_that_of_pearson(kpis: TurnFacts) -> None:
    from scipy.stats import chisquare

    ratio = kpis.only("sample_ratios", loop="uneven")
    expected = chisquare([30, 40, 30], [20, 50, 30])
    assert ratio["chi_square"] == pytest.approx(expected.statistic)
    assert (ratio["degrees_of_freedom"], ratio["units"], ratio["least_expected_units"]) == (2, 100, 20.0)


def test_an_experiment_compares_its_best_variant_with_the_control(kpis: TurnFacts) -> None:
    row = kpis.only("experiment_readouts", loop="uneven")
    assert (row["best_variant_id"], row["best_recipe_id"], row["variants"]) == ("playful", "recipe of playful", 2)
    spread = 1.959963984540054 * np.sqrt((1 - 0.25) / (40 * 0.25) + (1 - 0.1) / (30 * 0.1))
    expected = (1.5, 2.5 * np.exp(-spread) - 1, 2.5 * np.exp(spread) - 1)
    assert (row["lift"], row["lift_low"], row["lift_high"]) == pytest.approx(expected)


LOOPS, UNITS, SUBJECTS, LIFT = 300, 400, 5, 0.25


@cache
def _many_wheels() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Releases, exposures and clicks of LOOPS independent wheels with a known lift.

    Units differ much in how readily they click and each meets three subjects, so that rewards of a unit go together.
    """
    random = np.random.default_rng(11)
    loop = np.repeat(np.arange(LOOPS), UNITS * 3)
    unit = np.tile(np.repeat(np.arange(UNITS), 3), LOOPS)
    subject = np.concatenate([random.permutation(SUBJECTS)[:3] for _ in range(LOOPS * UNITS)])
    readiness = np.repeat(random.choice([0.2, 2.6], size=LOOPS * UNITS, p=[0.7, 0.3]), 3)
    held = np.repeat(random.random(LOOPS * UNITS) < 0.25, 3)
    base = np.array([0.05, 0.08, 0.12, 0.16, 0.2])[subject]
    clicked = random.random(len(loop)) < base * readiness * np.where(held, 1, 1 + LIFT)
    met = pl.DataFrame(
        {
            "turn": [TURN] * len(loop),
            "loop": loop.astype(str),
            "exposure_id": np.arange(len(loop)).astype(str),
            "subject_id": subject.astype(str),
            "variant_id": np.where(held, "original", "playful"),
            "unit_id": unit.astype(str),
            "segment": ["all"] * len(loop),
            "occurred_at": ["2026-01-06 09:00"] * len(loop),
            "in_holdout": held,
            "simulated": [True] * len(loop),
        }
    )
    clicks = met.filter(pl.Series(clicked)).select(
        "turn",
        "loop",
        "subject_id",
        "unit_id",
        "occurred_at",
        "simulated",
        pl.col("exposure_id").alias("outcome_id"),
        pl.lit("click").alias("outcome"),
    )
    variants = pl.DataFrame({"variant_id": ["original", "playful"], "is_control": [True, False], "share": [0.1, 0.9]})
    releases = (
        met.select("turn", "loop", "subject_id").unique().join(variants, how="cross").with_columns(holdout=pl.lit(0.25))
    )
    return releases, met, clicks


def _oracle(met: pl.DataFrame, clicks: pl.DataFrame) -> tuple[float, float, float]:
    """Lift and interval of one wheel, by matrices of units and subjects instead of SQL."""
    pairs = met.join(clicks.select("unit_id", "subject_id", y=1.0), on=["unit_id", "subject_id"], how="left")
    shape = (UNITS, SUBJECTS)
    index = pairs["unit_id"].cast(int).to_numpy(), pairs["subject_id"].cast(int).to_numpy()
    seen, reward, held = np.zeros(shape), np.zeros(shape), np.zeros(UNITS, bool)
    seen[index] = 1
    reward[index] = pairs["y"].fill_null(0).to_numpy()
    held[index[0]] = pairs["in_holdout"].to_numpy()
    sides = {side: (seen[held == side], reward[held == side]) for side in (False, True)}
    counts = {side: met_by.sum(axis=0) for side, (met_by, _) in sides.items()}
    weight = counts[False] * counts[True] / (counts[False] + counts[True])
    rate, variance = {}, 0.0
    for side, (met_by, got) in sides.items():
        rates = got.sum(axis=0) / counts[side]
        rate[side] = (weight * rates).sum() / weight.sum()
        scale = weight / counts[side] * np.sqrt(counts[side] / (counts[side] - 1))
        influence = ((got - met_by * rates) * scale).sum(axis=1) / (weight * rates).sum()
        variance += (influence**2).sum()
    ratio = rate[False] / rate[True]
    spread = 1.959963984540054 * np.sqrt(variance)
    return ratio - 1, ratio * np.exp(-spread) - 1, ratio * np.exp(spread) - 1


def test_the_interval_of_momentum_covers_the_truth_although_units_meet_several_subjects(kpis: TurnFacts) -> None:
    momentum = kpis.warehouse.read("select * from marts.momentum").filter(~pl.col("loop").is_in(list(GIVEN)))
    assert momentum.height == LOOPS
    covered = momentum.select(pl.lit(LIFT).is_between("lift_low", "lift_high")).to_series().mean()
    assert 0.92 <= covered <= 0.98
    assert momentum["lift"].log1p().mean() == pytest.approx(np.log1p(LIFT), abs=0.02)


@pytest.mark.parametrize("loop", ["0", "17", "123"])
def test_momentum_agrees_with_matrices(kpis: TurnFacts, loop: str) -> None:
    _, met, clicks = _many_wheels()
    mine = [rows.filter(pl.col("loop") == loop) for rows in (met, clicks)]
    row = kpis.only("momentum", loop=loop)
    assert (row["lift"], row["lift_low"], row["lift_high"]) == pytest.approx(_oracle(*mine), abs=1e-8)
