"""A flywheel of one loop for tests and benchmarks: its own home, its own model, its own audience.

Here: setting one up and turning it.
Not here: what is found out about it, and the loop itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from orchestration.graph.driver import Flywheel
from orchestration.landing.folder import Landing
from orchestration.landing.pseudonyms import Pseudonyms
from orchestration.loops.declaration import Loop
from orchestration.settings import Settings
from orchestration.tables import TABLES
from orchestration.turns import Turn
from orchestration.warehouse.engines import open_warehouse
from orchestration.warehouse.protocol import Warehouse

if TYPE_CHECKING:
    import polars as pl

FIRST = date(2026, 1, 5)


class Audience(Protocol):
    """Whoever meets a turn's releases and writes events."""

    def play(self, outbox_file: Path, landing_folder: Path, turn: Turn) -> object: ...


@dataclass
class TurningLoop:
    """One loop in a home of its own. Without an audience nothing is met: a trial says what answers are worth."""

    home: Path
    loop: Loop
    subjects: Sequence[Mapping[str, Any]]
    model: Any = None
    audience: Audience | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Settings:
        known = {"pseudonym_key": "k" * 32, "subjects_per_turn": max(1, len(self.subjects))}
        return Settings(home=self.home, first_turn=FIRST, **{**known, **self.options})

    @cached_property
    def flywheel(self) -> Flywheel:
        resources = {"model": self.model} if self.model is not None else {}
        return Flywheel(self.settings, loops=[self.loop], resources=resources)

    @cached_property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self.settings)

    @property
    def landing(self) -> Landing:
        return Landing(self.settings.landing, self.warehouse, Pseudonyms.of(self.settings), self.settings)

    def turns(self, number: int) -> list[str]:
        """Turn that many times from the first turn on; their keys."""
        keys = [(FIRST + timedelta(days=7 * place)).isoformat() for place in range(number)]
        for key in keys:
            self.turn(key)
        return keys

    def turn(self, key: str) -> None:
        """Produce, meet the audience if there is one, learn."""
        if not (self.settings.landing / self.loop.name / "subjects").exists():
            self.landing.write("subjects", self.loop.name, list(self.subjects), "subjects")
        self.flywheel.produce(key)
        if self.audience is not None:
            turn = Turn.of(key, self.settings)
            self.audience.play(self.outbox(key), self.settings.landing, turn)
        self.flywheel.learn(key)

    def outbox(self, key: str) -> Path:
        return self.settings.outbox / self.loop.name / f"{key}.ndjson"

    def table(self, name: str) -> "pl.DataFrame":
        """Rows of `flywheel.NAME` or `marts.NAME`, in a fixed order."""
        schema = "flywheel" if name in TABLES else "marts"
        return self.warehouse.read(f"select * from {schema}.{name} order by all")


@dataclass(frozen=True, kw_only=True)
class Turner:
    """A loop, its subjects, and whoever meets what it releases: nobody, where a trial says what answers are worth."""

    loop: Loop
    subjects: Sequence[Mapping[str, Any]]
    audience: Audience | None = None


@dataclass
class TurningLoops:
    """Many loops in one home, which share its jobs, its warehouse and its model, so that each costs less."""

    home: Path
    turners: Sequence[Turner]
    model: Any = None
    seed: int = 7

    @cached_property
    def settings(self) -> Settings:
        most = max(len(turner.subjects) for turner in self.turners)
        known: dict[str, Any] = {"pseudonym_key": "k" * 32, "subjects_per_turn": most, "seed": self.seed}
        return Settings(home=self.home, first_turn=FIRST, **known)

    @cached_property
    def flywheel(self) -> Flywheel:
        resources = {"model": self.model} if self.model is not None else {}
        return Flywheel(self.settings, loops=[turner.loop for turner in self.turners], resources=resources)

    @cached_property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self.settings)

    def turn(self, place: int) -> None:
        """The turn of that place, counted from 0: produce, meet the audiences, learn."""
        turn = Turn.of((FIRST + timedelta(days=7 * place)).isoformat(), self.settings)
        if place == 0:
            landing = Landing(self.settings.landing, self.warehouse, Pseudonyms.of(self.settings), self.settings)
            for turner in self.turners:
                landing.write("subjects", turner.loop.name, list(turner.subjects), "subjects")
        self.flywheel.produce(turn.key)
        for turner in self.turners:
            if turner.audience is not None:
                released = self.settings.outbox / turner.loop.name / f"{turn.key}.ndjson"
                turner.audience.play(released, self.settings.landing, turn)
        self.flywheel.learn(turn.key)
