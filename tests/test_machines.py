"""A wheel on machines as they are: strange paths, surroundings of other work, a full disk, a moved home, pruning.

Here: two turns of one home that meets all of it, and what must hold afterwards.
Not here: MLflow changed by hand (test_mlflow_changed_by_hand), who works in a home (test_home_lock).
"""

import errno
import os
import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from orchestration.commands.lineage import leaves, trace
from orchestration.environment import shed
from orchestration.graph.beginning import ClockSetBackError, refuse_a_clock_set_back
from orchestration.graph.driver import TurnFailedError
from orchestration.home import LONGEST_HOME, prepare_home
from orchestration.home_settings import HomeSettingsError
from orchestration.machine import machine_trouble, trouble_in
from orchestration.settings import Settings
from orchestration.testing.shop import FIRST, SECOND, Wheel
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from orchestration.warehouse.protocol import WarehouseError

ROOT = Path(__file__).resolve().parent.parent
STRANGE = "a 'b' \"c\" %41 100% #h {{ x }} %(y)s *[z] b\\s co:lon; $HOME ~ ü日"
FOREIGN = {
    "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    "MLFLOW_REGISTRY_URI": "http://127.0.0.1:9",
    "MLFLOW_RUN_ID": "0123",
    "MLFLOW_EXPERIMENT_NAME": "another",
    "MLFLOW_EXPERIMENT_ID": "77",
    "MLFLOW_ARTIFACT_ROOT": "/nowhere",
    "_MLFLOW_SERVER_ARTIFACT_ROOT": "/nowhere",
    "MLFLOW_OF_A_LATER_VERSION": "x",
    "DBT_PROFILE": "another",
    "DBT_PROFILES_DIR": "/nowhere",
    "DBT_TARGET": "another",
    "DBT_TARGET_PATH": "/nowhere",
    "DBT_FULL_REFRESH": "true",
    "DBT_OF_A_LATER_VERSION": "x",
    "DAGSTER_HOME": "/nowhere",
    "DAGSTER_EVENT_BATCH_SIZE": "nonsense",
    "DAGSTER_OF_A_LATER_VERSION": "x",
}


