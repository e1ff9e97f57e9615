"""What `flywheel doctor` says of a set-up, and the remedy it names."""

import socket
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel

from orchestration.commands import connections
from orchestration.commands.doctor import Finding, findings
from orchestration.delivery import Trial
from orchestration.generation import Shown, contained, grounded_on, written
from orchestration.guards import rule
from orchestration.landing.folder import Landing
from orchestration.landing.pseudonyms import Pseudonyms
from orchestration.loops.declaration import Loop, Outcome, Reward, Subjects, days
from orchestration.loops.found import declared_loops
from orchestration.loops.recipes import Recipes
from orchestration.settings import Settings
from orchestration.testing.loopback import Behaviour, serve
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from tests.test_seventh_loop_shared import RECIPE


def found(settings: Settings) -> dict[str, Finding]:
    landing = Landing(settings.landing, DuckDBWarehouse(settings.warehouse_path), Pseudonyms(b"k" * 32), settings)
    return {
        finding.check: finding
        for finding in findings(settings, declared_loops(settings.loops, settings.brand_file), landing)
    }


def test_a_fresh_home_needs_nothing_but_subjects(tmp_path: Path) -> None:
    states = {check: finding.state for check, finding in found(Settings(_env_file=None, home=tmp_path)).items()}
    assert "fails" not in states.values()
    assert states["content: subjects"] == "note"


@pytest.mark.parametrize(("same", "state"), [(True, "ok"), (False, "fails")])
def test_a_key_that_earlier_turns_were_not_stored_with_would_split_every_unit_in_two(
    tmp_path: Path, same: bool, state: str
) -> None:
    Pseudonyms.kept_in(tmp_path)
    key = (tmp_path / "pseudonym.key").read_text() if same else "another key of 32 characters or so"
    finding = found(Settings(_env_file=None, home=tmp_path, pseudonym_key=key))["pseudonyms"]
    assert finding.state == state
    if not same:
        assert "pseudonym.key" in finding.remedy
        assert key not in finding.found + finding.remedy


def test_a_file_with_other_columns_is_named_before_a_turn_meets_it(tmp_path: Path) -> None:
    folder = tmp_path / "landing" / "content" / "subjects"
    folder.mkdir(parents=True)
    (folder / "catalogue.csv").write_text("sku,name\n1,Milk\n")
    finding = found(Settings(_env_file=None, home=tmp_path))["content: subjects"]
    assert finding.state == "fails"
    assert "subject_id" in finding.remedy


def test_every_folder_under_landing_is_looked_at_and_a_misspelt_one_named_with_what_was_meant(tmp_path: Path) -> None:
    for place in (
        "event",
        "content/subject",
        "contents/subjects",
        "events/2026",
        "documents/faq",
        "elsewhere/far",
        ".",
    ):
        folder = tmp_path / "landing" / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "f.csv").write_text("a,b\n1,2\n")
    finding = found(Settings(_env_file=None, home=tmp_path))["landing folder"]
    assert finding.state == "fails"
    for said in (
        "event/f.csv lies in landing/event/, which nobody looks at: landing/events/ was probably meant",
        "content/subject/f.csv lies in landing/content/subject/, which nobody looks at: landing/content/subjects/ was",
        "contents/subjects/f.csv lies in landing/contents/subjects/, which nobody looks at: landing/content/subjects/",
        "events/2026/f.csv lies too deep",
        "elsewhere/far/f.csv lies in landing/elsewhere/far/, which nobody looks at: looked at are events, ",
        "f.csv lies in landing/ itself",
    ):
        assert said in finding.found
    assert "documents/faq" not in finding.found


def test_a_sample_of_each_waiting_file_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "landing" / "events"
    folder.mkdir(parents=True)
    (folder / "new.csv").write_text("a,b\n1,2\n")
    assert "new.csv misses the columns" in found(Settings(_env_file=None, home=tmp_path))["events"].found
    names = "event_id,event_type,loop,subject_id,variant_id,unit_id,occurred_at"
    (folder / "new.csv").write_text(f"{names}\n1,click,content,s,,u,05/01/2026\n")
    finding = found(Settings(_env_file=None, home=tmp_path))["events"]
    assert (finding.state, finding.found) == (
        "note",
        "events/new.csv: of the first 1 rows, some cannot be read (1 ambiguous_date)",
    )


