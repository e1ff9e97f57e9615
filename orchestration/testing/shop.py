"""A small flywheel for tests: its own home, a dozen products, a simulated audience, and a model of choice.

Here: setting one up and turning it. Not here: what tests find out about it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from orchestration.graph.driver import Flywheel
from orchestration.landing.folder import Landing
from orchestration.landing.pseudonyms import Pseudonyms
from orchestration.settings import Settings
from orchestration.tables import TABLES
from orchestration.testing.instant_model import InstantLanguageModel, compose
from orchestration.turns import Turn
from orchestration.warehouse.engines import open_warehouse
from orchestration.warehouse.protocol import Warehouse
from orchestration.worlds.simulated.sandbox import PlayReport, Sandbox

FIRST, SECOND, THIRD = "2026-01-05", "2026-01-12", "2026-01-19"
TYPES = ("green beans", "orange juice", "white bread", "dish soap", "cheddar cheese", "black tea")
CATEGORIES = ("pantry", "drinks", "bakery", "household", "dairy", "drinks")


def catalogue(products: int = 12) -> list[dict[str, str]]:
    """Rows of a catalogue: every product in one of three placements."""
    formats = ("description", "headline", "social")
    return [
        {
            "subject_id": f"p{number:03d}",
            "format": formats[number % 3],
            "category": CATEGORIES[number % 6],
            "original": f"Store brand {TYPES[number % 6]}, {8 + number} oz",
            "brand": "store brand",
            "department": "grocery",
            "type": TYPES[number % 6],
            "size": f"{8 + number} oz",
        }
        for number in range(products)
    ]


def copywriter(messages: Sequence[Mapping[str, str]]) -> str:
    """Text of a loopback endpoint: product copy in the style that the system message asks for."""
    asked = messages[0]["content"]
    if "type: " not in messages[-1]["content"]:
        return "ready"  # the endpoint is only being asked what it can do
    form = next((form for form in ("headline", "social", "description") if form in asked), "description")
    style = next((style for style in ("playful", "plain", "benefit") if style in asked), "benefit")
    return compose(messages, f"content-{form}-{style}", len(asked))


@dataclass
class Wheel:
    """A flywheel of one's own under `home`. `model` answers at once unless another is given."""

    home: Path
    model: Any = field(default_factory=InstantLanguageModel)
    exposures: int = 4_000
    products: int = 12
    options: dict[str, Any] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    @cached_property
    def settings(self) -> Settings:
        return Settings(home=self.home, first_turn=date.fromisoformat(FIRST), pseudonym_key="k" * 32, **self.options)

    @cached_property
    def flywheel(self) -> Flywheel:
        return Flywheel(self.settings, resources={"model": self.model} if self.model else {}, tell=self.told.append)

    @property
    def warehouse(self) -> Warehouse:
        return open_warehouse(self.settings)

    @property
    def landing(self) -> Landing:
        return Landing(self.settings.landing, self.warehouse, Pseudonyms.of(self.settings), self.settings)

    @property
    def sandbox(self) -> Sandbox:
        return Sandbox(seed=3, visitors=2_000, exposures_per_turn=self.exposures)

    def land_catalogue(self) -> None:
        self.landing.write("subjects", "content", catalogue(self.products), "catalogue")

    def produce(self, turn: str) -> dg.ExecuteInProcessResult:
        if not (self.settings.landing / "content" / "subjects").exists():
            self.land_catalogue()
        return self.flywheel.produce(turn)

    def play(self, turn: str) -> PlayReport:
        """Let the simulated audience meet the release."""
        return self.sandbox.play(self.outbox(turn), self.settings.landing, Turn.of(turn, self.settings))

    def turn(self, turn: str) -> None:
        """Produce, meet the audience, learn."""
        self.produce(turn)
        self.play(turn)
        self.flywheel.learn(turn)

    def outbox(self, turn: str) -> Path:
        return self.settings.outbox / "content" / f"{turn}.ndjson"

    def released_items(self, turn: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.outbox(turn).read_text().splitlines()]

    def table(self, name: str) -> pl.DataFrame:
        """Rows of `flywheel.NAME` or `marts.NAME`, in a fixed order."""
        schema = "flywheel" if name in TABLES else "marts"
        return self.warehouse.read(f"select * from {schema}.{name} order by all")
