"""The folder that a flywheel keeps everything in.

Here: laying it out, with the instance settings that Dagster needs, so that every command finds it ready.
Not here: settings (settings) and what is written into it (resources).
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from orchestration.environment import DAGSTER, shed
from orchestration.home_lock import LOCK, home_locked
from orchestration.settings import Settings

POOL = "flywheel"  # held by one run at a time: turn t+1 must not start before turn t has promoted
EVENT_LOG = "orchestration.graph.event_log"
_MOVED_LOG = "orchestration.resources.event_log"  # where homes made by earlier versions look for it
LONGEST_HOME = 420  # bytes; SQLite opens no path of more than 512, and a run's event log lies 64 below the home
_LAUNCHER = """\
run_launcher: # knows which runs are dead
  module: orchestration.graph.launcher
  class: WatchfulRunLauncher
"""
_MONITORING = """\
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
  poll_interval_seconds: 15
  free_slots_after_run_end_seconds: 30
"""
_EARLIER_MONITORING = """\
run_monitoring:
  enabled: true
  start_timeout_seconds: 300
"""
DAGSTER_YAML = f"""\
# Laid here by the flywheel. Change it freely: it is written once.
telemetry:
  enabled: false
nux:
  enabled: false # no sign-up dialogue at the first visit
concurrency:
  pools:
    granularity: run
    default_limit: 1 # one run at a time: turn t+1 must not start before turn t has promoted
event_log_storage:
  module: {EVENT_LOG}
  class: KeptOpenEventLog
{_LAUNCHER}{_MONITORING}retention:
  sensor:
    purge_after_days:
      skipped: 2
"""


def prepare_home(settings: Settings) -> None:
    """Make the folders and Dagster's instance settings where they are missing; point DAGSTER_HOME at them.

    Variables of Dagster that were set for other work are taken out. Raises ValueError when the path is too long.
    """
    shed(*DAGSTER)
    if (length := len(os.fsencode(settings.root.resolve()))) > LONGEST_HOME:
        raise ValueError(
            f"FLYWHEEL_HOME is {length} bytes long, and SQLite opens files in it up to {LONGEST_HOME}: choose a "
            "shorter path."
        )
    for folder in (settings.root, settings.landing, settings.outbox, settings.dagster_home):
        folder.mkdir(parents=True, exist_ok=True)
    _lay_instance_settings(settings.dagster_home / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"


def _lay_instance_settings(path: Path) -> None:
    """Write Dagster's settings, or bring those of an earlier version up to date; what a person changed stays."""
    if not path.exists():
        _write_whole(path, DAGSTER_YAML)
        return
    kept = path.read_text(encoding="utf-8")
    wanted = kept.replace(_MOVED_LOG, EVENT_LOG).replace(_EARLIER_MONITORING, _MONITORING)
    if "run_launcher:" not in wanted:
        wanted = f"{wanted.rstrip()}\n{_LAUNCHER}"
    if wanted != kept:
        _write_whole(path, wanted)


def _write_whole(path: Path, text: str) -> None:
    """Write beside the name, then put in place: nobody reads half of it, and a full disk leaves what was there."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


MARKER = "started_over.json"
KEPT = ("responses.sqlite", "responses.sqlite-wal", "responses.sqlite-shm", LOCK)  # answers are paid for once


def start_over(settings: Settings, purpose: str, tell: Callable[[str], None] = lambda _: None) -> None:
    """Empty a home that serves `purpose` and nothing else, such as a demonstration; answers that were paid for stay.

    Raises ValueError when the home holds anything else, or rows are kept outside it: a database is never emptied.
    """
    if settings.warehouse is not None:
        raise ValueError(f"A {purpose} starts over in a home of its own: unset FLYWHEEL_WAREHOUSE for it.")
    home = settings.root
    if home.exists() and any(path.name != LOCK for path in home.iterdir()):
        marker = home / MARKER
        found = json.loads(marker.read_text())["purpose"] if marker.exists() else "a flywheel that is at work"
        if found != purpose:
            raise ValueError(f"{settings.home} holds {found}, no {purpose}: set FLYWHEEL_HOME to another folder.")
    home.mkdir(parents=True, exist_ok=True)
    with home_locked(home, f"a {purpose} that starts over", tell):
        _emptied(home, purpose)


def _emptied(home: Path, purpose: str) -> None:
    (home / MARKER).write_text(json.dumps({"purpose": purpose}))
    for path in home.iterdir():
        if path.name in (MARKER, *KEPT):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
