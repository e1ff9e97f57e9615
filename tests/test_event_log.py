"""The event log that is kept open: the same events as Dagster's own, seen by others while a run goes on."""

import sqlite3
import threading
import uuid
from pathlib import Path

import dagster as dg
import pytest

from orchestration.graph.event_log import KeptOpenEventLog
from orchestration.home import prepare_home
from orchestration.settings import Settings


@dg.asset
def counted(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    context.log.info("one, two, three")
    return dg.MaterializeResult(metadata={"rows": 3})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))  # prepare_home sets it for good
    prepare_home(Settings(_env_file=None, home=tmp_path / "home"))


def types_of(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [entry.dagster_event_type.value for entry in instance.all_logs(run_id) if entry.dagster_event_type]


def test_a_home_logs_the_same_events_as_dagster_itself(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    with dg.DagsterInstance.get() as ours, dg.DagsterInstance.local_temp(str(tmp_path / "theirs")) as theirs:
        assert isinstance(ours.event_log_storage, KeptOpenEventLog)
        logged = [types_of(one, dg.materialize([counted], instance=one).run_id) for one in (ours, theirs)]
        assert ours.get_latest_materialization_event(counted.key) is not None
    assert logged[0] == logged[1]


def test_a_page_that_shows_a_run_hears_of_its_events_from_elsewhere() -> None:
    heard: list[dg.EventLogEntry] = []
    ended, run_id = threading.Event(), str(uuid.uuid4())

    def hear(event: dg.EventLogEntry, cursor: str) -> None:  # noqa: ARG001
        heard.append(event)
        if event.dagster_event and event.dagster_event.event_type is dg.DagsterEventType.PIPELINE_SUCCESS:
            ended.set()

    job = dg.Definitions(assets=[counted]).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.get() as writing, dg.DagsterInstance.get() as page:
        page.watch_event_logs(run_id, None, hear)
        job.execute_in_process(instance=writing, run_id=run_id)
        assert ended.wait(20), [event.message for event in heard]


def test_more_runs_than_files_are_kept_open_all_stay_readable() -> None:
    with dg.DagsterInstance.get() as instance:
        runs = [dg.materialize([counted], instance=instance).run_id for _ in range(6)]
        logged = [types_of(instance, run) for run in runs]
    assert len(logged[0]) > 5
    assert logged == [logged[0]] * 6


def laid(folder: Path, run_id: str) -> list[tuple[str, ...]]:
    with sqlite3.connect(folder / "history" / "runs" / f"{run_id}.db") as file:
        version = file.execute("select 'version', version_num from alembic_version").fetchall()
        return [*file.execute("select type, name, sql from sqlite_master order by 1, 2"), *version]


def test_a_run_file_is_laid_as_dagster_lays_it(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    with dg.DagsterInstance.get() as ours, dg.DagsterInstance.local_temp(str(tmp_path / "theirs")) as theirs:
        runs = [dg.materialize([counted], instance=ours).run_id for _ in range(2)]
        expected = laid(tmp_path / "theirs", dg.materialize([counted], instance=theirs).run_id)
        found = [laid(Path(ours.root_directory), run_id) for run_id in runs]
    assert len(expected) > 5
    assert found == [expected, expected]


def test_events_that_belong_together_are_kept_all_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.DagsterInstance.get() as instance:
        log = instance.event_log_storage
        run_id = dg.materialize([counted], instance=instance).run_id
        before = log.get_logs_for_run(run_id)
        kept = [entry for entry in before if entry.is_dagster_event]
        monkeypatch.setattr(log, "_store_asset_event", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            log.store_event_batch(kept)
        assert len(log.get_logs_for_run(run_id)) == len(before)
        monkeypatch.undo()
        log.store_event_batch(kept)
        assert len(log.get_logs_for_run(run_id)) == len(before) + len(kept)


@dg.asset_check(asset=counted)
def holds() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def test_a_run_that_is_deleted_leaves_nothing_and_its_file_may_go() -> None:
    with dg.DagsterInstance.get() as instance:
        gone, kept = (dg.materialize([counted, holds], instance=instance).run_id for _ in range(2))
        instance.delete_run(gone)
        folder = Path(instance.root_directory, "history", "runs")
        (folder / f"{gone}.db").unlink()
        with sqlite3.connect(folder / "index.db") as index:
            for table in ("event_logs", "asset_check_executions"):
                assert {run for (run,) in index.execute(f"select run_id from {table}")} == {kept}
        assert len(types_of(instance, kept)) > 5
