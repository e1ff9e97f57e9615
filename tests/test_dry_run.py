"""What a dry run says before anything is asked or written."""

from pathlib import Path

import pytest

from orchestration.commands.dry_run import planned_calls
from orchestration.loops.found import declared_loops
from orchestration.loops.replay import declare as replay_loop
from orchestration.testing.shop import FIRST, Wheel


def test_a_dry_run_counts_the_calls_and_leaves_everything_as_it_was(tmp_path: Path) -> None:
    wheel = Wheel(tmp_path, products=6, options={"openai_base_url": "http://127.0.0.1:9/v1", "model": "none"})
    loops = declared_loops(wheel.settings.loops)
    (nothing,) = planned_calls(FIRST, loops, wheel.settings)
    assert "flywheel ingest" in nothing
    wheel.land_catalogue()
    wheel.flywheel.ingest()
    (line,) = planned_calls(FIRST, loops, wheel.settings)
    assert line.startswith("content: 12 briefs for 6 subjects: 12 calls, 0 kept from before")
    assert wheel.table("briefs").is_empty()


def test_a_day_on_which_no_turn_starts_is_refused_with_the_turn_around_it(tmp_path: Path) -> None:
    wheel = Wheel(tmp_path)
    with pytest.raises(ValueError, match=FIRST):
        list(planned_calls("2026-01-07", declared_loops(wheel.settings.loops), wheel.settings))


def test_a_loop_whose_subjects_bring_their_variants_asks_nothing(tmp_path: Path) -> None:
    (line,) = planned_calls(FIRST, [replay_loop()], Wheel(tmp_path).settings)
    assert "nothing would be asked" in line
