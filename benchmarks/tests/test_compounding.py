"""How the compounding benchmark judges: slopes over turns, intervals over seeds."""

import numpy as np
import pytest

from benchmarks.compounding import Course, interval, rows_of, slope


def courses(world: str, slopes: list[float]) -> list[Course]:
    lifts = [tuple(0.02 + each * np.arange(8)) for each in slopes]
    return [Course(world, seed, lift, lift, 2) for seed, lift in enumerate(lifts)]  # type: ignore[arg-type]


def test_a_slope_is_per_turn() -> None:
    assert slope([0.01, 0.03, 0.05]) == pytest.approx(0.02)


def test_the_interval_is_students_over_seeds() -> None:
    mean, low, high = interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert high - mean == mean - low == pytest.approx(4.303 / np.sqrt(3), abs=0.001)


@pytest.mark.parametrize(
    ("responsive", "indifferent", "held"),
    [
        ([0.02, 0.03, 0.025], [-0.01, 0.01, 0.002], [True, True]),
        ([-0.02, 0.03, 0.01], [0.02, 0.021, 0.022], [False, False]),
    ],
)
def test_compounding_needs_a_rise_where_texts_matter_and_none_where_they_do_not(
    responsive: list[float], indifferent: list[float], held: list[bool]
) -> None:
    rows = rows_of(courses("responsive", responsive) + courses("indifferent", indifferent))
    judged = [row for row in rows if row.goal is not None]
    assert [row.holds for row in judged] == held
    assert judged[0].ours == pytest.approx(100 * np.mean(responsive))
    assert all("simulated" in row.what for row in rows)
