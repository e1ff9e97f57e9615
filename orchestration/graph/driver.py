"""Turning the wheel in one process: what the commands, the demo, tests and benchmarks do.

Here: running the jobs of the graph for a turn, with progress, on the same Dagster instance that the UI shows.
Not here: the graph (definitions) and the daemon's way of running it (schedules, sensors).
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any

import dagster as dg

from orchestration.graph.assets.landing import READABLE
from orchestration.graph.beginning import run_in_home
from orchestration.graph.definitions import build_definitions
from orchestration.graph.failures import refusals, told
from orchestration.graph.overview import overview_tags, seen_in_overview
from orchestration.home import prepare_home
from orchestration.landing.folder import RefusedFilesError
from orchestration.loops.declaration import Loop
from orchestration.machine import machine_trouble
from orchestration.settings import Settings
from orchestration.turns import Turn

Tell = Callable[[str], None]


class TurnFailedError(RuntimeError):
    """A run of the graph failed; says where and why. `refused_by` names the blocking checks that did not pass, each
    with what it found."""

    def __init__(self, message: str, refused_by: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.refused_by = refused_by


@dataclass
class Flywheel:
    """The graph over one home, run in this process. `tell` receives one line for each thing worth knowing.

    Without `instance` runs are recorded where the UI finds them; a test may pass an ephemeral one.
    """

    settings: Settings
    loops: Sequence[Loop] | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    tell: Tell | None = None
    instance: dg.DagsterInstance | None = None

    def produce(self, turn: str) -> dg.ExecuteInProcessResult:
        """Subjects to releases of a turn. A turn that is released already stays as it is."""
        return self._run("produce", turn)

    def learn(self, turn: str) -> dg.ExecuteInProcessResult:
        """Events to promotions of a turn. Raises ValueError while its window is open."""
        window = self._begun(turn)
        if time.time() < window.end.timestamp():
            raise ValueError(f"Turn {turn} is open until {window.end:%Y-%m-%d %H:%M} UTC: learn once it has closed.")
        return self._run("learn", turn)

    def ingest(self) -> dg.ExecuteInProcessResult:
        """Take in every file that has landed. Raises RefusedFilesError, once the others are stored, naming each file
        that was refused as a whole, and why."""
        result = self._run("ingest", None)
        refused: dict[str, str] = {}
        for check in result.get_asset_check_evaluations():
            if check.check_name == READABLE and not check.passed:
                refused |= check.metadata["refused"].value  # type: ignore[arg-type]
        if refused:
            raise RefusedFilesError(refused)
        return result

    @cached_property
    def definitions(self) -> dg.Definitions:
        return build_definitions(
            settings=self.settings,
            loops=self.loops,
            resources=self.resources,
            loggers={"console": _telling_logger(self.tell)},
        )

    def _run(self, job: str, turn: str | None) -> dg.ExecuteInProcessResult:
        if turn is not None:
            self._begun(turn)
        run_id, what = str(uuid.uuid4()), f"{job} {turn or ''}".strip()
        try:
            with (
                self._instance() as instance,
                run_in_home(self.settings, instance, run_id, what, turn, self._say),
                seen_in_overview(instance, job),
            ):
                result = self.definitions.resolve_job_def(job).execute_in_process(
                    partition_key=turn,
                    instance=instance,
                    run_id=run_id,
                    raise_on_error=False,
                    run_config={"loggers": {"console": {}}},
                    tags={"flywheel/half": job, **overview_tags()},
                )
        except Exception as error:
            if trouble := machine_trouble(error):
                raise TurnFailedError(f"{what}: {trouble}") from error
            raise
        if not result.success:
            message = told(result) or f"{job} failed; its reason is in run {result.run_id} of the Dagster UI."
            raise TurnFailedError(message, dict(refusals(result.get_asset_check_evaluations())))
        return result

    def _say(self, line: str) -> None:
        if self.tell is not None:
            self.tell(line)
        else:
            logging.getLogger(__name__).warning(line)

    def _begun(self, turn: str) -> Turn:
        """The turn of that key. Raises ValueError where none starts on that day, or while it lies ahead."""
        window = Turn.of(turn, self.settings)
        if time.time() < window.start.timestamp():
            present = Turn.containing(datetime.now(UTC), self.settings).key
            raise ValueError(f"Turn {turn} has not begun yet: the turn that runs now is {present}.")
        return window

    @contextmanager
    def _instance(self) -> Iterator[dg.DagsterInstance]:
        if self.instance is not None:
            yield self.instance
            return
        prepare_home(self.settings)
        with dg.DagsterInstance.get() as instance:
            yield instance


class _Telling(logging.Handler):
    """Passes on the end of each step, and what assets say, as plain lines."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(level=logging.DEBUG)  # Dagster logs the end of a step at this level
        self.tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        dagster: dict[str, Any] = getattr(record, "dagster_meta", {})
        event, step = dagster.get("dagster_event"), dagster.get("step_key")
        if event is None and record.levelno >= logging.INFO:
            self.tell(f"    {dagster.get('orig_message', record.getMessage())}")
        elif event is not None and event.is_step_success:
            seconds = event.event_specific_data.duration_ms / 1000
            self.tell(f"  {step}  {seconds:.1f} s")


def _telling_logger(tell: Tell | None) -> dg.LoggerDefinition:
    @dg.logger
    def telling(context: dg.InitLoggerContext) -> logging.Logger:  # noqa: ARG001
        logger = logging.Logger("flywheel", logging.DEBUG)
        logger.addHandler(_Telling(tell) if tell else logging.NullHandler())
        return logger

    return telling
