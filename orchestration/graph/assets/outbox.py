"""What an application reads: what goes out in a turn as a file, with provenance and disclosure.

Here: writing the items of the loop's way of delivery, without what has been withdrawn. Making the file again gives the
same file, until something more is withdrawn.
Not here: what an item says (delivery), writing files and whom a pseudonym stands for (landing).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.graph.assets.stage import POOL, key_of, named_in, withdrawn_of
from orchestration.graph.bound import BoundLoop
from orchestration.landing.outbox import Outbox
from orchestration.loops.declaration import Loop
from orchestration.tables import TABLES
from orchestration.warehouse.protocol import Warehouse

if TYPE_CHECKING:
    import polars as pl

DELIVERED_ANEW = "select decision_id, variant_id from flywheel.deliveries where loop = $loop and turn = $turn"


def outbox_asset(bound: BoundLoop) -> dg.AssetsDefinition:
    """`L/outbox`: one NDJSON file a turn, put in place whole."""
    loop = bound.loop

    @dg.asset(
        key=[loop.name, "outbox"],
        partitions_def=bound.partitions,
        pool=POOL,
        group_name=loop.name,
        owners=[loop.owner],
        kinds={"file"},
        deps=[key_of("releases", loop)],
        description=(
            f"`outbox/{loop.name}/TURN.ndjson`: what an application needs to serve what goes out, an item a line, each "
            "answer with its provenance and AI disclosure."
        ),
    )
    def outbox(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        outbox: dg.ResourceParam[Outbox],
    ) -> dg.MaterializeResult:
        path, items = written(warehouse, outbox, loop, context.partition_key)
        return dg.MaterializeResult(
            metadata={
                "path": dg.PathMetadataValue(str(path)),
                "items": len(items),
                "example": dg.JsonMetadataValue(items[0] if items else {}),
            }
        )

    return outbox


def written(warehouse: Warehouse, outbox: Outbox, loop: Loop, turn: str) -> tuple[Path, list[dict[str, Any]]]:
    """Write the turn's file as things stand now; the file and its items.

    What takes the place of a withdrawn answer under a decision is kept as a fact first: an exposure of it may come as
    soon as the file is there.
    """
    sql = loop.delivery.outbox_read
    rows = warehouse.read(sql, named_in(sql, {"loop": loop.name, "turn": turn}))
    withdrawn = withdrawn_of(warehouse, loop)
    while True:
        kept = loop.delivery.without(rows, withdrawn, loop)
        now = datetime.now(UTC).replace(tzinfo=None)
        anew = _unknown(warehouse, loop, turn, loop.delivery.in_their_place(rows, kept, turn, now))
        if not anew.is_empty():
            warehouse.append(TABLES["deliveries"], anew)
        items = list(loop.delivery.outbox(kept, loop, turn))
        path = outbox.write(loop.name, turn, items, to_addressees=loop.subjects.key_is_personal)
        since = withdrawn_of(warehouse, loop)
        if since == withdrawn:
            return path, items
        withdrawn = since  # by a command while a turn wrote its file: whoever writes last must know


def written_anew(warehouse: Warehouse, outbox: Outbox, loops: Sequence[Loop]) -> list[Path]:
    """Write the file of the turn in force of every loop of which anything was ever withdrawn; those that changed."""
    changed = []
    for loop in loops:
        if (turn := in_force(warehouse, loop)) is None or not _ever_withdrawn(warehouse, loop):
            continue
        path = outbox.path(loop.name, turn)
        before = path.read_bytes() if path.exists() else None
        written(warehouse, outbox, loop, turn)
        if path.read_bytes() != before:
            changed.append(path)
    return changed


def in_force(warehouse: Warehouse, loop: Loop) -> str | None:
    """The newest turn of the loop that is released; None before the first."""
    table = TABLES[loop.delivery.outputs["releases"]].qualified
    newest = warehouse.read(f"select max(turn) as turn from {table} where loop = $loop", {"loop": loop.name}).item()
    return None if newest is None else str(newest)


def _ever_withdrawn(warehouse: Warehouse, loop: Loop) -> bool:
    counted = warehouse.read("select count(*) from flywheel.withdrawals where loop = $loop", {"loop": loop.name})
    return bool(counted.item())


def _unknown(warehouse: Warehouse, loop: Loop, turn: str, rows: "pl.DataFrame") -> "pl.DataFrame":
    if rows.is_empty():
        return rows
    known = warehouse.read(DELIVERED_ANEW, {"loop": loop.name, "turn": turn})
    return rows.join(known, on=["decision_id", "variant_id"], how="anti")
