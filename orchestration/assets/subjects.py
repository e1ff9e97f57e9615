"""What this turn generates for.

Here: choosing among what has landed, and the facts in force.
Not here: reading files (landing) and which recipe a subject gets (briefs).
"""

from typing import Any

import dagster as dg

from orchestration.assets.stage import is_released, turn_asset
from orchestration.loops.declaration import Loop
from orchestration.resources.warehouse import Warehouse
from orchestration.settings import Settings

IN_FORCE = """
    select
        '{turn}'::date as turn, loop, subject_id, version, format, category, original, facts
    from flywheel.landed_subjects
    where loop = '{loop}'
    qualify row_number() over (partition by subject_id order by landed_order desc) = 1
    order by min(landed_order) over (partition by subject_id), subject_id
    limit {limit}
"""


def subjects_asset(loop: Loop, settings: Settings, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`L/subjects`: the first that landed, up to FLYWHEEL_SUBJECTS_PER_TURN, each with its newest facts."""

    @turn_asset(
        "subjects",
        partitions,
        loop=loop,
        description="What this turn generates for, with the facts in force.",
        kinds=("duckdb",),
        deps=[dg.AssetKey(["landing", "subjects"])],
    )
    def subjects(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> Any:
        if is_released(context, warehouse, loop):
            return None
        rows = warehouse.read(
            IN_FORCE.format(turn=context.partition_key, loop=loop.name, limit=settings.subjects_per_turn)
        )
        if rows.is_empty():
            raise dg.Failure(
                f"No subject of {loop.name} has landed. Put a file with the columns {list(loop.subjects.columns)} "
                f"into landing/{loop.name}/subjects/; `flywheel doctor` checks all files.",
                allow_retries=False,
            )
        return rows

    return subjects
