"""What every asset of a turn has in common, said once.

Here: key, group, owner, partition, pool, table and column schema of a stage; skipping what is released already.
Not here: what any stage computes (its own module).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from orchestration.home import POOL as POOL
from orchestration.loops.declaration import Loop
from orchestration.tables import TABLES
from orchestration.warehouse.duckdb_file import Warehouse
from orchestration.warehouse.turn_tables import column_schema

OWNER = "team:growth"
MODEL_REGISTRY = dg.AssetKey("model_registry")


def turn_asset(
    table: str,
    partitions: dg.PartitionsDefinition,
    *,
    loop: Loop | None = None,
    name: str | None = None,
    description: str,
    kinds: Sequence[str] = ("polars", "duckdb"),
    ins: Mapping[str, dg.AssetIn] | None = None,
    deps: Sequence[Any] = (),
) -> Callable[..., dg.AssetsDefinition]:
    """Decorator of an asset that fills `table` for one turn; of `loop`, or of all loops when none is given.

    The name defaults to the table's. What the function returns replaces the partition's rows.
    """
    return dg.asset(
        key=key_of(table, loop, name),
        partitions_def=partitions,
        pool=POOL,
        io_manager_key="turn_tables",
        ins=ins,
        deps=deps,
        **described(table, loop, description, kinds),
    )


def turn_output(
    table: str, *, loop: Loop, description: str, kinds: Sequence[str], name: str | None = None
) -> dg.AssetOut:
    """One table of a stage that fills several; otherwise as `turn_asset`."""
    return dg.AssetOut(
        key=key_of(table, loop, name), io_manager_key="turn_tables", **described(table, loop, description, kinds)
    )


def key_of(table: str, loop: Loop | None, name: str | None = None) -> dg.AssetKey:
    """Key of a stage: below its loop, or alone when all loops share it."""
    return dg.AssetKey([loop.name, name or table] if loop else [name or table])


def described(table: str, loop: Loop | None, description: str, kinds: Sequence[str]) -> dict[str, Any]:
    """Group, owner, kinds, description and metadata of the asset that fills `table`."""
    declared = TABLES[table]
    return {
        "group_name": loop.name if loop else "facts",
        "owners": [loop.owner if loop else OWNER],
        "kinds": set(kinds),
        "description": f"{description}\n\n`{declared.qualified}`: {declared.grain}.",
        "metadata": {
            "table": table,
            **({"loop": loop.name} if loop else {}),
            "dagster/table_name": declared.qualified,
            "dagster/column_schema": column_schema(declared),
        },
    }


def of_loop(loop: Loop, stage: str, **options: Any) -> dg.AssetIn:
    """The same turn's rows of another stage of the loop."""
    return dg.AssetIn(key=[loop.name, stage], **options)


def is_released(context: dg.AssetExecutionContext, warehouse: Warehouse, loop: Loop) -> bool:
    """Whether the turn is released: a release is a fact, and what led to it stays. Says so in the log.

    An asset that finds it so returns None, which leaves the rows of its partition untouched.
    """
    turn = context.partition_key
    released = warehouse.read(
        "select count(*) from flywheel.releases where turn = ? and loop = ?", [turn, loop.name]
    ).item()
    if released:
        context.log.info(f"Turn {turn} of {loop.name} is released already: nothing is regenerated, all rows stay.")
    return bool(released)
