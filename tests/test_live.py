"""The real thing on this machine: `flywheel up`, its daemon at work, and a browser in the Dagster UI.

Here: what only running processes show. Not here: what a turn does (test_turn).
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration.graph.driver import Flywheel
from orchestration.model.language_model import LanguageModel
from orchestration.settings import Settings
from orchestration.testing.loopback import Behaviour, Loopback, serve
from orchestration.testing.shop import Wheel, copywriter
from orchestration.turns import Turn

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 240
REPOSITORY = "__repository__"  # how Dagster names the one of a Definitions object
pytestmark = pytest.mark.timeout(900)


class Live:
    """A flywheel of daily turns that is up, and what a user can ask of it over HTTP."""

    def __init__(self, wheel: Wheel, port: int) -> None:
        self.wheel, self.port = wheel, port

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.address}/graphql", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def runs(self) -> list[dict[str, Any]]:
        """Runs, oldest first: job, status, partition, half, backfill."""
        found = self.graphql(
            "{runsOrError{... on Runs{results{runId jobName status startTime endTime tags{key value}}}}}"
        )
        rows = []
        for run in reversed(found["runsOrError"]["results"]):
            tags = {tag["key"]: tag["value"] for tag in run["tags"]}
            rows.append(
                {**run, "partition": tags.get("dagster/partition"), "half": tags.get("flywheel/half"), "tags": tags}
            )
        return rows


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Yesterday was produced and met its audience; today has begun; everything is up."""
    home = tmp_path_factory.mktemp("live")
    today = datetime.now(UTC).date()
    with serve(Behaviour(text=copywriter)) as server:
        wheel = _wheel(home, server, today - timedelta(days=3))
        yesterday = (today - timedelta(days=1)).isoformat()
        wheel.produce(yesterday)
        wheel.play(yesterday)
        port, other = _free_port(), _free_port()
        environment = {
            **os.environ,
            "FLYWHEEL_HOME": str(home),
            "FLYWHEEL_CADENCE": "daily",
            "FLYWHEEL_FIRST_TURN": (today - timedelta(days=3)).isoformat(),
            "FLYWHEEL_MODEL": "loopback",
            "OPENAI_BASE_URL": server.url,
            "OPENAI_API_KEY": "test",
            "FLYWHEEL_PSEUDONYM_KEY": "k" * 32,
        }
        command = [
            sys.executable,
            "-m",
            "orchestration",
            "up",
            "--dagster-port",
            str(port),
            "--mlflow-port",
            str(other),
        ]
        log = (home / "up.log").open("w")
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        live = Live(wheel, port)
        try:
            _wait(lambda: f":{port}" in (home / "up.log").read_text() and process.poll() is None, "the UI comes up")
            yield live
        finally:
            process.send_signal(2)
            assert process.wait(60) == 0
            assert not _answers(port)
            assert not _answers(other)


def test_the_daemon_turns_the_wheel_and_learns_again_when_events_come_late(live: Live) -> None:
    today = datetime.now(UTC).date()
    yesterday = (today - timedelta(days=1)).isoformat()

    _start_schedule_as_of_last_midnight(live)
    _wait(lambda: _done(live, "learn") and _done(live, "produce"), "learn and produce succeed", live)
    asked = [run for run in live.runs() if "dagster/schedule_name" in run["tags"]]
    in_order = [(run["half"], run["partition"]) for run in sorted(asked, key=lambda run: run["startTime"])]
    assert in_order == [("learn", yesterday), ("produce", today.isoformat())]
    learned, produced = sorted(asked, key=lambda run: run["startTime"])
    assert learned["endTime"] <= produced["startTime"]  # one at a time, on a home that is new to the daemon too
    decided = live.wheel.table("promotions")["champion_after"].to_list()
    assert live.wheel.table("champions")["policy_version"].to_list()[-1:] == decided

    for sensor in ("landed_files", "late_events"):
        started = live.graphql(
            "mutation($s:SensorSelector!){startSensor(sensorSelector:$s){__typename ... on PythonError{message}}}",
            s={"repositoryName": REPOSITORY, "repositoryLocationName": "flywheel", "sensorName": sensor},
        )
        assert started["startSensor"]["__typename"] == "Sensor", started
    released = live.wheel.table("releases")
    assert live.wheel.sandbox.land_late(live.wheel.settings.landing, "content")
    _wait(lambda: any(run["half"] == "ingest" and run["status"] == "SUCCESS" for run in live.runs()), "ingest", live)
    _wait(
        lambda: any("dagster/backfill" in run["tags"] and run["status"] == "SUCCESS" for run in live.runs()),
        "a backfill of learn",
        live,
    )
    again = [run for run in live.runs() if "dagster/backfill" in run["tags"]]
    assert {(run["half"], run["partition"]) for run in again} == {("learn", yesterday)}
    assert live.wheel.table("releases").equals(released)


