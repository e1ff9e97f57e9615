"""What `flywheel status` says below its table: what is in force, what was refused, and what waits."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.commands.standing import refusals, standing_lines
from orchestration.home import prepare_home
from orchestration.learning.proof.evidence import few_near_identical_texts, sample_ratio
from orchestration.settings import Settings
from orchestration.tables import TABLES
from orchestration.warehouse.duckdb_file import DuckDBWarehouse

FIRST, SECOND = "2026-01-05", "2026-01-12"


class Home:
    """A home whose records are written by hand."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(_env_file=None, home=folder)
        self.warehouse = DuckDBWarehouse(self.settings.warehouse_path)

    def write(self, table: str, **row: Any) -> None:
        declared = TABLES[table]
        self.warehouse.append(declared, declared.frame([{**dict.fromkeys(declared.columns), **row}]))

    def lines(self) -> list[str]:
        return list(standing_lines(self.warehouse, self.settings))

    def run(self, turn: str, half: str, *checks: dg.AssetCheckResult) -> None:
        """A run as Dagster keeps it, of an asset whose checks came out like this."""

        @dg.asset(
            partitions_def=dg.StaticPartitionsDefinition([FIRST, SECOND]),
            check_specs=[dg.AssetCheckSpec(str(each.check_name), asset="gated", blocking=True) for each in checks],
        )
        def gated() -> dg.MaterializeResult:
            return dg.MaterializeResult(check_results=checks)

        prepare_home(self.settings)
        with dg.DagsterInstance.get() as instance:
            dg.materialize(
                [gated], instance=instance, partition_key=turn, tags={"flywheel/half": half}, raise_on_error=False
            )


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def champion(turn: str, version: str) -> dict[str, Any]:
    return {"turn": date.fromisoformat(turn), "loop": "content", "policy_version": version}


def check(name: str, passed: bool, description: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(check_name=name, passed=passed, description=description)


def test_the_champion_in_force_is_told(home: Home) -> None:
    home.write("champions", **champion(FIRST, "1"))
    assert home.lines() == ["content: champion in force is content-policy/1."]


def test_a_rollback_is_told_until_a_turn_obeys_it(home: Home) -> None:
    home.write("champions", **champion(FIRST, "2"))
    home.write(
        "rollbacks", turn=date.fromisoformat(FIRST), loop="content", from_version="2", to_version="1",
        reason="complaints rose", rolled_back_at=datetime(2026, 1, 12, tzinfo=UTC).replace(tzinfo=None),
    )  # fmt: skip
    (line,) = home.lines()
    assert line == (
        "content: a rollback from content-policy/2 to content-policy/1 takes effect with the next turn "
        "(complaints rose)."
    )
    home.write("champions", **champion(SECOND, "1"))
    assert home.lines() == ["content: champion in force is content-policy/1."]


def test_a_refused_half_of_a_turn_is_told_with_its_gates_and_the_remedy_until_it_ran_well(home: Home) -> None:
    told = sample_ratio(1e-9).detail
    home.run(FIRST, "learn", check("sample_ratio", False, told), check("shared_subjects", True, "None."))
    (line,) = refusals(home.settings)
    assert line.startswith(f"{FIRST}, learn: refused: sample_ratio. The shares of units differ")
    assert "Find what serves other shares" in line
    assert f"`flywheel turn {FIRST} --learn`" in line
    assert "shared_subjects" not in line
    home.run(FIRST, "learn", check("sample_ratio", True, "As planned."))
    assert not list(refusals(home.settings))


def test_spend_and_refused_rows_by_reason_are_told(home: Home) -> None:
    call = {"turn": date.fromisoformat(FIRST), "loop": "content", "call_id": "c", "brief_id": "b", "model": "m"}
    home.write("llm_calls", **call, input_tokens=900, output_tokens=100, cost_usd=0.25, cache_hit=False)
    home.write("llm_calls", **call, input_tokens=900, output_tokens=100, cost_usd=0.25, cache_hit=True)
    for line, reason in enumerate(("missing_unit", "missing_unit", "bad_time")):
        home.write("quarantine", file_hash="f", kind="events", line=line, reason=reason, detail="x")
    spent, refused = home.lines()
    assert spent.startswith("content: $0.2500 and 1,000 tokens spent so far in 1 calls")
    assert refused == "3 landed rows were refused: 2 missing_unit, 1 bad_time (table flywheel.quarantine)."


def test_a_condition_says_what_to_do_only_where_it_failed() -> None:
    assert "Find what serves" not in sample_ratio(0.4).detail
    assert "Give subjects" in few_near_identical_texts(0.4).detail
    assert "Give subjects" not in few_near_identical_texts(0.0).detail
