"""dbt in Dagster: models as assets of the turn, tests as their checks, one step for all of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.graph.assets.kpis import kpi_assets
from orchestration.loops.content import declare as content_loop
from orchestration.settings import Settings
from orchestration.tables import TABLES
from orchestration.turns import turn_partitions
from orchestration.warehouse.dbt import Dbt
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from tests.turn_facts import NEXT, TURN, TurnFacts

CONTENT = content_loop()
SUPPORT = replace(content_loop(), name="support", guardrails=())
HALVES = {"original": 0.5, "playful": 0.5}


def kpi_definitions(folder: Path) -> dg.Definitions:
    assets = kpi_assets((CONTENT, SUPPORT), turn_partitions(Settings(home=folder)))
    warehouse = DuckDBWarehouse(folder / "warehouse.duckdb")
    resources = {"dbt": Dbt(warehouse), "warehouse": warehouse}
    return dg.Definitions([assets], resources=resources)


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dg.AssetSpec]:
    folder = tmp_path_factory.mktemp("specs")
    found = kpi_assets((CONTENT, SUPPORT), turn_partitions(Settings(home=folder))).specs
    return {spec.key.to_user_string(): spec for spec in found}


@pytest.fixture
def facts(tmp_path: Path) -> TurnFacts:
    facts = TurnFacts(tmp_path)
    for turn, day in ((TURN, "2026-01-06"), (NEXT, "2026-01-13")):
        facts.release("s1", HALVES, turn=turn)
        facts.expose("ann", "s1", "playful", f"{day} 09:00", turn=turn)
    facts.flush()
    return facts


def run(facts: TurnFacts, **options: Any) -> dg.ExecuteInProcessResult:
    job = kpi_definitions(facts.warehouse.path.parent).resolve_implicit_global_asset_job_def()
    return job.execute_in_process(raise_on_error=False, **options)


def depends_on(spec: dg.AssetSpec) -> set[str]:
    return {dependency.asset_key.to_user_string() for dependency in spec.deps}


def test_a_stage_of_every_loop_stands_behind_a_source(specs: dict[str, dg.AssetSpec]) -> None:
    assert depends_on(specs["stg_releases"]) == {"content/releases", "support/releases"}
    assert depends_on(specs["stg_champions"]) == {"content/champion", "support/champion"}
    assert depends_on(specs["stg_exposures"]) == {"exposures"}
    assert depends_on(specs["stg_outcome_definitions"]) == set()
    assert depends_on(specs["int_first_exposures"]) == {"stg_exposures", "int_released_variants"}


def test_an_asset_tells_what_it_is(specs: dict[str, dg.AssetSpec]) -> None:
    spec = specs["momentum"]
    assert (spec.group_name, spec.kinds, list(spec.owners)) == ("kpis", {"dbt", "duckdb"}, ["team:growth"])
    assert spec.description is not None
    assert spec.description.startswith("One row per turn and loop")
    assert spec.metadata["dagster/table_name"] == "marts.momentum"
    columns = {column.name: column for column in spec.metadata["dagster/column_schema"].columns}
    assert columns["lift"].type == "double precision"
    assert columns["lift"].description == "treated_rate / holdout_rate - 1."


def test_the_graph_of_models_can_be_sorted(tmp_path: Path) -> None:
    graph = kpi_definitions(tmp_path).resolve_asset_graph()
    order = [key.to_user_string() for key in graph.toposorted_asset_keys]
    assert order.index("exposures") < order.index("stg_exposures") < order.index("variant_readouts")


def test_a_turn_materialises_every_model_and_answers_every_check(
    facts: TurnFacts, specs: dict[str, dg.AssetSpec]
) -> None:
    result = run(facts, partition_key=TURN)
    assert result.success
    made = {event.asset_key.to_user_string(): event for event in result.get_asset_materialization_events()}
    assert made.keys() == specs.keys()
    assert {event.partition for event in made.values()} == {TURN}
    metadata = made["variant_readouts"].materialization.metadata
    assert metadata["dagster/row_count"].value == 2
    assert "| turn | loop |" in str(metadata["preview"].value)
    checks = result.get_asset_check_evaluations()
    assert all(check.passed for check in checks)
    assert {"unique_combination", "momentum_lies_in_its_interval"} <= {
        check.check_name for check in checks if check.asset_key == dg.AssetKey("momentum")
    }


def test_outcomes_are_judged_as_the_loops_declare_them(facts: TurnFacts) -> None:
    run(facts, partition_key=TURN)
    rows = facts.warehouse.rows(TABLES["outcome_definitions"]).rows_by_key("loop", named=True)
    assert {(row["outcome"], row["within_s"], row["is_reward"], row["is_guardrail"], row["has_value"])
            for row in rows["content"]} == {
        ("click", 86_400, True, False, False),
        ("purchase", 604_800, False, False, True),
        ("complaint", 604_800, False, True, False),
    }  # fmt: skip
    assert not any(row["is_guardrail"] for row in rows["support"])


def test_one_run_over_several_turns_builds_all_of_them(facts: TurnFacts) -> None:
    tags = {"dagster/asset_partition_range_start": TURN, "dagster/asset_partition_range_end": NEXT}
    result = run(facts, tags=tags)
    assert result.success
    assert {str(row["turn"]) for row in facts.mart("momentum")} == {TURN, NEXT}


def test_a_broken_promise_fails_its_check_and_the_step(facts: TurnFacts) -> None:
    with facts.warehouse.connect() as connection:
        connection.execute("update flywheel.releases set share = 0.9")
    result = run(facts, partition_key=TURN)
    assert not result.success
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert [(check.asset_key.to_user_string(), check.check_name) for check in failed] == [
        ("stg_releases", "sound_releases")
    ]
    (failure,) = (event for event in result.all_events if event.is_step_failure)
    assert "sound_releases" in str(failure.step_failure_data.user_failure_data or failure.step_failure_data.error)
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
    assert "stg_releases" in made
    assert "momentum" not in made
