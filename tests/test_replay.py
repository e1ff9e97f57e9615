"""Replaying logged tests: a log of six weeks, one of them broken, in which questions earn more.

The log is made up, so that what should be found is known; `flywheel replay upworthy` does the same with a real one.
"""

import json
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from orchestration.commands.replay import ReplayedTurn, run_replay, total_gain
from orchestration.home import prepare_home
from orchestration.learning.proof.replay_gain import gain_of
from orchestration.settings import Settings
from orchestration.turns import Turn
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from orchestration.worlds.outbox import read_outbox
from orchestration.worlds.replayed.logged_tests import read_logged_tests
from orchestration.worlds.replayed.replay import ReplayWorld, first_turn_of

FIRST = date(2024, 1, 1)
WEEKS, TESTS, BROKEN = 6, 40, 2
THINGS = ("garden", "kitchen", "bicycle", "winter coat", "school", "river", "bakery", "morning train", "dog", "piano")
PLAIN = ("A {} like any other", "The {} opened on Monday", "Notes on a {}", "What happened at the {} today")
ASKED = "Would you have known this about the {}?"


def log_of_six_weeks(path: Path) -> Path:
    """Four texts a test; the one that asks earns 6 %, the others 3 %. Week BROKEN served hardly anyone the first."""
    draw = np.random.default_rng(5)
    rows = []
    for week in range(WEEKS):
        for number in range(TESTS):
            thing = f"{THINGS[number % 10]} {week * TESTS + number}"
            texts = [*draw.permutation(PLAIN)[:3], ASKED]
            for place in draw.permutation(4):
                units = 400 if week == BROKEN and place == 0 else int(draw.binomial(4_000, 0.5))
                rows.append(
                    {
                        "test": f"{week}-{number}",
                        "started_at": (FIRST + timedelta(days=7 * week + number % 7)).isoformat(),
                        "text": texts[place].format(thing),
                        "units": units,
                        "rewards": int(draw.binomial(units, 0.06 if texts[place] == ASKED else 0.03)),
                    }
                )
    rows.append({**rows[0], "units": 10, "rewards": 11, "test": "impossible"})
    pl.DataFrame(rows).write_csv(path)
    return path


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ReplayedTurn], str]:
    folder = tmp_path_factory.mktemp("replay")
    console = Console(record=True, width=120)
    turns = run_replay(
        folder / "home",
        log_of_six_weeks(folder / "log.csv"),
        "tests",
        console,
        units=800,
        turns_in_force=1,
        seed=7,
    )
    return folder / "home", turns, console.export_text()


def test_every_week_is_a_turn_in_order(replayed: tuple[Path, list[ReplayedTurn], str]) -> None:
    _, turns, _ = replayed
    assert [turn.key for turn in turns] == [(FIRST + timedelta(days=7 * week)).isoformat() for week in range(WEEKS)]


def test_a_week_whose_traffic_was_not_split_as_planned_is_refused_where_a_person_can_see_it(
    replayed: tuple[Path, list[ReplayedTurn], str],
) -> None:
    home, turns, said = replayed
    assert [turn.refused is not None for turn in turns] == [week == BROKEN for week in range(WEEKS)]
    assert "refused by a gate" in said
    prepare_home(Settings(_env_file=None, home=home))
    with dg.DagsterInstance.get() as instance:
        key = dg.AssetCheckKey(dg.AssetKey(["replay", "subjects"]), "traffic_split_as_planned")
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=50)
        failed = [record for record in records if record.status.value == "FAILED"]
        runs = [instance.get_run_by_id(record.run_id) for record in failed]
    assert [run.tags["dagster/partition"] for run in runs if run] == [turns[BROKEN].key]
    assert all(run.status is dg.DagsterRunStatus.FAILURE for run in runs if run)


def test_every_other_turn_has_a_decision_with_its_conditions(
    replayed: tuple[Path, list[ReplayedTurn], str],
) -> None:
    home, turns, _ = replayed
    warehouse = DuckDBWarehouse(home / "warehouse.duckdb")
    decided = warehouse.read("select turn::varchar as turn, promoted, reason from flywheel.promotions order by turn")
    assert decided["turn"].to_list() == [turn.key for turn in turns if not turn.refused]
    held = warehouse.read("select turn::varchar as turn, condition from flywheel.promotion_conditions")
    for turn in decided["turn"]:
        assert {"sample_ratio", "near_identical_texts", "effective_sample_size", "lower_bound"} <= set(
            held.filter(pl.col("turn") == turn)["condition"]
        )


def test_a_better_policy_is_promoted_and_from_then_on_clicks_are_gained(
    replayed: tuple[Path, list[ReplayedTurn], str],
) -> None:
    home, turns, said = replayed
    warehouse = DuckDBWarehouse(home / "warehouse.duckdb")
    decided = warehouse.read("select turn::varchar as turn, promoted from flywheel.promotions")
    promoted = min(decided.filter("promoted")["turn"])
    before = total_gain([turn for turn in turns if turn.key <= promoted])
    after = total_gain([turn for turn in turns if turn.key > promoted])
    assert before.gained == pytest.approx(0, abs=1e-6)  # nothing known, nothing gained
    assert after.relative_low > 0.2
    assert "Promoted: all" in said


