"""The policy in force when a turn begins.

Here: asking the records for it, and the first one of all.
Not here: what replaces it (challenger, promotion).
"""

from typing import Any

import dagster as dg

from orchestration.graph.assets.stage import MODEL_REGISTRY, is_released, key_of, turn_asset
from orchestration.graph.bound import BoundLoop
from orchestration.registry.champions import newest_version, standing_champion
from orchestration.registry.tracking import Tracking, Training
from orchestration.warehouse.protocol import Warehouse


def champion_asset(bound: BoundLoop) -> dg.AssetsDefinition:
    """`L/champion`: closes the loop, since it depends on the registry that promotions write to."""
    loop = bound.loop

    @turn_asset(
        "champions",
        bound.partitions,
        loop=loop,
        name="champion",
        description="The policy that chooses in this turn: the last one promoted, or rolled back to.",
        kinds=("mlflow", "duckdb"),
        deps=[
            MODEL_REGISTRY,
            dg.AssetDep(
                key_of("champions", loop, "champion"),
                partition_mapping=dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1),
            ),
        ],
    )
    def champion(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        tracking: dg.ResourceParam[Tracking],
    ) -> Any:
        import polars as pl

        if is_released(context, warehouse, loop):
            return None
        turn = context.partition_key
        registered = standing_champion(warehouse, tracking, loop.name, turn, context.log.warning)
        if registered is None:
            first = loop.delivery.first(loop, bound.by_format).to_json()
            training = Training(turn, {"policy": "uniform over recipes"}, {}, {})
            registered = tracking.register(
                loop.name, first, training, evidence=None, newest=newest_version(warehouse, loop.name)
            )
            tracking.set_champion(loop.name, registered.version)
        context.add_output_metadata(
            {
                "policy_version": registered.version,
                "mlflow_run": dg.UrlMetadataValue(tracking.run_url(loop.name, registered.run_id)),
            }
        )
        return pl.DataFrame(
            {
                "turn": [context.partition_key],
                "loop": [loop.name],
                "policy_version": [registered.version],
                "mlflow_run_id": [registered.run_id],
                "policy": [registered.policy],
            }
        )

    return champion
