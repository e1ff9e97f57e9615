"""The folder that a flywheel keeps everything in.

Here: laying it out, with the instance settings that Dagster needs, so that every command finds it ready.
Not here: settings (settings) and what is written into it (resources).
"""

import json
import os
import shutil

from orchestration.settings import Settings

POOL = "flywheel"  # held by one run at a time: turn t+1 must not start before turn t has promoted
EVENT_LOG = "orchestration.graph.event_log"
_MOVED_LOG = "orchestration.resources.event_log"  # where homes made by earlier versions look for it
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
run_monitoring:
  enabled: true
  start_timeout_seconds: 300
retention:
  sensor:
    purge_after_days:
      skipped: 2
"""


def prepare_home(settings: Settings) -> None:
    """Make the folders and Dagster's instance settings where they are missing; point DAGSTER_HOME at them."""
    for folder in (settings.root, settings.landing, settings.outbox, settings.dagster_home):
        folder.mkdir(parents=True, exist_ok=True)
    instance_settings = settings.dagster_home / "dagster.yaml"
    if not instance_settings.exists():
        instance_settings.write_text(DAGSTER_YAML)
    elif _MOVED_LOG in (kept := instance_settings.read_text()):
        instance_settings.write_text(kept.replace(_MOVED_LOG, EVENT_LOG))
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")


MARKER = "started_over.json"
KEPT = ("responses.sqlite", "responses.sqlite-wal", "responses.sqlite-shm")  # answers are paid for once


def start_over(settings: Settings, purpose: str) -> None:
    """Empty a home that serves `purpose` and nothing else, such as a demonstration; answers that were paid for stay.

    Raises ValueError when the home holds anything else, or rows are kept outside it: a database is never emptied.
    """
    if settings.warehouse is not None:
        raise ValueError(f"A {purpose} starts over in a home of its own: unset FLYWHEEL_WAREHOUSE for it.")
    home = settings.root
    if home.exists() and any(home.iterdir()):
        marker = home / MARKER
        found = json.loads(marker.read_text())["purpose"] if marker.exists() else "a flywheel that is at work"
        if found != purpose:
            raise ValueError(f"{settings.home} holds {found}, no {purpose}: set FLYWHEEL_HOME to another folder.")
    home.mkdir(parents=True, exist_ok=True)
    (home / MARKER).write_text(json.dumps({"purpose": purpose}))
    for path in home.iterdir():
        if path.name in (MARKER, *KEPT):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
