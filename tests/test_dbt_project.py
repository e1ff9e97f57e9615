"""The dbt project as a whole: every model keeps the same promises, and its unit tests hold on a fresh warehouse."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestration.tables import TABLES
from orchestration.testing.postgres import PostgresServer
from orchestration.warehouse import dbt_project
from orchestration.warehouse.dbt import Dbt
from orchestration.warehouse.dbt_project import PROJECT, DbtError, manifest_path
from orchestration.warehouse.dbt_sources import SOURCES, sources_yaml
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from orchestration.warehouse.postgres import PostgresWarehouse


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return json.loads(manifest_path().read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def models(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]


@pytest.fixture(scope="module")
def kpi_models(models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [model for model in models if model["name"] != "time_spine"]


def data_tests_of(manifest: dict[str, Any], model: dict[str, Any]) -> list[dict[str, Any]]:
    found = manifest["nodes"].values()
    return [node for node in found if node["resource_type"] == "test" and node["attached_node"] == model["unique_id"]]


def unit_tests_of(manifest: dict[str, Any], model: dict[str, Any]) -> list[dict[str, Any]]:
    return [test for test in manifest["unit_tests"].values() if test["model"] == model["name"]]


def test_sources_are_the_declared_tables(manifest: dict[str, Any]) -> None:
    assert SOURCES.read_text(encoding="utf-8") == sources_yaml(), "run `python -m orchestration.warehouse.dbt_sources`"
    sources = {source["name"]: source for source in manifest["sources"].values()}
    assert {
        name: {column: (found["data_type"], found["description"]) for column, found in source["columns"].items()}
        for name, source in sources.items()
    } == {
        table.name: {column: (kind.lower(), meaning) for column, (kind, meaning) in table.columns.items()}
        for table in TABLES.values()
    }


def test_a_model_comes_with_its_yaml_of_the_same_name(models: list[dict[str, Any]]) -> None:
    for model in models:
        sql = PROJECT / model["original_file_path"]
        assert model["patch_path"] == f"flywheel://{model['original_file_path'].removesuffix('.sql')}.yml"
        assert sql.stem == model["name"]


def test_a_model_says_its_grain_first_and_explains_every_column(models: list[dict[str, Any]]) -> None:
    for model in models:
        assert model["description"].startswith("One row per "), model["name"]
        unexplained = [name for name, column in model["columns"].items() if not column["description"]]
        assert not unexplained, (model["name"], unexplained)


def test_a_model_tests_its_key_and_proves_by_example_what_it_computes(
    manifest: dict[str, Any], kpi_models: list[dict[str, Any]]
) -> None:
    for model in kpi_models:
        kinds = {test["test_metadata"]["name"] for test in data_tests_of(manifest, model)}
        assert "unique_combination" in kinds, model["name"]
        if model["schema"] != "staging":
            assert unit_tests_of(manifest, model), model["name"]


def test_a_mart_keeps_its_contract_and_replaces_turns(kpi_models: list[dict[str, Any]]) -> None:
    marts = [model for model in kpi_models if model["schema"] == "marts"]
    assert len(marts) == 15
    for mart in marts:
        config = mart["config"]
        assert config["contract"]["enforced"], mart["name"]
        assert (config["materialized"], config["incremental_strategy"]) == ("incremental", "replace_turns")


def test_marts_end_in_an_exposure(manifest: dict[str, Any], kpi_models: list[dict[str, Any]]) -> None:
    exposed = {name for exposure in manifest["exposures"].values() for name in exposure["depends_on"]["nodes"]}
    assert exposed == {model["unique_id"] for model in kpi_models if model["schema"] == "marts"}


def test_metrics_are_defined(manifest: dict[str, Any]) -> None:
    named = {metric["name"] for metric in manifest["metrics"].values()}
    assert {"momentum", "reward_rate", "conversion_rate", "cost_per_released_variant", "excluded_units"} <= named


def test_everything_holds_on_a_fresh_warehouse(tmp_path: Path, manifest: dict[str, Any]) -> None:
    results = Dbt(DuckDBWarehouse(tmp_path / "warehouse.duckdb")).build(["2026-01-05"], unit_tests=True, thorough=True)
    passed = {result.unique_id for result in results if result.status in ("success", "pass")}
    promised = {name for name, node in manifest["nodes"].items() if node["resource_type"] in ("model", "test")}
    assert passed == promised | set(manifest["unit_tests"])


def test_everything_holds_on_postgres_but_what_is_keyed_by_another_hash(
    postgres: PostgresServer, manifest: dict[str, Any]
) -> None:
    dbt = Dbt(PostgresWarehouse(postgres.new_database()))
    dbt.build(["2026-01-05"])  # its unit tests want to see the tables
    results = dbt.build(["2026-01-05"], unit_tests=True, thorough=True)
    passed = {result.unique_id for result in results if result.status in ("success", "pass", "kept")}
    promised = {name for name, node in manifest["nodes"].items() if node["resource_type"] in ("model", "test")}
    assert passed >= promised
    assert {name.split(".")[-1] for name in set(manifest["unit_tests"]) - passed} == {
        "what_a_unit_did_before_counts_on_other_subjects_only",
        "who_is_left_out_and_whose_amount_is_cut",
    }


def test_a_project_that_does_not_parse_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "dbt_project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setattr(dbt_project, "PROJECT", copy)
    (copy / "models" / "marts" / "turn_costs.sql").write_text("select * from {{ ref('nowhere') }}", encoding="utf-8")
    with pytest.raises(DbtError, match=r"turn_costs.*nowhere"):
        manifest_path()