def test_a_person_launches_a_turn_in_the_browser_and_sees_it_succeed(live: Live, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    before = {run["runId"] for run in live.runs()}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_browser(), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1500, "height": 950})
        page.goto(f"{live.address}/locations/flywheel/jobs/produce")
        page.get_by_role("button", name="Materialize all").click(timeout=120_000)
        page.get_by_role("button", name="Latest", exact=True).click(timeout=60_000)
        page.get_by_role("button", name="Launch 1 run").click(timeout=60_000)
        _wait(lambda: {run["runId"] for run in live.runs()} - before, "the run is launched", live)
        (launched,) = [run for run in live.runs() if run["runId"] not in before]
        _wait(lambda: _status(live, launched["runId"]) in ("SUCCESS", "FAILURE"), "the run ends", live)
        page.goto(f"{live.address}/runs/{launched['runId']}")
        page.get_by_text("Success", exact=True).first.wait_for(timeout=60_000)
        page.screenshot(path=str(tmp_path / "run.png"))
        browser.close()
    assert _status(live, launched["runId"]) == "SUCCESS"
    assert launched["jobName"] == "produce"


def _wheel(home: Path, server: Loopback, first: date) -> Wheel:
    options: dict[str, Any] = {"openai_base_url": server.url, "model": "loopback", "openai_api_key": "test"}
    wheel = Wheel(home, model=None, products=6, exposures=2_000)
    wheel.settings = Settings(home=home, first_turn=first, cadence="daily", pseudonym_key="k" * 32, **options)
    wheel.flywheel = Flywheel(wheel.settings, resources={"model": LanguageModel(wheel.settings)})
    return wheel


def _start_schedule_as_of_last_midnight(live: Live) -> None:
    """Switch the schedule on, as if that had been yesterday evening: its daemon owes the tick of last midnight."""
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.scheduler.instigation import ScheduleInstigatorData

    started = live.graphql(
        "mutation($s:ScheduleSelector!){startSchedule(scheduleSelector:$s){__typename ... on PythonError{message}}}",
        s={"repositoryName": REPOSITORY, "repositoryLocationName": "flywheel", "scheduleName": "turn_the_wheel"},
    )
    assert started["startSchedule"]["__typename"] == "ScheduleStateResult", started
    midnight = Turn.containing(datetime.now(UTC), live.wheel.settings).start
    os.environ["DAGSTER_HOME"] = str(live.wheel.settings.dagster_home)
    with dg.DagsterInstance.get() as instance:
        (state,) = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        since = ScheduleInstigatorData(state.instigator_data.cron_schedule, midnight.timestamp() - 3600)
        instance.update_instigator_state(state.with_data(since))


def _status(live: Live, run_id: str) -> str:
    return next(run["status"] for run in live.runs() if run["runId"] == run_id)


def _done(live: Live, half: str) -> bool:
    runs = [run for run in live.runs() if run["half"] == half and "dagster/schedule_name" in run["tags"]]
    failed = [run for run in runs if run["status"] in ("FAILURE", "CANCELED")]
    assert not failed, failed
    return any(run["status"] == "SUCCESS" for run in runs)


def _wait(holds: Callable[[], Any], what: str, live: Live | None = None) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            seen = [(run["half"], run["partition"], run["status"]) for run in live.runs()] if live else []
            pytest.fail(f"Waited {PATIENCE_S} s until {what}. Runs: {seen}")
        time.sleep(1)


def _browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.fail("No Chromium on this machine: `make test` installs it where it can.")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
