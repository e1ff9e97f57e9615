"""Simulated worlds whose truth is known: what is said to be worth is what is earned, and strength is what matters."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestration.graph.assets.conditions import units_needed
from orchestration.learning.proof.paired_estimate import Increment, PairedEstimate, accumulate
from orchestration.learning.proof.power import units_to_see
from orchestration.worlds.simulated.shapes import APPROACHES, CEILING, FLOOR, OFFERS, STYLES, Shape, world

WORLDS = ("titles", "offers", "programs", "prices")


def answers(name: str) -> list[dict[str, Any]]:
    return {
        "titles": [{"title": f"{style} title number 12"} for style in STYLES],
        "offers": [{"offer": offer} for offer in OFFERS],
        "programs": [{"code": f"# {approach} draft 3\n"} for approach in APPROACHES],
        "prices": [{"price": price} for price in (7.0, 10.0, 14.0)],
    }[name]


def worths(shape: Shape, name: str) -> np.ndarray:
    """What each answer is worth for each of the first twelve subjects."""
    return np.array([[shape.worth(answer, facts) for answer in answers(name)] for facts in shape.subjects[:12]])


@pytest.mark.parametrize("name", WORLDS)
def test_answers_differ_in_worth_alike_for_one_seed_and_otherwise_for_another(name: str, tmp_path: Path) -> None:
    first, again, other = (worths(world(name, tmp_path, seed), name) for seed in (1, 1, 2))
    assert (first == again).all()
    assert np.abs(first - other).max() > 0.01
    assert np.ptp(first, axis=1).min() > 0.005


@pytest.mark.parametrize("name", ["titles", "offers", "programs"])
def test_in_an_indifferent_world_no_answer_is_worth_more(name: str, tmp_path: Path) -> None:
    assert np.ptp(worths(world(name, tmp_path, 1, 0.0), name), axis=1).max() < 1e-12


def test_what_a_shop_keeps_of_a_price_is_taken_off_as_an_outcome_of_its_own(tmp_path: Path) -> None:
    prices = world("prices", tmp_path, 1)
    facts = prices.subjects[0]
    found = prices.expected({"price": 10.0}, facts)
    bought = found["purchase"] / 10.0
    assert prices.worth({"price": 10.0}, facts) == pytest.approx(bought * (10.0 - float(facts["cost"])))
    assert all(FLOOR <= float(one["price"]) <= CEILING for one in prices.subjects)


def test_a_program_passes_as_often_as_it_is_said_to_be_worth(tmp_path: Path) -> None:
    programs = world("programs", tmp_path, 4)
    rounds = programs.loop.generation.rounds
    assert rounds is not None
    facts = programs.subjects[0]
    for approach in APPROACHES:
        drafts = [({"code": f"# {approach} draft {seed}\n"}, facts) for seed in range(4000)]
        passed = np.array([verdict.passed for verdict in rounds.test.tried(drafts, None)])
        twice = passed[0::2] | passed[1::2]
        assert twice.mean() == pytest.approx(programs.expected(drafts[0][0], facts)["passed"], abs=0.04)


def test_a_loop_that_earns_amounts_is_sized_by_how_gains_vary_and_may_earn_less_than_nothing(tmp_path: Path) -> None:
    def estimate(champion: float) -> PairedEstimate:
        one = Increment(date(2026, 1, 5), 100, 1000.0, 50.0, 2000.0, 1000 * champion, 1000.0, 10_000.0)
        return accumulate([one])

    titles, offers = (world(name, tmp_path, 1).loop for name in ("titles", "offers"))
    assert titles.reward_is_rate
    assert not offers.reward_is_rate
    assert units_needed(titles, estimate(0.2), 0.3) == units_to_see(0.2, 0.3)
    assert units_needed(offers, estimate(0.2), 0.3) == pytest.approx(units_needed(offers, estimate(-0.2), 0.3))
    assert 0 < units_needed(offers, estimate(-0.2), 0.3) < float("inf")
    assert offers.reward.less, "what it earns and loses may cancel"
    assert units_needed(offers, estimate(0.001), 0.3, 0.2) == pytest.approx(units_needed(offers, estimate(0.2), 0.3))
    assert units_needed(offers, estimate(0.5), 0.3, 0.2) == pytest.approx(units_needed(offers, estimate(0.5), 0.3))
