"""The language model as Dagster gives it to assets."""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from orchestration.model.language_model import LanguageModel, model_resource
from orchestration.settings import Settings
from orchestration.testing.asking import KEY, LOOP, TURN, Copy, briefs
from orchestration.testing.loopback import Loopback

pytest_plugins = ("tests.loopback_fixtures",)


def asking(found: list[str]) -> dg.AssetsDefinition:
    @dg.asset
    def written(model: dg.ResourceParam[LanguageModel]) -> None:
        answers = model.answer_all(briefs(4), Copy, text_field="text", turn=TURN, loop=LOOP)
        found.extend(answer.status for answer in answers)

    return written


def test_an_asset_gets_the_model_that_the_environment_names(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": KEY, "FLYWHEEL_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    found: list[str] = []
    with dg.instance_for_test() as instance:
        assert dg.materialize(
            [asking(found)], resources={"model": model_resource(Settings())}, instance=instance
        ).success
        stored = json.dumps([str(entry) for entry in instance.all_logs(instance.get_runs()[0].run_id)])
    assert found == ["ok"] * 4
    assert KEY not in stored


def test_a_test_puts_a_model_of_its_own_in_its_place(settings) -> None:
    found: list[str] = []
    assert dg.materialize([asking(found)], resources={"model": LanguageModel(settings())}).success
    assert found == ["ok"] * 4


def test_neither_key_nor_address_is_part_of_dagsters_configuration() -> None:
    assert model_resource(Settings()).config_schema.as_field().config_type.given_name == "Any"


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = "{'openai', 'httpx2', 'llama_cpp', 'pandas', 'polars'}"
    checking = f"import sys, orchestration.model.language_model; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", checking], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