class Snippet(BaseModel):
    code: Annotated[str, Shown()]


def grounded_and_tried(folder: Path) -> Loop:
    (folder / "title-plain.md").write_text(RECIPE.format(style="plain"))
    return Loop(
        name="snippets",
        subjects=Subjects(key="task", facts=("tests",), original="code_now", pool="kind", format="form"),
        generation=grounded_on("manuals") >> written(Recipes(folder)),
        answer=Snippet,
        guards=(rule("short", "Short.", lambda answer, _: len(answer["code"]) < 500),),
        delivery=Trial(test=contained("code", "tests")),
        outcomes=(Outcome("passed", within=days(1)),),
        reward=Reward("passed"),
    )


@pytest.mark.parametrize("landed", [False, True])
def test_documents_and_containment_are_asked_for_where_a_loop_needs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, landed: bool
) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    loop = grounded_and_tried(tmp_path)
    landing = Landing(settings.landing, DuckDBWarehouse(settings.warehouse_path), Pseudonyms(b"k" * 32), settings)
    if landed:
        row = {"task": "t", "tests": "assert f()", "code_now": "pass", "kind": "k", "form": "title"}
        landing.write("subjects", "snippets", [row], "tasks")
    monkeypatch.setattr(
        "orchestration.trials.containment.containment_problem",
        lambda: "bubblewrap is not installed: `apt-get install bubblewrap`.",
    )
    said = {finding.check: finding for finding in findings(settings, [loop], landing)}
    missing = "fails" if landed else "note"  # without a subject a turn has nothing to do
    assert said["snippets: documents"].state == said["trials"].state == missing
    assert "landing/documents/manuals/" in said["snippets: documents"].remedy
    assert said["trials"].remedy == "`apt-get install bubblewrap`."

    landing.write("documents", "manuals", [{"document_id": "d", "title": "T", "text": "x"}], "manual")
    monkeypatch.setattr("orchestration.trials.containment.containment_problem", lambda: None)
    said = {finding.check: finding for finding in findings(settings, [loop], landing)}
    assert said["snippets: documents"].state == said["trials"].state == "ok"


def test_nothing_is_tried_out_for_loops_that_run_no_program(tmp_path: Path) -> None:
    assert "trials" not in found(Settings(_env_file=None, home=tmp_path))


@pytest.mark.parametrize(
    ("model", "behaviour", "state", "said"),
    [
        ("loopback", {}, "ok", "loopback at the address in OPENAI_BASE_URL, which answers"),
        (None, {}, "ok", "loopback"),
        ("gpt-nix", {}, "note", "does not list 'gpt-nix' among 1 models (loopback)"),
        ("loopback", {"key": "another"}, "fails", "401"),
    ],
)
def test_the_endpoint_is_asked_once_and_the_key_is_not_shown(
    tmp_path: Path, model: str | None, behaviour: dict[str, str], state: str, said: str
) -> None:
    with serve(Behaviour(**behaviour)) as server:
        settings = Settings(
            _env_file=None, home=tmp_path, openai_base_url=server.url, openai_api_key="sk-secret-4711", model=model
        )
        finding = connections.endpoint(settings)
        assert not server.bodies  # nothing is generated, so that nothing is paid for
    assert finding.state == state
    assert said in finding.found
    assert "sk-secret-4711" not in finding.found + finding.remedy
    assert bool(finding.remedy) == (state != "ok")


def test_an_endpoint_that_is_not_there_fails_with_a_remedy(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path, openai_base_url="http://127.0.0.1:9/v1", model="m")
    finding = connections.endpoint(settings)
    assert (finding.state, "cannot be reached" in finding.found) == ("fails", True)
    assert "OPENAI_BASE_URL" in finding.remedy


def test_a_damaged_database_of_mlflow_is_found(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    assert connections.mlflow(settings).state == "ok"
    (tmp_path / "mlflow.db").write_bytes(b"this is no database at all" * 100)
    finding = connections.mlflow(settings)
    assert finding.state == "fails"
    assert "mlflow.db" in finding.remedy


def test_a_port_that_is_taken_is_told_with_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(connections, "PORTS", (("Dagster UI", port, "--dagster-port"),))
        (finding,) = connections.ports()
    assert (finding.state, finding.found) == ("note", f"port {port} is taken")
    assert "--dagster-port" in finding.remedy
    (finding,) = connections.ports()
    assert finding.state == "ok"
