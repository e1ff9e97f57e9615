"""A flywheel of one loop or several for tests and benchmarks: its own home, its own model, its own audiences.

Here: setting one up and turning it.
Not here: what is found out about it, and the loop itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
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


@dataclass(frozen=True, kw_only=True)
class Turner:
    """A loop, its subjects, and whoever meets what it releases: nobody, where a trial says what answers are worth."""

    loop: Loop
    subjects: Sequence[Mapping[str, Any]]
    audience: Audience | None = None


@dataclass
class TurningLoops:
    """Loops in one home, which share its jobs, its warehouse and its model, so that each costs less."""

    home: Path
    turners: Sequence[Turner]
    model: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Settings:
        most = max(1, *(len(turner.subjects) for turner in self.turners))
        known = {"pseudonym_key": "k" * 32, "subjects_per_turn": most}
        return Settings(home=self.home, first_turn=FIRST, **{**known, **self.options})

    @cached_property
    def flywheel(self) -> Flywheel:
        resources = {"model": self.model} if self.model is not None else {}
        return Flywheel(self.settings, loops=[turner.loop for turner in self.turners], resources=resources)

    @cached_property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self.settings)

    @property
    def landing(self) -> Landing:
        return Landing(self.settings.landing, self.warehouse, Pseudonyms.of(self.settings), self.settings)

    def turns(self, number: int) -> list[str]:
        """Turn that many times from the first turn on; their keys."""
        keys = [key_of_turn(place) for place in range(number)]
        for key in keys:
            self.turn(key)
        return keys

    def turn(self, key: str) -> None:
        """Produce, meet the audiences that there are, learn."""
        for turner in self.turners:
            if not (self.settings.landing / turner.loop.name / "subjects").exists():
                self.landing.write("subjects", turner.loop.name, list(turner.subjects), "subjects")
        self.flywheel.produce(key)
        for turner in self.turners:
            if turner.audience is not None:
                released = self.settings.outbox / turner.loop.name / f"{key}.ndjson"
                turner.audience.play(released, self.settings.landing, Turn.of(key, self.settings))
        self.flywheel.learn(key)

    def table(self, name: str) -> "pl.DataFrame":
        """Rows of `flywheel.NAME` or `marts.NAME`, in a fixed order."""
        schema = "flywheel" if name in TABLES else "marts"
        return self.warehouse.read(f"select * from {schema}.{name} order by all")


class TurningLoop(TurningLoops):
    """One loop in a home of its own."""

    def __init__(
        self,
        home: Path,
        loop: Loop,
        subjects: Sequence[Mapping[str, Any]],
        model: Any = None,
        audience: Audience | None = None,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__(home, [Turner(loop=loop, subjects=subjects, audience=audience)], model, options)
        self.loop = loop

    def outbox(self, key: str) -> Path:
        return self.settings.outbox / self.loop.name / f"{key}.ndjson"


def key_of_turn(place: int) -> str:
    """The key of a turn by its place, counted from 0."""
    return (FIRST + timedelta(days=7 * place)).isoformat()
