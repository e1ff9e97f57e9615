"""Files for the outside world: written beside their name, then put in its place, so that no reader meets half of one.

Here: writing a turn's file.
Not here: what an item says (graph.assets.outbox).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg


@dataclass(frozen=True)
class Outbox:
    """The folder outbox/: one folder a loop, one NDJSON file a turn."""

    folder: Path

    def path(self, loop: str, turn: str) -> Path:
        return self.folder / loop / f"{turn}.ndjson"

    def write(self, loop: str, turn: str, items: Iterable[Mapping[str, Any]]) -> Path:
        """Write the items, one a line; the file."""
        path = self.path(loop, turn)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items), encoding="utf-8")
        return partial.replace(path)


class OutboxResource(dg.ConfigurableResource):
    """The outbox under the flywheel's home."""

    folder: str

    def create_resource(self, context: dg.InitResourceContext) -> Outbox:  # noqa: ARG002
        return Outbox(Path(self.folder))
