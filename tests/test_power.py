"""A plan names a turn by which an effect that exists is seen."""

import numpy as np
import pytest

from orchestration.learning.proof.paired_estimate import Increment, looks
from orchestration.learning.proof.power import Design, plan, turns_to_promote, turns_to_see_lift, units_to_see_amount

SHOP = Design(base_rate=0.05, subjects=60, units=1500)


def test_a_plan_is_a_table_that_asks_more_turns_for_smaller_effects():
    table = plan(SHOP, lifts=(0.1, 0.2, 0.4))
    assert table.columns == ["lift", "turns_holdout", "turns_better", "turns_learned", "units"]
    for name in ("turns_holdout", "turns_better", "turns_learned"):
        assert table[name].to_list() == sorted(table[name].to_list(), reverse=True)
    assert (table["turns_learned"] >= table["turns_better"]).all()
    assert table["units"].to_list() == [turns * 60 * 1500 for turns in table["turns_better"]]


@pytest.mark.parametrize(("turns", "flywheels"), [(None, 300), (15, 300)])
def test_eight_in_ten_flywheels_promote_by_the_turn_that_was_named(turns, flywheels):
    """Normal increments of the size that the design implies, through the test that promotions use."""
    design = Design(base_rate=0.05, subjects=60, units=1500, turns=turns)
    named = turns_to_promote(design, 0.10)
    change = 0.9 * np.eye(9)[0] + 0.1 / 9 - 1 / 9
    gaps = 0.112 * np.eye(9)[0]  # worth 10 % more when chosen nine times in ten
    sd = np.sqrt(design.comparison_variance(change, gaps)) / (1 + 0.112 / 9)
    rng = np.random.default_rng(5)
    promoted = 0
    for _ in range(flywheels):
        made = [
            Increment(f"{look:03}", 60, 1.0, 0.10 + sd * rng.standard_normal(), sd**2, 1.0, 1.0, 0.1)
            for look in range(named - 1)
        ]
        promoted += any(look.low > 0 for look in looks(made, planned=turns))
    assert 0.75 <= promoted / flywheels <= 0.95


def test_more_traffic_a_higher_rate_and_a_planned_end_need_fewer_turns():
    base = turns_to_promote(SHOP, 0.08)
    assert turns_to_promote(Design(0.05, 60, 6000), 0.08) < base
    assert turns_to_promote(Design(0.15, 60, 1500), 0.08) < base
    assert turns_to_promote(Design(0.05, 60, 1500, turns=base), 0.08) < base
    assert turns_to_promote(Design(0.05, 60, 1500, recipes=3), 0.08) < base


def test_a_larger_holdout_shows_the_flywheels_lift_sooner():
    assert turns_to_see_lift(Design(0.05, 60, 1500, holdout=0.2), 0.05) < turns_to_see_lift(SHOP, 0.05)


def test_an_effect_that_cannot_be_seen_in_two_years_has_no_turn():
    tiny = plan(Design(base_rate=0.01, subjects=5, units=50), lifts=(0.02,))
    assert tiny.row(0) == (0.02, None, None, None, None)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"base_rate": 0.0}, "base rate is a share between 0 and 1, not 0.0"),
        ({"holdout": 1.0}, "holdout is a share between 0 and 1"),
        ({"briefs": 10}, "10 briefs of 9 recipes"),
        ({"subjects": 0}, "number of subjects must be above 0"),
        ({"units": float("inf")}, "number of units must be"),
        ({"units": float("nan")}, "number of units must be"),
        ({"turns": 0}, "number of turns must be 1 or more"),
    ],
)
def test_a_design_that_cannot_be_is_refused(values, said):
    with pytest.raises(ValueError, match=said):
        Design(**{"base_rate": 0.05, "subjects": 60, "units": 100} | values)


@pytest.mark.parametrize("lift", [0.0, -0.1, 7.5, float("nan"), float("inf")])
def test_a_lift_that_nothing_could_bring_is_not_planned_for(lift):
    with pytest.raises(ValueError, match="A lift must lie above 0"):
        plan(SHOP, (lift,))


def test_a_lift_of_nothing_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        turns_to_see_lift(SHOP, 0.0)


def test_an_amount_needs_as_many_units_in_pence_as_in_pounds_and_below_zero_as_above():
    pounds = units_to_see_amount(variance=1.5, mean=0.6, lift=0.3)
    assert 50 < pounds < 1000
    assert units_to_see_amount(variance=1.5 * 100**2, mean=60.0, lift=0.3) == pytest.approx(pounds)
    assert units_to_see_amount(variance=1.5, mean=-0.6, lift=0.3) == pytest.approx(pounds)
    assert units_to_see_amount(variance=1.5, mean=0.0, lift=0.3) == np.inf


def test_the_units_of_an_amount_tell_its_gain_apart_four_times_in_five():
    variance, mean, lift = 4.0, 2.0, 0.1
    units = round(units_to_see_amount(variance, mean, lift))
    rng = np.random.default_rng(6)
    gains = lift * mean + np.sqrt(variance) * rng.standard_normal((2000, units)).mean(axis=1)
    seen = gains / np.sqrt(variance / units) > 1.644854
    assert 0.77 < seen.mean() < 0.83
