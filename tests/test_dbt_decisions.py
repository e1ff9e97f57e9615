"""KPIs of decisions, by example: one answer for each subject, and trials without an audience.

Every example is a loop of its own, and one build computes them all.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from orchestration.warehouse.dbt import BuildFailedError
from tests.turn_facts import NEXT, TURN, TurnFacts

REPLY = ("reply", 7 * 86_400, True, False, False)
UNSUBSCRIBE = ("unsubscribe", 7 * 86_400, True, True, False, -2.0)
ORDER = ("order", 7 * 86_400, True, False, True, 0.5)
PASSED = ("passed", 60, True, False, False)
ROUNDS = ("rounds", 60, True, False, True, -0.25)
GIVEN: dict[str, tuple[tuple[Any, ...], Callable[[TurnFacts], None]]] = {}
Z95 = 1.959963984540054


def given(*outcomes: Any) -> Callable[[Callable[[TurnFacts], None]], Callable[[TurnFacts], None]]:
    """Registers an example with the outcomes of its loop; its name is that of the loop."""

    def register(facts_of: Callable[[TurnFacts], None]) -> Callable[[TurnFacts], None]:
        GIVEN[facts_of.__name__] = (outcomes, facts_of)
        return facts_of

    return register


@pytest.fixture(scope="module")
def kpis(tmp_path_factory: pytest.TempPathFactory) -> TurnFacts:
    facts = TurnFacts(tmp_path_factory.mktemp("decisions"))
    for loop, (outcomes, facts_of) in GIVEN.items():
        facts.loop = loop
        facts.declare(*outcomes)
        facts_of(facts)
    _append_many_trials(facts)
    facts.gather(TURN, NEXT)
    facts.build(TURN, NEXT, thorough=True)
    return facts


# Leads of three segments that answer more or less readily, four mails, a holdout of 5 % that gets the usual one. The
# policy has learned: it gives the best mail of a segment more often than the others.

SEGMENTS = {
    "enterprise": (0.05, 0.30, 0.10, 0.08),
    "midsize": (0.08, 0.12, 0.28, 0.10),
    "small": (0.03, 0.06, 0.08, 0.2),
}
MAILS = ("usual", "short", "story", "numbers")
LEADS, HELD = 40_000, 0.05


def mailing(seed: int) -> tuple[pl.DataFrame, pl.DataFrame, float, float]:
    """Decisions, events, and the true difference and lift over the holdout."""
    random = np.random.default_rng(seed)
    rates = np.array(list(SEGMENTS.values()))
    segment = random.choice(3, LEADS, p=[0.2, 0.3, 0.5])
    held = random.random(LEADS) < HELD
    best = rates.argmax(axis=1)
    drawn = np.where(random.random(LEADS) < 0.6, best[segment], random.integers(0, 4, LEADS))
    option = np.where(held, 0, drawn)
    chance = 0.1 + 0.6 * (option == best[segment])
    replied = random.random(LEADS) < rates[segment, option]
    lead = [f"lead {number}" for number in range(LEADS)]
    names = np.array(MAILS)[option]
    decisions = pl.DataFrame(
        {
            "turn": [TURN] * LEADS,
            "decision_id": [f"decision {number}" for number in range(LEADS)],
            "subject_id": lead,
            "format": ["mail"] * LEADS,
            "category": np.array(list(SEGMENTS))[segment],
            "stratum": np.array(list(SEGMENTS))[segment],
            "option": pl.Series(names).set(pl.Series(held), None),
            "propensity": np.where(held, 1.0, chance),
            "is_control": held,
            "in_holdout": held,
            "delivered": ~held,
            "variant_id": [f"{name} for {subject}" for name, subject in zip(names, lead, strict=True)],
            "holdout": [HELD] * LEADS,
            "decided_at": [f"{TURN} 06:00"] * LEADS,
        }
    )
    met = decisions.select(
        "turn", "subject_id", "variant_id", "in_holdout", unit_id="subject_id", event_type=pl.lit("exposure")
    )
    replies = met.filter(pl.Series(replied)).with_columns(event_type=pl.lit("reply"))
    events = pl.concat([met, replies]).with_columns(
        occurred_at=pl.when(pl.col("event_type") == "exposure")
        .then(pl.lit("2026-01-06 09:00"))
        .otherwise(pl.lit("2026-01-07 09:00")),
        event_id=pl.col("event_type") + " of " + pl.col("subject_id"),
        simulated=pl.lit(True),
    )
    treated = 0.6 * rates.max(axis=1) + 0.4 * rates.mean(axis=1)
    shares = np.array([0.2, 0.3, 0.5])  # with one holdout share everywhere, strata weigh what they hold
    mean, control = shares @ treated, shares @ rates[:, 0]
    return decisions, events, mean - control, mean / control - 1


def mail(facts: TurnFacts, seed: int) -> None:
    decisions, events, _, _ = mailing(seed)
    for table, rows in (("decisions", decisions), ("events", events)):
        facts.append(table, rows.with_columns(loop=pl.lit(facts.loop)))


@given(REPLY)
def mails(facts: TurnFacts) -> None:
    mail(facts, 1)


def test_forty_thousand_decisions_have_a_lift_over_the_holdout(kpis: TurnFacts) -> None:
    *_, difference, lift = mailing(1)
    assert lift == pytest.approx(2.94, abs=0.01)
    momentum = kpis.only("momentum", loop="mails")
    assert momentum["treated_pairs"] + momentum["holdout_pairs"] == LEADS
    assert momentum["no_lift_reason"] is None
    assert momentum["lift_low"] < lift < momentum["lift_high"]
    assert momentum["lift_low"] > 1.5, "the interval is far from zero"
    assert momentum["difference_low"] < difference < momentum["difference_high"]
    assert momentum["difference_high"] - momentum["difference_low"] < 0.03
    assert momentum["simulated"]


def test_the_momentum_of_decisions_agrees_with_sums_by_hand(kpis: TurnFacts) -> None:
    decisions, events, _, _ = mailing(1)
    replied = events.filter(pl.col("event_type") == "reply").select("subject_id", y=1.0)
    rows = decisions.join(replied, on="subject_id", how="left").with_columns(pl.col("y").fill_null(0))
    weights, rates, variances = [], {False: [], True: []}, {False: 0.0, True: 0.0}
    for (_,), pool in rows.group_by("stratum"):
        sides = {side: pool.filter(pl.col("in_holdout") == side)["y"].to_numpy() for side in (False, True)}
        weight = len(sides[False]) * len(sides[True]) / len(pool)
        weights.append(weight)
        for side, rewards in sides.items():
            rates[side].append(rewards.mean())
            variances[side] += weight**2 * rewards.var(ddof=1) / len(rewards)
    mean = {side: np.average(found, weights=weights) for side, found in rates.items()}
    of_mean = {side: variance / sum(weights) ** 2 for side, variance in variances.items()}
    difference, spread = mean[False] - mean[True], Z95 * np.sqrt(sum(of_mean.values()))
    log_spread = Z95 * np.sqrt(sum(of_mean[side] / mean[side] ** 2 for side in of_mean))
    ratio = mean[False] / mean[True]
    momentum = kpis.only("momentum", loop="mails")
    assert [momentum[name] for name in ("difference", "difference_low", "difference_high")] == pytest.approx(
        [difference, difference - spread, difference + spread], abs=1e-9
    )
    assert [momentum[name] for name in ("lift", "lift_low", "lift_high")] == pytest.approx(
        [ratio - 1, ratio * np.exp(-log_spread) - 1, ratio * np.exp(log_spread) - 1], abs=1e-8
    )


def test_a_pool_shows_the_option_that_is_best_in_it(kpis: TurnFacts) -> None:
    rows = {row["stratum"]: row for row in kpis.mart("experiment_readouts", loop="mails")}
    assert {name: row["best_arm"] for name, row in rows.items()} == {
        "enterprise": "short",
        "midsize": "story",
        "small": "numbers",
    }
    for name, rates in SEGMENTS.items():
        row = rows[name]
        assert (row["variants"], row["subject_id"], row["category"]) == (4, None, name)
        assert row["best_rate"] == pytest.approx(max(rates), abs=0.02)
        assert row["control_rate"] == pytest.approx(rates[0], abs=0.05)
        assert row["lift_low"] < max(rates) / rates[0] - 1 < row["lift_high"]


def test_decisions_have_no_sample_ratio_of_traffic_but_one_of_the_holdout(kpis: TurnFacts) -> None:
    for mart in ("sample_ratios", "variant_readouts", "variant_outcomes", "pre_period_moments"):
        assert kpis.mart(mart, loop="mails") == []
    ratio = kpis.only("holdout_ratios", loop="mails")
    assert (ratio["units"], ratio["treated_units"], ratio["declared_share"]) == (LEADS, 0, HELD)
    assert ratio["chi_square"] < 10.83, "p > 0.001"


def test_a_policy_learns_from_one_row_a_decision(kpis: TurnFacts) -> None:
    rows = kpis.warehouse.read("select * from marts.decision_readouts where loop = 'mails'")
    assert rows.height == LEADS
    assert rows["units"].to_list() == [1] * LEADS
    free = rows.filter(~pl.col("in_holdout") & (pl.col("stratum") == "enterprise"))
    by_inverse_propensity = {
        option: (found["reward"] / found["propensity"]).sum() / free.height
        for (option,), found in free.group_by("option")
    }
    assert [by_inverse_propensity[name] for name in MAILS] == pytest.approx(SEGMENTS["enterprise"], abs=0.025)


# Rewards with costs: an order counts half its amount, an unsubscription takes 2 off.


@given(ORDER, UNSUBSCRIBE)
def costs(facts: TurnFacts) -> None:
    for number in range(8):
        held = number >= 4
        option = None if held else "discount"
        facts.decide(f"d{number}", f"s{number}", option)
        variant = f"{option or 'original'} for s{number}"
        facts.event("exposure", f"s{number}", f"s{number}", "2026-01-06 09:00", variant_id=variant, in_holdout=held)
    for number, amount in ((0, 20.0), (1, 10.0), (4, 6.0)):
        facts.event("order", f"s{number}", f"s{number}", "2026-01-07 09:00", value=amount)
    facts.event("order", "s0", "s0", "2026-01-08 09:00", value=4.0)
    for number in (1, 5, 6, 7):
        facts.event("unsubscribe", f"s{number}", f"s{number}", "2026-01-07 09:00")


def test_a_reward_is_the_weighted_sum_of_outcomes(kpis: TurnFacts) -> None:
    rewards = {row["decision_id"]: row["reward"] for row in kpis.mart("decision_readouts", loop="costs")}
    assert rewards == {"d0": 12.0, "d1": 3.0, "d2": 0.0, "d3": 0.0, "d4": 3.0, "d5": -2.0, "d6": -2.0, "d7": -2.0}


def test_a_holdout_that_loses_gives_a_difference_and_no_lift(kpis: TurnFacts) -> None:
    momentum = kpis.only("momentum", loop="costs")
    assert (momentum["treated_rate"], momentum["holdout_rate"], momentum["difference"]) == (3.75, -0.75, 4.5)
    treated, held = np.array([12.0, 3, 0, 0]), np.array([3.0, -2, -2, -2])
    spread = Z95 * np.sqrt((treated.var() + held.var()) / 3)
    assert [momentum["difference_low"], momentum["difference_high"]] == pytest.approx([4.5 - spread, 4.5 + spread])
    assert (momentum["lift"], momentum["lift_low"]) == (None, None)
    assert momentum["no_lift_reason"] == "a negative mean reward in the holdout: see the difference"
    assert kpis.only("experiment_readouts", loop="costs")["no_lift_reason"] == "a negative mean reward for the control"


def test_a_guardrail_finds_its_units_by_option(kpis: TurnFacts) -> None:
    rows = kpis.mart("option_outcomes", loop="costs", outcome="unsubscribe")
    assert {
        (row["option"], row["is_control"], row["units"], row["converted"], row["is_guardrail"]) for row in rows
    } == {
        ("discount", False, 4, 1, True),
        (None, True, 4, 3, True),
    }


@given(REPLY, ("visit", 86_400, False, False, False))
def released(facts: TurnFacts) -> None:
    facts.release("s1", {"original": 0.5, "playful": 0.5})
    for number in range(8):
        variant = "playful" if number < 4 else "original"
        facts.event("exposure", f"u{number}", "s1", "2026-01-06 09:00", variant_id=variant)
    facts.event("reply", "u0", "s1", "2026-01-06 10:00")


@given(ORDER, UNSUBSCRIBE)
def released_at_a_cost(facts: TurnFacts) -> None:
    facts.release("s1", {"original": 0.5, "playful": 0.5})
    for number in range(8):
        variant = "playful" if number < 4 else "original"
        facts.event("exposure", f"u{number}", "s1", "2026-01-06 09:00", variant_id=variant)
    for number, amount in ((0, 20.0), (1, 10.0)):
        facts.event("order", f"u{number}", "s1", "2026-01-07 09:00", value=amount)
    facts.event("unsubscribe", "u1", "s1", "2026-01-07 09:00")


def test_a_release_may_earn_a_weighted_sum_too(kpis: TurnFacts) -> None:
    row = kpis.only("variant_readouts", loop="released_at_a_cost", variant_id="playful")
    earned = np.array([10.0, 3, 0, 0])
    assert (row["reward"], row["reward_squares"], row["rate"]) == (13.0, 109.0, 3.25)
    spread = Z95 * earned.std() / 2
    assert (row["rate_low"], row["rate_high"]) == pytest.approx((3.25 - spread, 3.25 + spread))
    moments = kpis.only("pre_period_moments", loop="released_at_a_cost", is_control=False)
    assert (moments["units"], moments["y"], moments["yy"]) == (4, 13.0, 109.0)


def test_a_single_reward_of_zero_or_one_keeps_the_interval_of_wilson(kpis: TurnFacts) -> None:
    from scipy.stats import binomtest

    row = kpis.only("variant_readouts", loop="released", variant_id="playful")
    expected = binomtest(1, 4).proportion_ci(method="wilson")
    assert (row["rate_low"], row["rate_high"]) == pytest.approx((expected.low, expected.high), abs=1e-9)


# Which decision an event is of.


@given(REPLY)
def repeated(facts: TurnFacts) -> None:
    facts.decide("morning", "ann", "short", decided_at="2026-01-06 08:00")
    facts.decide("evening", "ann", "short", decided_at="2026-01-06 20:00", propensity=0.9)
    facts.decide("other", "ann", "long", decided_at="2026-01-06 20:00", propensity=0.1)
    facts.decide("unmet", "bob", "short", stratum="nobody")
    facts.decide("fallback", "cid", "short", delivered=False)
    for at in ("2026-01-06 07:59", "2026-01-06 09:00", "2026-01-06 21:00"):
        facts.event("exposure", "ann", "ann", at, variant_id="short for ann")
    facts.event("exposure", "ann", "ann", "2026-01-13 09:00", variant_id="short for ann", turn=NEXT)
    facts.event("exposure", "cid", "cid", "2026-01-06 09:00", variant_id="short for cid")
    facts.event("exposure", "eve", "eve", "2026-01-06 09:00", variant_id="never decided")
    facts.event("reply", "ann", "ann", "2026-01-06 19:00")
    facts.event("reply", "bob", "bob", "2026-01-06 19:00")


def test_an_event_is_of_the_newest_decision_for_its_answer(kpis: TurnFacts) -> None:
    rows = {row["decision_id"]: row for row in kpis.mart("decision_readouts", loop="repeated")}
    assert {name: (row["exposures"], row["units"], row["reward"]) for name, row in rows.items()} == {
        "morning": (2, 1, 1.0),
        "evening": (1, 1, 0.0),
        "other": (0, 0, 0.0),
        "unmet": (0, 0, 0.0),
        "fallback": (1, 1, 0.0),
    }
    found = "select release_id, propensity, is_control from flywheel.exposures where loop = 'repeated' order by all"
    assert kpis.warehouse.read(found).rows() == [
        ("evening", 0.9, False),
        ("fallback", 0.5, False),
        ("morning", 0.5, False),
        ("morning", 0.5, False),
    ]


def test_a_decision_that_nobody_met_counts_nowhere_and_says_so(kpis: TurnFacts) -> None:
    reasons = {row["decision_id"]: row["no_units_reason"] for row in kpis.mart("decision_readouts", loop="repeated")}
    assert reasons == {
        "morning": None,
        "evening": None,
        "other": "nobody met it",
        "unmet": "nobody met it",
        "fallback": None,
    }
    momentum = kpis.only("momentum", loop="repeated")
    assert (momentum["treated_units"], momentum["treated_pairs"], momentum["lift"]) == (2, 3, None)
    assert momentum["no_lift_reason"] == "no units in the holdout"
    assert kpis.only("experiment_readouts", loop="repeated", stratum="nobody")["no_lift_reason"] == (
        "no unit met a variant"
    )


@given(REPLY)
def apart(facts: TurnFacts) -> None:
    facts.decide("d1", "ann", "short", stratum="big")
    facts.decide("d2", "bob", None, stratum="small")
    facts.event("exposure", "ann", "ann", "2026-01-06 09:00", variant_id="short for ann")
    facts.event("exposure", "bob", "bob", "2026-01-06 09:00", variant_id="original for bob")


def test_a_pool_without_a_holdout_is_compared_with_no_other_pool(kpis: TurnFacts) -> None:
    momentum = kpis.only("momentum", loop="apart")
    assert (momentum["treated_pairs"], momentum["holdout_pairs"], momentum["difference"]) == (1, 1, None)
    assert momentum["no_lift_reason"] == "no stratum was met by both sides"


# A trial: no audience, each answer is tested once, and repairs cost.


@given(PASSED, ROUNDS)
def trial(facts: TurnFacts) -> None:
    for number in range(100):
        held = number % 2 == 1
        option = None if held else "typed"
        facts.decide(f"d{number}", f"s{number}", option, tried_at="2026-01-05 06:30", variant_id=None if held else "v")
        if number % (4 if held else 8) < 2 or not held:
            facts.result(f"d{number}", f"s{number}", "rounds", "2026-01-05 06:29", value=1.0 if held else 2.0)
        if (held and number % 4 == 1) or (not held and number % 10 != 0):
            facts.result(f"d{number}", f"s{number}", "passed", "2026-01-05 06:30")
    # A second answer for a subject that has one already, in the same turn: its results are its own.
    facts.decide("again", "s0", "terse", tried_at="2026-01-05 07:00", variant_id="v")
    facts.result("again", "s0", "passed", "2026-01-05 07:00")


def test_a_trial_is_met_once_and_earns_what_it_showed(kpis: TurnFacts) -> None:
    rows = {row["decision_id"]: row for row in kpis.mart("decision_readouts", loop="trial")}
    assert len(rows) == 101
    assert {(row["exposures"], row["units"], row["no_units_reason"]) for row in rows.values()} == {(1, 1, None)}
    assert rows["d0"]["reward"] == -0.5, "failed, in two rounds"
    assert rows["d2"]["reward"] == 0.5, "passed, in two rounds"
    assert rows["d1"]["reward"] == 0.75, "passed, in one round"
    assert rows["d3"]["reward"] == 0.0, "failed, and nothing was made"
    assert rows["again"]["reward"] == 1.0
    assert not rows["d0"]["simulated"]


def test_a_trial_has_its_increment_over_what_there_would_have_been(kpis: TurnFacts) -> None:
    momentum = kpis.only("momentum", loop="trial")
    treated = np.array([*(0.5 if number % 10 else -0.5 for number in range(0, 100, 2)), 1.0])
    held = np.array([0.75 if number % 4 == 1 else 0.0 for number in range(1, 100, 2)])
    assert momentum["treated_rate"] == pytest.approx(treated.mean(), abs=1e-9)
    assert momentum["holdout_rate"] == pytest.approx(held.mean(), abs=1e-9)
    assert momentum["difference"] == pytest.approx(treated.mean() - held.mean(), abs=1e-9)
    assert (momentum["treated_units"], momentum["treated_pairs"]) == (50, 51), "a subject is one cluster"
    assert momentum["difference_low"] < momentum["difference"] < momentum["difference_high"]


# Many small loops with one truth, of which the intervals must cover 95 %.

LOOPS, TRIED, KEPT_OUT = 200, 800, 0.1
POOLS = np.array([[0.10, 0.30, 0.15, 0.12], [0.15, 0.20, 0.40, 0.15], [0.08, 0.10, 0.12, 0.30]])
POOL_SHARES = np.array([0.2, 0.3, 0.5])


def _append_many_trials(facts: TurnFacts) -> None:
    random = np.random.default_rng(17)
    count = LOOPS * TRIED
    pool = random.choice(3, count, p=POOL_SHARES)
    held = random.random(count) < KEPT_OUT
    option = np.where(random.random(count) < 0.6, POOLS.argmax(axis=1)[pool], random.integers(0, 4, count))
    passed = random.random(count) < POOLS[pool, np.where(held, 0, option)]
    name = np.arange(count).astype(str)
    decisions = pl.DataFrame(
        {
            "turn": [TURN] * count,
            "loop": np.repeat(np.arange(LOOPS), TRIED).astype(str),
            "decision_id": name,
            "subject_id": name,
            "stratum": pool.astype(str),
            "option": pl.Series(option.astype(str)).set(pl.Series(held), None),
            "propensity": [1.0] * count,
            "is_control": held,
            "in_holdout": held,
            "holdout": [KEPT_OUT] * count,
            "tried_at": [f"{TURN} 07:00"] * count,
        }
    )
    results = decisions.filter(pl.Series(passed)).select(
        "turn", "loop", "decision_id", "subject_id", outcome=pl.lit("passed"), recorded_at="tried_at"
    )
    facts.append("decisions", decisions)
    facts.append("results", results)
    for loop in range(LOOPS):
        facts.pending["outcome_definitions"].append(
            {"loop": str(loop), "outcome": "passed", "within_s": 60, "weight": 1.0, "is_reward": True}
        )


def test_intervals_of_decisions_cover_the_truth(kpis: TurnFacts) -> None:
    treated = POOL_SHARES @ (0.6 * POOLS.max(axis=1) + 0.4 * POOLS.mean(axis=1))
    control = POOL_SHARES @ POOLS[:, 0]
    momentum = kpis.warehouse.read("select * from marts.momentum").filter(~pl.col("loop").is_in(list(GIVEN)))
    assert momentum.height == LOOPS
    for name, truth in (("lift", treated / control - 1), ("difference", treated - control)):
        covered = momentum.select(pl.lit(truth).is_between(f"{name}_low", f"{name}_high")).to_series().mean()
        assert 0.92 <= covered <= 0.98, name
    assert momentum["difference"].mean() == pytest.approx(treated - control, abs=0.01)


# What must not go unnoticed.


@pytest.mark.parametrize(
    "broken",
    [{"stratum": None}, {"propensity": 0.0}, {"is_control": True}, {"option": None, "in_holdout": False}],
    ids=["no pool", "no chance", "a control outside the holdout", "no option"],
)
def test_an_unsound_decision_stops_the_build(broken: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    facts = TurnFacts(tmp_path_factory.mktemp("unsound"), loop="sales")
    facts.declare(REPLY)
    given = {"option": "short", **broken}
    facts.decide("d1", "ann", given.pop("option"), **{"is_control": False, "in_holdout": False, **given})
    facts.gather()
    with pytest.raises(BuildFailedError, match="sound_decisions"):
        facts.build(select=["stg_decisions"])


def test_a_loop_without_a_weight_has_nothing_to_learn_from(tmp_path_factory: pytest.TempPathFactory) -> None:
    facts = TurnFacts(tmp_path_factory.mktemp("weightless"), loop="sales")
    facts.declare(("visit", 60, False, False, False))
    with pytest.raises(BuildFailedError, match="something_to_learn_from"):
        facts.build(select=["stg_outcome_definitions"], thorough=True)
