"""Which policy is in force when: promotions, their order, and taking one back."""

from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestration.registry.champions import champion_in_force, predecessor, roll_back, rolled_back_to
from orchestration.tables import TABLES
from orchestration.warehouse.duckdb_file import DuckDBWarehouse

TURNS = ("2026-01-05", "2026-01-12", "2026-01-19")


class Registry:
    """Remembers which version was made champion."""

    def __init__(self) -> None:
        self.champion = ""

    def version(self, loop: str, version: str) -> SimpleNamespace:
        return SimpleNamespace(version=version)

    def set_champion(self, loop: str, version: str) -> None:
        self.champion = version


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    """Version 1 produced the first turn; version 2 was promoted after it, and stayed after the second."""
    made = DuckDBWarehouse(tmp_path / "w.duckdb")
    first = {
        "turn": date.fromisoformat(TURNS[0]),
        "loop": "content",
        "policy_version": "1",
        "mlflow_run_id": "r",
        "policy": "{}",
    }
    made.append(TABLES["champions"], TABLES["champions"].frame([first]))
    for turn, before, after in ((TURNS[0], "1", "2"), (TURNS[1], "2", "2")):
        row = {
            "turn": date.fromisoformat(turn),
            "loop": "content",
            "champion_before": before,
            "challenger": "9",
            "promoted": before != after,
            "champion_after": after,
            "reason": "",
            "mlflow_run_id": "r",
            "decided_at": datetime(2026, 2, 1),
        }
        made.append(TABLES["promotions"], TABLES["promotions"].frame([row]))
    return made


def test_the_first_turn_is_learned_under_the_first_policy_and_later_ones_under_what_was_decided(
    warehouse: DuckDBWarehouse,
) -> None:
    assert [champion_in_force(warehouse, "content", turn) for turn in TURNS] == ["1", "2", "2"]


def test_before_any_turn_the_error_names_the_job(warehouse: DuckDBWarehouse) -> None:
    with pytest.raises(LookupError, match="produce"):
        champion_in_force(warehouse, "sales", TURNS[0])


def test_a_rollback_is_obeyed_by_later_turns_and_by_none_before(warehouse: DuckDBWarehouse) -> None:
    registry = Registry()
    assert roll_back(warehouse, registry, "content", "complaints") == ("2", "1")  # type: ignore[arg-type]
    assert registry.champion == "1"
    assert [champion_in_force(warehouse, "content", turn) for turn in TURNS] == ["1", "2", "1"]
    assert rolled_back_to(warehouse, "content", TURNS[1]) == "1"
    assert rolled_back_to(warehouse, "content", TURNS[0]) is None


def test_a_rollback_that_is_said_twice_takes_one_step(warehouse: DuckDBWarehouse) -> None:
    registry = Registry()
    roll_back(warehouse, registry, "content", "complaints")  # type: ignore[arg-type]
    assert roll_back(warehouse, registry, "content", "again", "1") == ("1", "1")  # type: ignore[arg-type]
    with pytest.raises(LookupError, match="nothing changed"):
        roll_back(warehouse, registry, "content", "again")  # type: ignore[arg-type]
    assert warehouse.rows(TABLES["rollbacks"]).height == 1


def test_the_first_champion_has_none_to_go_back_to(warehouse: DuckDBWarehouse) -> None:
    assert predecessor(warehouse, "content", "1", "9999-12-31") is None
    roll_back(warehouse, Registry(), "content", "once")  # type: ignore[arg-type]
    with pytest.raises(LookupError, match="--to"):
        roll_back(warehouse, Registry(), "content", "twice")  # type: ignore[arg-type]
