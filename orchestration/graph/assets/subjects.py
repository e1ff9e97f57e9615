"""What this turn generates for.

Here: choosing among what has landed, and the facts in force.
Not here: reading files (landing) and which recipe a subject gets (briefs).
"""

from typing import Any

import dagster as dg

from orchestration.graph.assets.stage import is_released, turn_asset
from orchestration.loops.declaration import Loop
from orchestration.settings import Settings
from orchestration.warehouse.duckdb_file import Warehouse

IN_FORCE = """
    select '{turn}'::date as turn, loop, subject_id, version, format, category, original, facts, holdout_point
    from (
        select *, min(landed_order) over (partition by subject_id) as first_landed
        from flywheel.landed_subjects
        where loop = '{loop}'
        qualify row_number() over (partition by subject_id order by landed_order desc) = 1
    )
    where {open}
    order by first_landed, subject_id
    limit {limit}
"""
OPEN = """
    try_cast(json_extract_string(facts, '$.{starts}') as date) <= '{turn}'::date
    and try_cast(json_extract_string(facts, '$.{ends}') as date) > '{turn}'::date
"""


def subjects_in_force(loop: Loop, turn: str, limit: int) -> str:
    """The SELECT of a turn's subjects: the first that landed and are open, at most `limit`, with their newest facts."""
    declared = loop.subjects
    is_open = OPEN.format(turn=turn, starts=declared.starts, ends=declared.ends) if declared.starts else "true"
    return IN_FORCE.format(turn=turn, loop=loop.name, open=is_open, limit=limit)


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
        rows = warehouse.read(subjects_in_force(loop, context.partition_key, settings.subjects_per_turn))
        if rows.is_empty():
            open_now = f" that is open in turn {context.partition_key}" if loop.subjects.starts else ""
            raise dg.Failure(
                f"No subject of {loop.name}{open_now} has landed. Put a file with the columns "
                f"{list(loop.subjects.columns)} into landing/{loop.name}/subjects/; `flywheel doctor` checks all.",
                allow_retries=False,
            )
        return rows

    return subjects
