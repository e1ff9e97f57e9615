"""Which runs are dead: what lets Dagster's daemon give them up, free their pool slot and go on with the queue.

Here: the launcher that answers the daemon's question for a run's health by its sign of life.
Not here: the sign itself (home_lock), who gives it (beginning), how often the daemon asks (home).

Dagster's own launcher on one machine does not know: a run whose process was killed together with the server that had
started it, or that a terminal had run, stays "started" for ever, and the queue behind it waits.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus

from orchestration.home_lock import is_alive

GRACE_S = 20.0
"""Seconds for which a run has been seen without a sign of life before it is dead: it begins and ends without one."""


class WatchfulRunLauncher(DefaultRunLauncher):
    """For `run_launcher` in dagster.yaml, without configuration. Launches as Dagster's own does."""

    def __init__(self, inst_data: Any = None) -> None:
        super().__init__(inst_data)
        self._silent_since: dict[str, float] = {}

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> "WatchfulRunLauncher":  # noqa: ARG003
        return cls(inst_data)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether a process works on the run. Dead is a run that has given no sign of life for GRACE_S."""
        if is_alive(Path(os.environ["DAGSTER_HOME"]), run.run_id):
            self._silent_since.pop(run.run_id, None)
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        since = self._silent_since.setdefault(run.run_id, time.monotonic())
        if time.monotonic() - since < GRACE_S:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            "the process that worked on it has ended without a word, as after `kill -9`. Nothing that it had kept is "
            "lost: run it again",
        )
