"""Whose turn it is, told as examples: nobody waits for ever, and what waits stays in force."""

from datetime import date
from math import ceil

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.learning.traffic.rotation import Rotation, rotation, staying


def alive(count: int, **columns: list[float | int | None]) -> pl.DataFrame:
    rows = pl.DataFrame({"subject_id": [f"s{number:03d}" for number in range(count)], "first_landed": range(count)})
    unknown = {"turns_since": pl.Int64, "turns_alive": pl.Int64, "traffic": pl.Float64, "headroom": pl.Float64}
    given_columns = {"turns_alive": [1] * count} | columns
    return rows.with_columns(
        pl.Series(name, given_columns.get(name, [None] * count), kind) for name, kind in unknown.items()
    )


def test_when_all_fit_they_are_taken_in_the_order_they_landed() -> None:
    rows = alive(5, turns_since=[1, 9, None, 2, 1], traffic=[1, 5, 2, 9, 4])

    chosen = rotation(rows.reverse(), 5)

    assert chosen == Rotation(taken=("s000", "s001", "s002", "s003", "s004"), waiting=(), longest=0)
    assert chosen.message == "All 5 subjects."


def test_the_first_turn_of_a_home_takes_the_first_that_landed() -> None:
    chosen = rotation(alive(57), 48)

    assert chosen.taken == tuple(f"s{number:03d}" for number in range(48))
    assert chosen.message == "48 of 57 subjects; 9 wait, the longest for 1 turn"


def test_what_was_never_taken_comes_before_what_was() -> None:
    rows = alive(6, turns_since=[1, 1, 1, 1, None, None])

    assert set(rotation(rows, 4).taken) >= {"s004", "s005"}


def test_half_of_the_places_go_where_most_is_to_be_gained() -> None:
    busy = alive(6, turns_since=[1] * 6, traffic=[1, 1, 1, 1, 900, 10], headroom=[1.0, 1.0, 1.0, 1.0, 1.0, 0.1])
    settled = busy.with_columns(headroom=pl.Series([1.0, 1.0, 1.0, 1.0, 0.0001, 1.0]))

    assert rotation(busy, 2).taken == ("s000", "s004")
    assert rotation(settled, 2).taken == ("s000", "s005")


def test_of_equals_the_one_that_waits_longer_is_taken() -> None:
    rows = alive(5, turns_since=[1, 2, 3, 5, 4], traffic=[10] * 5, headroom=[1] * 5)

    assert rotation(rows, 2).taken == ("s003", "s004")


def test_a_subject_that_stands_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="one row for each"):
        rotation(pl.concat([alive(3), alive(1)]), 2)
    with pytest.raises(ValueError, match="FLYWHEEL_SUBJECTS_PER_TURN"):
        rotation(alive(3), 0)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 30),
    limit=st.integers(1, 12),
    traffic=st.lists(st.floats(0, 1e6), min_size=30, max_size=30),
    arrives=st.lists(st.integers(0, 6), min_size=30, max_size=30),
)
def test_every_living_subject_is_taken_within_a_bounded_number_of_turns(
    count: int, limit: int, traffic: list[float], arrives: list[int]
) -> None:
    due = limit - limit // 2
    bound = ceil(count / due) + max(arrives)
    last: dict[int, int] = {}
    for turn in range(4 * bound):
        living = [subject for subject in range(count) if arrives[subject] <= turn]
        if not living:
            continue
        rows = pl.DataFrame(
            {
                "subject_id": [f"s{subject}" for subject in living],
                "first_landed": living,
                "turns_since": [turn - last[subject] if subject in last else None for subject in living],
                "turns_alive": [turn - arrives[subject] + 1 for subject in living],
                "traffic": [traffic[subject] for subject in living],
                "headroom": [1.0 for _ in living],
            },
            schema_overrides={"turns_since": pl.Int64},
        )
        chosen = rotation(rows, limit)
        assert chosen == rotation(rows.sample(fraction=1.0, shuffle=True, seed=turn), limit)
        assert len(chosen.taken) == min(limit, len(living))
        assert sorted((*chosen.taken, *chosen.waiting)) == sorted(rows["subject_id"])
        last |= {int(subject[1:]): turn for subject in chosen.taken}
        for subject in living:
            assert turn - last.get(subject, arrives[subject] - 1) <= bound, f"{subject} waits in turn {turn}"


def test_new_subjects_in_every_turn_keep_nobody_waiting_for_ever() -> None:
    last: dict[int, int] = {}
    for turn in range(80):
        living = [
            *range(10),
            *range(10 + 2 * max(0, turn - 1), 10 + 2 * turn + 2),
        ]  # two new ones a turn, for two turns
        rows = alive(
            len(living),
            turns_since=[turn - last[subject] if subject in last else None for subject in living],
            traffic=[0.0 if subject < 10 else 100.0 for subject in living],
        ).with_columns(subject_id=pl.Series([f"s{subject}" for subject in living]))
        last |= {int(subject[1:]): turn for subject in rotation(rows, 4).taken}
        assert all(turn - last.get(subject, -1) <= 20 for subject in range(10))


def release(subject: str, *shares: float) -> list[dict[str, object]]:
    return [
        {
            "turn": date(2026, 1, 5),
            "subject_id": subject,
            "variant_id": f"{subject}-{number}",
            "candidate_id": f"c-{subject}-{number}" if number else None,
            "is_control": number == 0,
            "share": share,
            "policy_version": "3",
        }
        for number, share in enumerate(shares)
    ]


def test_what_was_in_force_for_a_waiting_subject_stays_in_force() -> None:
    last = pl.DataFrame([*release("a", 0.2, 0.5, 0.3), *release("b", 0.1, 0.9)])

    rows = staying(last, ["a", "never released"], "2026-01-12")

    assert rows.drop("turn").equals(last.filter(pl.col("subject_id") == "a").drop("turn"))
    assert rows["turn"].unique().to_list() == [date(2026, 1, 12)]


def test_what_a_person_has_rejected_since_leaves_its_share_to_the_control() -> None:
    last = pl.DataFrame([*release("a", 0.2, 0.5, 0.3), *release("b", 0.1, 0.9)])

    rows = staying(last, ["a", "b"], "2026-01-12", rejected=["c-a-1", "c-b-1"])

    assert dict(rows.select("variant_id", "share").iter_rows()) == {"a-0": 0.7, "a-2": 0.3, "b-0": 1.0}