@contextmanager
def surroundings(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def disk_with_room_for(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: what a full disk answers comes from the kernel as well."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class Lived:
    """A home that was turned under a strange name, then moved, and met a full disk on the way."""

    def __init__(self, folder: Path) -> None:
        with surroundings(FOREIGN):
            born = folder / STRANGE
            wheel = Wheel(born, products=3, exposures=600)
            wheel.turn(FIRST)
            self.first = wheel.table("promotions").row(0, named=True)
            self.files = sorted(path.name for path in born.iterdir())
            self.elsewhere = sorted(path.name for path in folder.iterdir() if path != born)
            self.home = folder / "restored" / "home"
            self.home.parent.mkdir()
            born.rename(self.home)

            moved = Wheel(self.home, products=3, exposures=600, options={"keep_turns": 1})
            self.said = self._meets_a_full_disk(moved)
            moved.turn(SECOND)
            self.wheel = moved
            self.born_again = born.exists()

    def _meets_a_full_disk(self, wheel: Wheel) -> str:
        with disk_with_room_for(1 << 14), pytest.raises(TurnFailedError) as failed:
            wheel.produce(SECOND)
        return str(failed.value)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    return Lived(tmp_path_factory.mktemp("lived"))


def test_a_home_of_any_name_turns_in_the_surroundings_of_other_work(lived: Lived) -> None:
    assert lived.first["mlflow_run_id"] != FOREIGN["MLFLOW_RUN_ID"]
    assert {"mlflow.db", "mlartifacts", "warehouse.duckdb", "dagster", "outbox"} <= set(lived.files)
    assert lived.elsewhere == []
    assert not Path("/nowhere").exists()


def test_a_full_disk_is_told_in_a_sentence_and_the_turn_goes_on_when_there_is_room(lived: Lived) -> None:
    assert re.search("no room left on the disk|the disk failed to read or write: free some room", lived.said, re.I)
    assert len(lived.said.splitlines()) == 1
    assert lived.wheel.table("promotions")["turn"].cast(pl.String).to_list() == [FIRST, SECOND]


def test_a_home_that_was_moved_runs_on_and_leaves_nothing_where_it_was(lived: Lived) -> None:
    assert not lived.born_again
    with sqlite3.connect(lived.home / "mlflow.db") as database:
        artifacts = [row[0] for row in database.execute("select artifact_uri from runs")]
    assert artifacts
    assert all(address.startswith((lived.home / "mlartifacts").as_uri()) for address in artifacts)


def test_what_kept_turns_need_is_whole_and_the_rest_is_gone(lived: Lived) -> None:
    wheel = lived.wheel
    pruned = [line for line in wheel.told if "runed" in line]
    assert pruned
    assert all(line.startswith(f"Pruned what turns from {SECOND} on do not need: ") for line in pruned)
    events = [path.name for path in (lived.home / "landing" / "events").iterdir()]
    assert events, "what the second turn was counted from"
    assert not [name for name in events if name.endswith(f"{FIRST}.ndjson")]
    assert [path.stem for path in (lived.home / "outbox" / "content").iterdir()] == [SECOND]
    assert wheel.table("prunings")["turn"].cast(pl.String).to_list() == [SECOND]
    assert set(wheel.table("evidence")["turn"].cast(pl.String)) == {FIRST, SECOND}
    exposure = wheel.table("exposures").filter(pl.col("turn").cast(pl.String) == SECOND)["exposure_id"][0]
    assert leaves(trace(wheel.warehouse, exposure))
    in_force = wheel.table("promotions")["champion_after"].to_list()[-1]
    assert leaves(trace(wheel.warehouse, f"content-policy/{in_force}"))


def test_a_pruned_turn_is_not_learned_again_and_what_comes_late_for_it_is_refused_by_name(lived: Lived) -> None:
    with pytest.raises(ValueError, match=rf"Turn {FIRST} was pruned.*first turn that can run again is {SECOND}"):
        lived.wheel.flywheel.learn(FIRST)
    sent = [
        {
            "event_id": "late",
            "event_type": "click",
            "loop": "content",
            "subject_id": "p001",
            "unit_id": "u",
            "occurred_at": f"{FIRST}T10:00:00Z",
        }
    ]
    lived.wheel.landing.write("events", None, sent, "late")
    lived.wheel.flywheel.ingest()
    assert lived.wheel.table("quarantine")["reason"].to_list()[-1:] == ["before_first_turn"]
    lived.wheel.flywheel.ingest()  # and only once


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cadence": "daily"}, r"FLYWHEEL_CADENCE is daily, .*under weekly: set FLYWHEEL_CADENCE=weekly, or turn"),
        ({"first_turn": "2025-12-29"}, r"FLYWHEEL_FIRST_TURN is 2025-12-29, .*set FLYWHEEL_FIRST_TURN=2026-01-05"),
        ({"seed": 8}, r"FLYWHEEL_SEED is 8, .*set FLYWHEEL_SEED=7"),
        ({"pseudonym_key": "another key, as long"}, r"FLYWHEEL_PSEUDONYM_KEY is not the key"),
        ({"warehouse_gone": True}, r"lie in another warehouse than warehouse.duckdb: .*backup"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_setting_that_defines_the_home_is_held_once_it_has_turns(
    lived: Lived, changed: dict[str, object], said: str
) -> None:
    before = lived.wheel.table("releases").height
    hidden = lived.home / "hidden.duckdb"
    if changed.pop("warehouse_gone", False):
        (lived.home / "warehouse.duckdb").rename(hidden)
    settings = lived.wheel.settings.model_dump() | changed
    other = Wheel(lived.home)
    other.settings = Settings.model_validate(settings)
    try:
        with pytest.raises(HomeSettingsError, match=said) as refused:
            other.flywheel.produce("2026-01-19")
    finally:
        if hidden.exists():
            hidden.rename(lived.home / "warehouse.duckdb")
    assert "another key" not in str(refused.value)
    assert lived.wheel.table("releases").height == before


def test_a_clock_that_was_set_back_is_told_before_events_are_taken_for_the_future(lived: Lived) -> None:
    newest = lived.wheel.table("landed_files")["ingested_at"].max()
    assert isinstance(newest, datetime)
    refuse_a_clock_set_back(lived.wheel.warehouse, newest - timedelta(minutes=2))
    with pytest.raises(ClockSetBackError, match="set the clock right"):
        refuse_a_clock_set_back(lived.wheel.warehouse, newest - timedelta(days=1))


def test_what_a_machine_refuses_is_one_sentence_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(OSError) as full, Path("/dev/full").open("wb", buffering=0) as device:
        device.write(b"x")
    small = sqlite3.connect(tmp_path / "small.db")
    small.execute("pragma max_page_count = 1")
    with pytest.raises(sqlite3.OperationalError) as no_page:
        small.execute("create table t as select 1")
    with disk_with_room_for(1 << 14), pytest.raises(duckdb.Error) as no_block:
        duckdb.connect(tmp_path / "w.duckdb").execute("create table t as select * from range(100000)")
    for error in (full.value, no_page.value, no_block.value):
        assert "no room left on the disk" in str(machine_trouble(error)), error
    for number in (errno.EROFS, errno.EACCES):
        refused = OSError(number, os.strerror(number), "/home/landing/content/reviews/.x.partial")
        assert "may not write (/home/landing" in str(trouble_in(str(refused)))
        wrapped = RuntimeError("the step failed")
        wrapped.__cause__ = refused
        assert "make it writable" in str(machine_trouble(wrapped))
    assert machine_trouble(ValueError("No turn starts on 2026-01-06.")) is None


def test_every_entry_sheds_whole_prefixes_and_nothing_else() -> None:
    given = {**FOREIGN, "FLYWHEEL_HOME": "x", "OPENAI_API_KEY": "k", "MY_MLFLOW_X": "mine", "PATH": "/bin"}
    found = dict(given)
    shed("MLFLOW_", "_MLFLOW_", "DBT_", "DAGSTER_", environment=found)
    assert set(found) == {"FLYWHEEL_HOME", "OPENAI_API_KEY", "MY_MLFLOW_X", "PATH"}
    printing = "import os, orchestration.cli as cli; cli.quiet(); print(sorted(os.environ))"
    asked = subprocess.run(
        [sys.executable, "-c", printing], env={**os.environ, **FOREIGN}, capture_output=True, text=True, check=True
    )
    assert not [name for name in FOREIGN if name in asked.stdout]


def test_a_path_that_no_library_can_open_is_refused_in_a_sentence(tmp_path: Path) -> None:
    long = tmp_path.joinpath(*["L" * 200] * 3)
    with pytest.raises(ValueError, match=f"bytes long, .* up to {LONGEST_HOME}: choose a shorter path"):
        prepare_home(Settings(_env_file=None, home=long))
    with pytest.raises(WarehouseError, match=r"reads a `\?` in the path .* choose a FLYWHEEL_HOME"):
        DuckDBWarehouse(tmp_path / "why?" / "w.duckdb").read("select 1")
