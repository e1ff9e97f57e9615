"""Windows of time: keys, neighbours, and the partitions that Dagster sees."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.settings import Settings
from orchestration.turns import Turn, turn_cron, turn_partitions

WEEKLY = Settings(first_turn=date(2026, 1, 5))
DAILY = Settings(first_turn=date(2026, 1, 5), cadence="daily")


@given(st.datetimes(datetime(2026, 1, 5), datetime(2030, 1, 1)), st.sampled_from([WEEKLY, DAILY]))
def test_every_moment_since_the_first_turn_lies_in_exactly_one_turn(moment: datetime, settings: Settings) -> None:
    turn = Turn.containing(moment, settings)
    assert turn.start.replace(tzinfo=None) <= moment < turn.end.replace(tzinfo=None)
    assert turn.previous().end == turn.start
    assert turn.next().start == turn.end
    assert Turn.of(turn.key, settings) == turn


def test_a_day_within_a_turn_is_no_key_and_the_error_names_the_turn() -> None:
    with pytest.raises(ValueError, match="2026-01-05"):
        Turn.of("2026-01-07", WEEKLY)


def test_before_the_first_turn_there_is_none() -> None:
    with pytest.raises(ValueError, match="FLYWHEEL_FIRST_TURN"):
        Turn.containing(date(2025, 12, 31), WEEKLY)


@pytest.mark.parametrize("settings", [WEEKLY, DAILY], ids=["weekly", "daily"])
def test_partitions_are_turns_and_the_open_one_is_among_them(settings: Settings) -> None:
    keys = turn_partitions(settings).get_partition_keys(current_time=datetime(2026, 2, 4, 12))
    open_turn = Turn.containing(datetime(2026, 2, 4, 12), settings)
    assert keys[0] == "2026-01-05"
    assert keys[-1] == open_turn.key
    assert [Turn.of(key, settings).key for key in keys] == keys


def test_the_schedule_ticks_when_a_turn_begins() -> None:
    assert turn_cron(WEEKLY) == "0 0 * * 1"
    assert turn_cron(DAILY) == "0 0 * * *"
