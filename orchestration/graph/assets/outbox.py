"""What an application reads: what goes out in a turn as a file, with provenance and disclosure.

Here: writing the items of the loop's way of delivery. Making the file again gives the same file.
Not here: what an item says (delivery), writing files and whom a pseudonym stands for (landing).
"""

import dagster as dg

from orchestration.graph.assets.stage import POOL, key_of, named_in
from orchestration.graph.bound import BoundLoop
from orchestration.landing.outbox import Outbox
from orchestration.warehouse.protocol import Warehouse


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
        turn = context.partition_key
        sql = loop.delivery.outbox_read
        rows = warehouse.read(sql, named_in(sql, {"loop": loop.name, "turn": turn}))
        items = list(loop.delivery.outbox(rows, loop, turn))
        path = outbox.write(loop.name, turn, items, to_addressees=loop.subjects.key_is_personal)
        return dg.MaterializeResult(
            metadata={
                "path": dg.PathMetadataValue(str(path)),
                "items": len(items),
                "example": dg.JsonMetadataValue(items[0] if items else {}),
            }
        )

    return outbox
