"""The assembled graph: that it is whole, readable in the UI, quick to load, and free of what must not be in it."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from orchestration.graph.definitions import build_definitions
from orchestration.graph.jobs import PRODUCING
from orchestration.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("great_expectations", "mlflow", "openai", "sklearn")


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_definitions(settings=Settings(home=tmp_path_factory.mktemp("graph")))


def test_the_graph_has_an_order(defs: dg.Definitions) -> None:
    order = [key for level in defs.resolve_asset_graph().toposorted_asset_keys_by_level for key in level]
    assert order.index(dg.AssetKey(["content", "champion"])) < order.index(dg.AssetKey(["content", "promotion"]))


def test_every_asset_is_described_owned_and_grouped(defs: dg.Definitions) -> None:
    bare = [
        spec.key.to_user_string()
        for spec in defs.resolve_all_asset_specs()
        if not (spec.description and spec.owners and spec.group_name and spec.kinds)
    ]
    assert bare == []


def test_the_stages_of_a_turn_follow_one_another(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()

    def above(name: str) -> set[str]:
        return {key.to_user_string() for key in graph.get(dg.AssetKey(name.split("/"))).parent_keys}

    assert above("content/champion") == {"model_registry", "content/champion"}
    assert {"content/champion", "content/subjects"} <= above("content/briefs")
    assert "content/briefs" in above("content/candidates")
    assert "content/releases" in above("exposures")
    assert "events" in above("exposures")
    assert "variant_readouts" in above("content/evidence")
    assert {"content/challenger", "content/comparison"} <= above("content/promotion")


def test_a_backfill_of_learn_never_touches_a_stage_that_releases(defs: dg.Definitions) -> None:
    learn = defs.resolve_job_def("learn").asset_layer.executable_asset_keys
    assert not {key.path[-1] for key in learn} & set(PRODUCING)


def test_critical_gates_block(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    blocking = {
        (key.asset_key.to_user_string(), key.name)
        for key in graph.asset_check_keys
        if graph.get_check_spec(key).blocking
    }
    gated = {asset for asset, _ in blocking}
    assert {"content/subjects", "content/candidates", "exposures"} <= gated


def test_the_loop_has_a_schedule_and_two_sensors(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    assert [schedule.name for schedule in repository.schedule_defs] == ["turn_the_wheel"]
    assert sorted(sensor.name for sensor in repository.sensor_defs) == ["landed_files", "late_events"]


def test_loading_the_definitions_imports_nothing_heavy() -> None:
    code = (
        "import sys, json, orchestration.definitions; "
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_no_secret_is_part_of_the_configuration_that_the_ui_shows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-shown")
    monkeypatch.setenv("FLYWHEEL_PSEUDONYM_KEY", "pseudonym-key-not-to-be-shown")
    defs = build_definitions(settings=Settings(home=tmp_path))
    shown = "".join(
        str(getattr(resource, "schema_config", "")) + str(resource) + str(vars(resource))
        for resource in defs.get_repository_def().get_top_level_resources().values()
    )
    assert "not-to-be-shown" not in shown
