"""Records of promotions: a late change is one more record, judged under the champion of its turn; none is rewritten."""

import math
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestration.commands.report import decision_lines, decision_text, turn_lines
from orchestration.registry.champions import champion_in_force, predecessor
from orchestration.registry.promotions import Records
from orchestration.tables import TABLES
from orchestration.warehouse.duckdb_file import DuckDBWarehouse

TURNS = ("2026-01-05", "2026-01-12", "2026-01-19")
NOW = datetime(2026, 1, 26, 9)


class Wheel:
    """Turns as the stage decides on them."""

    def __init__(self, folder: Path) -> None:
        self.warehouse = DuckDBWarehouse(folder / "w.duckdb")

    def produce(self, turn: str, version: str) -> None:
        row = {"turn": date.fromisoformat(turn), "loop": "content", "policy_version": version}
        table = TABLES["champions"]
        self.warehouse.append(table, table.frame([{**dict.fromkeys(table.columns), **row}]))

    def decide(self, turn: str, challenger: str, promoted: bool, number: float = 0.1) -> None:
        """Decide on a turn, or decide on it again: the rows of the turn take the place of its rows, as a stage's do."""
        before = champion_in_force(self.warehouse, "content", turn)
        day = date.fromisoformat(turn)
        row = {
            "turn": day,
            "loop": "content",
            "champion_before": before,
            "challenger": challenger,
            "promoted": promoted,
            "champion_after": challenger if promoted else before,
            "reason": f"The bound is {number}.",
            "mlflow_run_id": "r",
            "decided_at": NOW,
        }
        held = [
            {
                "turn": day,
                "loop": "content",
                "condition": name,
                "number": value,
                "comparison": ">",
                "threshold": 0.0,
                "passed": value > 0,
                "detail": "",
            }
            for name, value in (("lower_bound", number), ("sample_ratio", math.nan))
        ]
        rows, conditions = Records(self.warehouse, "content", turn).with_record(row, held, NOW)
        self.warehouse.replace(TABLES["promotion_conditions"], conditions, turn=turn, loop="content")
        self.warehouse.replace(TABLES["promotions"], rows, turn=turn, loop="content")

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        found = self.warehouse.read("select * from flywheel.promotions order by turn, record")
        return found.select(*columns).rows()


@pytest.fixture
def wheel(tmp_path: Path) -> Wheel:
    """Two turns were decided on: 2 took over from 1 after the first, and stayed after the second; a third is out."""
    wheel = Wheel(tmp_path)
    wheel.produce(TURNS[0], "1")
    wheel.decide(TURNS[0], "2", promoted=True)
    wheel.produce(TURNS[1], "2")
    wheel.decide(TURNS[1], "3", promoted=False, number=-0.2)
    wheel.produce(TURNS[2], "2")
    return wheel


def test_deciding_again_on_the_same_numbers_writes_nothing(wheel: Wheel) -> None:
    before = wheel.rows("turn", "record", "recorded_at")
    wheel.decide(TURNS[0], "2", promoted=True, number=0.1 + 1e-14)
    assert wheel.rows("turn", "record", "recorded_at") == before


def test_late_events_write_a_record_beside_the_old_one_and_change_nothing_that_took_effect(wheel: Wheel) -> None:
    before = wheel.warehouse.rows(TABLES["promotions"])
    wheel.decide(TURNS[0], "4", promoted=False, number=-0.05)
    after = wheel.warehouse.rows(TABLES["promotions"])
    assert set(before.rows()) < set(after.rows())
    rows = wheel.rows("turn", "record", "because", "took_effect", "promoted")
    assert [row[1:] for row in rows if str(row[0]) == TURNS[0]] == [
        (0, "learned", True, True),
        (1, "late events", False, False),
    ]
    assert [champion_in_force(wheel.warehouse, "content", turn) for turn in TURNS] == ["1", "2", "2"]
    assert predecessor(wheel.warehouse, "content", "2", "9999-12-31") == "1"
    conditions = wheel.warehouse.rows(TABLES["promotion_conditions"], turn=TURNS[0]).select("record", "number")
    assert sorted(conditions.filter(conditions["number"].is_not_nan()).rows()) == [(0, 0.1), (1, -0.05)]


def test_a_past_turn_is_judged_against_the_champion_of_its_time_and_never_a_later_one(wheel: Wheel) -> None:
    wheel.decide(TURNS[0], "4", promoted=True, number=0.3)
    wheel.decide(TURNS[1], "5", promoted=True, number=0.4)
    newest = {str(row[0]): row[1:] for row in wheel.rows("turn", "champion_before", "champion_after", "took_effect")}
    assert newest == {TURNS[0]: ("1", "4", False), TURNS[1]: ("2", "5", False)}
    assert champion_in_force(wheel.warehouse, "content", TURNS[2]) == "2"


def test_while_nothing_has_obeyed_a_decision_late_events_may_still_change_it(tmp_path: Path) -> None:
    wheel = Wheel(tmp_path)
    wheel.produce(TURNS[0], "1")
    wheel.decide(TURNS[0], "2", promoted=False, number=-0.1)
    wheel.decide(TURNS[0], "3", promoted=True, number=0.2)
    assert wheel.rows("record", "took_effect") == [(0, True), (1, True)]
    assert champion_in_force(wheel.warehouse, "content", TURNS[1]) == "3"


def test_status_says_what_late_events_would_decide_now_and_what_took_effect(wheel: Wheel) -> None:
    wheel.warehouse.append(
        TABLES["releases"],
        TABLES["releases"].frame(
            [
                {
                    **dict.fromkeys(TABLES["releases"].columns),
                    "turn": date.fromisoformat(turn),
                    "loop": "content",
                    "is_control": True,
                    "policy_version": "1",
                }
                for turn in TURNS
            ]
        ),
    )
    wheel.decide(TURNS[0], "4", promoted=False, number=-0.05)
    lines = turn_lines(wheel.warehouse)
    assert [line["turn"] for line in lines] == list(TURNS), "a line a turn, however many records"
    assert [decision_text(line) for line in lines] == ["promoted (late events: stays)", "stays", ""]
    said = decision_lines(lines)[0]
    assert "late events would now decide otherwise" in said
    assert "what took effect stays, promoted, champion 2" in said
    assert said.endswith("The bound is -0.05.")


def test_records_of_a_home_of_an_earlier_version_count_as_the_first_and_took_effect(wheel: Wheel) -> None:
    with wheel.warehouse.connect() as connection:
        connection.execute("update flywheel.promotions set record = null, because = null, took_effect = null")
        connection.execute("update flywheel.promotion_conditions set record = null")
    wheel.decide(TURNS[0], "2", promoted=True)
    assert len(wheel.rows("turn")) == 2
    wheel.decide(TURNS[0], "2", promoted=False, number=-1.0)
    assert champion_in_force(wheel.warehouse, "content", TURNS[1]) == "2"
    assert len(wheel.rows("turn")) == 3


def test_conditions_of_a_record_that_a_killed_run_never_wrote_are_written_again(wheel: Wheel) -> None:
    with wheel.warehouse.connect() as connection:
        connection.execute(
            "insert into flywheel.promotion_conditions by name select '2026-01-05'::date as turn, "
            "'content' as loop, 1 as record, 'lower_bound' as condition, 9.9 as number, true as passed"
        )
    wheel.decide(TURNS[0], "4", promoted=False, number=-0.05)
    kept = wheel.warehouse.read("select number from flywheel.promotion_conditions where record = 1")["number"].to_list()
    assert -0.05 in kept
    assert 9.9 not in kept
