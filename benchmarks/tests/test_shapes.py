"""How the benchmark of the three shapes judges: what is chosen rises, intervals cover, prices keep their bounds."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from benchmarks.shapes import Course, read_courses, rows_of, trials


def course(seed: int, *, shape: str = "offers", rise: float = 0.05, covers: bool = True, moved: float = 0.0) -> Course:
    worth = tuple(0.3 + rise * turn + 0.001 * seed for turn in range(8))
    lifts = tuple(each / 0.3 - 1 for each in worth)
    ends = (0.1, 0.1) if covers else (-0.1, 0.2)
    return Course(
        shape=shape,
        seed=seed,
        worth=worth,
        holdout=(0.3,) * 8,
        true=lifts,
        low=tuple(lift - ends[0] for lift in lifts),
        high=tuple(lift + ends[1] if covers else lift - 0.01 for lift in lifts),
        promotions=1,
        refused=0,
        outside=0.0,
        moved=moved,
        seconds=1.0,
    )


def judged(courses: list[Course]) -> dict[str, bool | None]:
    return {row.what.split(": ")[1]: row.holds for row in rows_of(courses) if row.goal is not None}


def test_what_rises_in_every_seed_has_learned_and_what_falls_has_not() -> None:
    learns = "slope of the true worth of what is chosen"
    assert judged([course(seed, rise=0.05 + 0.001 * seed) for seed in range(4)])[learns]
    assert not judged([course(seed, rise=-0.05 + 0.001 * seed) for seed in range(4)])[learns]
    assert not judged([course(seed, rise=(-1) ** seed * 0.05) for seed in range(4)])[learns]


def test_an_interval_is_wrong_when_it_covers_too_often_and_when_too_seldom() -> None:
    covers = "turns whose 95 % interval covers the true lift"
    assert not judged([course(seed) for seed in range(20)])[covers]
    assert judged([course(seed, covers=seed > 0) for seed in range(20)])[covers]
    assert not judged([course(seed, covers=seed > 4) for seed in range(20)])[covers]


def test_a_turn_without_an_interval_is_not_counted() -> None:
    one = course(1)
    without = Course(**{**asdict(one), "low": (float("nan"), *one.low[1:])})
    assert len(one.covered) == 8
    assert len(without.covered) == 7


def test_a_price_that_moved_too_far_is_seen() -> None:
    moves = "largest move of a price"
    assert judged([course(seed, shape="prices", moved=0.15) for seed in range(3)])[moves]
    assert not judged([course(seed, shape="prices", moved=0.16) for seed in range(3)])[moves]


def test_courses_pass_from_process_to_process_unchanged() -> None:
    courses = [course(1), course(2, covers=False)]
    assert read_courses(json.dumps([asdict(each) for each in courses])) == courses


def test_a_trial_earns_what_it_passes_less_its_rounds() -> None:
    earned = trials(np.random.default_rng(1), 10_000)
    assert set(np.round(earned, 2)) == {0.95, 0.9, -0.1}
    assert earned.mean() == pytest.approx(1 - 0.65**2 - 0.05 * 1.65, abs=0.02)
