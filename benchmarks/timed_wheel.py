"""A wheel to measure: its own home, a real catalogue, a simulated audience, a model that answers at once.

Here: setting one up, turning it, and the seconds of every half and step.
Not here: what is made of the seconds (turn, scale, history).
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import dagster as dg

from orchestration.graph.driver import Flywheel
from orchestration.settings import Settings
from orchestration.testing.instant_model import InstantLanguageModel
from orchestration.turns import Turn
from orchestration.worlds.simulated.catalogue import land_catalogue
from orchestration.worlds.simulated.sandbox import PlayReport, Sandbox

VISITORS_PER_EXPOSURE = 0.4
"""As in the sandbox's defaults: a visitor meets two or three releases a turn."""


@dataclass(frozen=True)
class Timed:
    """Seconds of one run of a job, those that this process computed in it, and the seconds of each of its steps."""

    seconds: float
    computing: float
    steps: Mapping[str, float]


@dataclass(frozen=True)
class TimedWheel:
    """A flywheel under `home` that generates for `subjects` and is met `exposures` times a turn.

    Event files are Parquet, so that the audience costs little. Its numbers are simulated.
    """

    home: Path
    subjects: int = 200
    exposures: int = 100_000
    first_turn: date = date(2026, 1, 5)
    seed: int = 7
    keep_turns: int | None = None

    @cached_property
    def settings(self) -> Settings:
        settings = Settings(
            _env_file=None,
            home=self.home,
            first_turn=self.first_turn,
            seed=self.seed,
            subjects_per_turn=self.subjects,
            keep_turns=self.keep_turns,
        )
        land_catalogue(settings.landing, self.subjects)
        return settings

    @cached_property
    def flywheel(self) -> Flywheel:
        logging.disable(logging.WARNING)  # Dagster's own lines on the terminal, thousands a turn, are not the graph
        return Flywheel(self.settings, resources={"model": InstantLanguageModel()})

    @cached_property
    def sandbox(self) -> Sandbox:
        visitors = max(1, round(self.exposures * VISITORS_PER_EXPOSURE))
        return Sandbox(self.seed, visitors, self.exposures, file_format="parquet")

    @property
    def environment(self) -> dict[str, str]:
        """The same settings as variables, for other processes over this home."""
        return {
            "FLYWHEEL_HOME": str(self.home),
            "FLYWHEEL_FIRST_TURN": self.first_turn.isoformat(),
            "FLYWHEEL_SEED": str(self.seed),
            "FLYWHEEL_SUBJECTS_PER_TURN": str(self.subjects),
        }

    def turn(self, number: int) -> Turn:
        """The turn of that number, counted from 1."""
        turn = Turn.of(self.settings.first_turn, self.settings)
        return Turn(turn.first_day + (number - 1) * turn.length, turn.length)

    def produce(self, turn: Turn) -> Timed:
        return _timed(lambda: self.flywheel.produce(turn.key))

    def ingest(self) -> Timed:
        return _timed(self.flywheel.ingest)

    def learn(self, turn: Turn) -> Timed:
        return _timed(lambda: self.flywheel.learn(turn.key))

    def play(self, turn: Turn) -> PlayReport:
        """Let the audience meet what was released. Not part of any measurement."""
        return self.sandbox.play(self.settings.outbox / "content" / f"{turn.key}.ndjson", self.settings.landing, turn)


def _timed(run: Callable[[], dg.ExecuteInProcessResult]) -> Timed:
    start, computed = time.perf_counter(), time.process_time()
    result = run()
    return Timed(time.perf_counter() - start, time.process_time() - computed, seconds_by_step(result))


def seconds_by_step(result: dg.ExecuteInProcessResult) -> dict[str, float]:
    """Seconds of each step that ended well, by its key."""
    return {
        str(event.step_key): event.step_success_data.duration_ms / 1000
        for event in result.all_events
        if event.is_step_success
    }
