"""What every asset of a turn has in common, said once.

Here: key, group, owner, partition, pool, table and column schema of a stage; skipping what is released already.
Not here: what any stage computes (its own module).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.delivery.withdrawn import COMES_DOWN, Withdrawn
from orchestration.home import POOL as POOL
from orchestration.loops.declaration import Loop
from orchestration.tables import TABLES
from orchestration.warehouse.protocol import Warehouse
from orchestration.warehouse.turn_tables import column_schema

if TYPE_CHECKING:
    import polars as pl

OWNER = "team:growth"
ASSET_OF = {"champions": "champion", "challengers": "challenger", "comparisons": "comparison"}
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


def handed_over(loop: str) -> dg.AssetKey:
    """What a loop hands to those that it feeds: an external asset, since two loops may feed each other, and assets may
    form no cycle."""
    return dg.AssetKey([loop, "handed_over"])


def stages_of(table: str, loops: Sequence[Loop]) -> list[dg.AssetKey]:
    """The stages that fill `table`: of every loop, or of those whose way of delivery keeps such rows."""
    filled = [
        key_of(table, loop, stage)
        for loop in loops
        for stage, filled_table in loop.delivery.outputs.items()
        if filled_table == table
    ]
    delivered = {kept for loop in loops for kept in loop.delivery.outputs.values()} | {
        "releases",
        "decisions",
        "results",
        "deliveries",
    }
    return filled if table in delivered else [key_of(table, loop, ASSET_OF.get(table)) for loop in loops]


def is_released(context: dg.AssetExecutionContext, warehouse: Warehouse, loop: Loop) -> bool:
    """Whether the turn is released: a release is a fact, and what led to it stays. Says so in the log.

    An asset that finds it so returns None, which leaves the rows of its partition untouched.
    """
    turn = context.partition_key
    if was_released(warehouse, loop, turn):
        context.log.info(f"Turn {turn} of {loop.name} is released already: nothing is regenerated, all rows stay.")
        return True
    return False


def was_released(warehouse: Warehouse, loop: Loop, turn: str) -> bool:
    """Whether the way of delivery keeps rows of the turn."""
    table = TABLES[loop.delivery.outputs["releases"]].qualified
    counted = warehouse.read(
        f"select count(*) from {table} where turn = $turn and loop = $loop", {"turn": turn, "loop": loop.name}
    )
    return bool(counted.item())


def withdrawn_of(warehouse: Warehouse, loop: Loop) -> Withdrawn:
    """What has been withdrawn of the loop, as things stand now."""
    return Withdrawn.of(warehouse.read(COMES_DOWN, {"loop": loop.name}))


def read_all(warehouse: Warehouse, statements: Mapping[str, str], **values: Any) -> dict[str, "pl.DataFrame"]:
    """The rows of each statement by its name; a statement gets those of the values that it names."""
    return {name: warehouse.read(sql, named_in(sql, values)) for name, sql in statements.items()}


def named_in(sql: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that a statement names as `$name`: a warehouse refuses others."""
    return {name: value for name, value in values.items() if f"${name}" in sql}
