"""Files for the outside world: written beside their name, then put in its place, so that no reader meets half of one.

Here: writing a turn's file, with the sender's own identifiers where the warehouse knows pseudonyms.
Not here: what an item says (graph.assets.outbox).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.landing.addressees import Addressees


@dataclass(frozen=True)
class Outbox:
    """The folder outbox/: one folder a loop, one NDJSON file a turn. `addressees` knows who pseudonyms stand for."""

    folder: Path
    addressees: Addressees | None = None

    def path(self, loop: str, turn: str) -> Path:
        return self.folder / loop / f"{turn}.ndjson"

    def write(self, loop: str, turn: str, items: Iterable[Mapping[str, Any]], *, to_addressees: bool = False) -> Path:
        """Write the items, one a line; the file.

        With `to_addressees` their `subject_id` is a pseudonym, and the sender's own identifier stands in the file.
        Raises ValueError when nobody can tell whose it is.
        """
        if to_addressees:
            if self.addressees is None:
                raise ValueError(f"Subjects of {loop} have personal keys: give the outbox the home's addressees.")
            items = self.addressees.addressed(items)
        path = self.path(loop, turn)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items), encoding="utf-8")
        return partial.replace(path)


class OutboxResource(dg.ConfigurableResource):
    """The outbox under the flywheel's home."""

    folder: str
    addressees: str

    def create_resource(self, context: dg.InitResourceContext) -> Outbox:  # noqa: ARG002
        path = Path(self.addressees)
        return Outbox(Path(self.folder), Addressees(path))
