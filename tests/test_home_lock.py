"""One run at a time in a home, whatever process it is in; a dead one holds nothing."""

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.monitoring.run_monitoring import monitor_started_run

from orchestration.graph import launcher
from orchestration.home import prepare_home
from orchestration.home_lock import home_locked, is_alive, sign_of_life
from orchestration.settings import Settings

HOLDER = """
import sys, time
from pathlib import Path
from orchestration.home_lock import home_locked, sign_of_life
home = Path(sys.argv[1])
with sign_of_life(home, "the run"), home_locked(home, "learn 2026-01-05", print):
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def held_by_another(home: Path) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-c", HOLDER, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_second_run_waits_says_for_whom_and_goes_on_when_the_first_is_killed(tmp_path: Path) -> None:
    told: list[str] = []
    with held_by_another(tmp_path) as holder:
        threading.Timer(0.5, holder.kill).start()
        started = time.monotonic()
        with home_locked(tmp_path, "produce 2026-01-12", told.append):
            waited = time.monotonic() - started
    assert 0.3 < waited < 5
    (line,) = told
    assert f"learn 2026-01-05 (process {holder.pid}, since 2" in line


def test_two_threads_of_one_process_do_not_work_beside_each_other(tmp_path: Path) -> None:
    order: list[str] = []

    def run(name: str) -> None:
        with home_locked(tmp_path, name, lambda _: None):
            order.append(f"{name} begins")
            time.sleep(0.1)
            order.append(f"{name} ends")

    threads = [threading.Thread(target=run, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line[2:] for line in order] == ["begins", "ends", "begins", "ends"]


def test_a_run_is_alive_as_long_as_its_process(tmp_path: Path) -> None:
    assert not is_alive(tmp_path, "the run")
    with held_by_another(tmp_path) as holder:
        assert is_alive(tmp_path, "the run")
        holder.kill()
        holder.wait()
        assert not is_alive(tmp_path, "the run")
    with sign_of_life(tmp_path, "another"):
        assert is_alive(tmp_path, "another")
    assert not list((tmp_path / "alive").iterdir())


def test_the_daemon_gives_a_run_up_whose_process_was_killed_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the daemon does at each of its looks, 15 seconds apart, to a run that a dead process left as started."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))  # prepare_home sets it for good
    settings = Settings(_env_file=None, home=tmp_path / "home")
    prepare_home(settings)
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.run_launcher, launcher.WatchfulRunLauncher)
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_poll_interval_seconds <= 30
        dead, living = (instance.create_run_for_job(job) for job in (turned, turned))
        for run in (dead, living):
            instance.run_storage.handle_run_event(run.run_id, _started(run))
        with sign_of_life(settings.dagster_home, living.run_id):
            for grace in (60.0, 0.0):
                monkeypatch.setattr(launcher, "GRACE_S", grace)
                for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
                    monitor_started_run(instance, None, record, logging.getLogger("test"))  # type: ignore[arg-type]
                statuses = [instance.get_run_by_id(run.run_id).status.value for run in (dead, living)]  # type: ignore[union-attr]
                assert statuses == (["STARTED"] * 2 if grace else ["FAILURE", "STARTED"])


def test_the_settings_of_an_earlier_home_gain_the_launcher_and_keep_what_a_person_changed(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    laid = tmp_path / "dagster" / "dagster.yaml"
    laid.parent.mkdir()
    laid.write_text("# mine\nrun_monitoring:\n  enabled: true\n  start_timeout_seconds: 300\n")
    prepare_home(settings)
    text = laid.read_text()
    assert text.startswith("# mine\n")
    assert "poll_interval_seconds: 15" in text
    assert text.count("WatchfulRunLauncher") == 1
    prepare_home(settings)
    assert laid.read_text() == text
    laid.write_text("run_launcher:\n  module: mine\n  class: Mine\n")
    prepare_home(settings)
    assert laid.read_text() == "run_launcher:\n  module: mine\n  class: Mine\n"


@dg.op
def nothing() -> None: ...


@dg.job
def turned() -> None:
    nothing()


def _started(run: dg.DagsterRun) -> dg.DagsterEvent:
    return dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name)