def test_the_summary_adds_up_and_names_what_was_refused(replayed: tuple[Path, list[ReplayedTurn], str]) -> None:
    home, turns, said = replayed
    summary = json.loads((home / "summary.json").read_text())
    assert len(summary["turns"]) == WEEKS
    assert summary["total"]["gained"] == pytest.approx(sum(turn.gain.gained for turn in turns))
    assert (home / "clicks_gained.png").stat().st_size > 10_000
    refused = [json.loads(line) for line in (home / "refused.ndjson").read_text().splitlines()]
    assert refused == [
        {"row": 961, "test": "impossible", "reason": "more responses than units that could respond"},
    ]
    assert "row 961, test impossible: more responses than units" in said


def test_no_unit_of_the_log_is_drawn_twice(tmp_path: Path, replayed: tuple[Path, list[ReplayedTurn], str]) -> None:
    home, turns, _ = replayed
    log = read_logged_tests(log_of_six_weeks(tmp_path / "log.csv"), "tests")
    settings = Settings(_env_file=None, home=home, first_turn=first_turn_of(log.arms))
    world = ReplayWorld(log.arms, seed=3, units=100_000)
    outbox = home / "outbox" / "replay" / f"{turns[0].key}.ndjson"
    turn = Turn.of(turns[0].key, settings)
    (tmp_path / "events").mkdir()
    met = [world.play(outbox, tmp_path, turn) for _ in range(3)]
    sizes = [sum(one.units for one in of) for of in met]
    assert sizes[0] > 10 * sizes[1]  # the first turn drank the log nearly dry
    drawn = pl.read_parquet(tmp_path / "events" / f"replayed-{turn.key}.parquet")
    assert drawn["event_id"].is_unique().all()
    assert min(left.min() for left in world._left.values()) >= 0


def test_outcomes_follow_the_log(tmp_path: Path, replayed: tuple[Path, list[ReplayedTurn], str]) -> None:
    home, turns, _ = replayed
    log = read_logged_tests(log_of_six_weeks(tmp_path / "log.csv"), "tests")
    settings = Settings(_env_file=None, home=home, first_turn=first_turn_of(log.arms))
    outbox = home / "outbox" / "replay" / f"{turns[-1].key}.ndjson"
    turn = Turn.of(turns[-1].key, settings)
    assert len(read_outbox(outbox, turn.key)) == TESTS
    met = ReplayWorld(log.arms, seed=11, units=1_500).play(outbox, tmp_path, turn)
    earned, expected = sum(one.earned for one in met), sum(one.expected for one in met)
    assert earned == pytest.approx(expected, abs=5 * expected**0.5)


def test_a_test_in_force_for_several_turns_counts_once_in_the_sum() -> None:
    log = pl.DataFrame(
        {
            "group": ["a", "a"],
            "test": ["a", "a"],
            "started_at": [FIRST, FIRST],
            "place": [1, 2],
            "text": ["one", "two"],
            "units": [100, 100],
            "rewards": [1, 2],
            "sample_ratio_p": [1.0, 1.0],
        }
    ).with_columns(pl.col("started_at").cast(pl.Datetime("us")))
    settings = Settings(_env_file=None, first_turn=FIRST)
    turns = ReplayWorld(log, seed=1, turns_in_force=3).turns(Turn.of(FIRST, settings))
    assert len(turns) == 3


def test_home_of_another_purpose_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "warehouse.duckdb").write_text("someone's")
    with pytest.raises(ValueError, match="set FLYWHEEL_HOME to another folder"):
        run_replay(
            tmp_path / "home",
            log_of_six_weeks(tmp_path / "log.csv"),
            "tests",
            Console(quiet=True),
            units=100,
            turns_in_force=1,
            seed=7,
        )
    assert (tmp_path / "home" / "warehouse.duckdb").read_text() == "someone's"


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.integers(1, 1000)), min_size=2, max_size=30),
)
def test_a_gain_lies_inside_its_interval_and_adds_up(rows: list[tuple[float, float, int]]) -> None:
    expected, even, units = (list(column) for column in zip(*rows, strict=True))
    gain = gain_of(expected, even, units)
    assert gain.low <= gain.gained <= gain.high
    assert gain.gained == pytest.approx(sum(expected) - sum(even), abs=1e-6)
    assert gain.units == sum(units)


def test_the_user_interface_plots_what_each_turn_gained(replayed: tuple[Path, list[ReplayedTurn], str]) -> None:
    home, turns, _ = replayed
    prepare_home(Settings(_env_file=None, home=home))
    with dg.DagsterInstance.get() as instance:
        records = instance.fetch_materializations(dg.AssetKey(["replay", "gain"]), limit=50).records
    told = {record.partition_key: record.asset_materialization for record in records if record.asset_materialization}
    assert set(told) == {turn.key for turn in turns if not turn.refused}
    assert told[turns[-1].key].metadata["gained_so_far"].value == pytest.approx(total_gain(turns).gained)
    assert [key for key, event in told.items() if "picture" in event.metadata] == [turns[-1].key]
