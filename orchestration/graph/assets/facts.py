"""What happened in a turn: its events, and the exposures and outcomes among them and among the trials.

Here: the three assets that all loops share. Rows stay in the warehouse: a turn may hold millions.
Not here: reading files (landing) and counting (dbt_project).
"""

from collections.abc import Sequence

import dagster as dg

from orchestration.graph.assets.booking import EXPOSURES, OUTCOMES
from orchestration.graph.assets.stage import POOL, described, key_of, stages_of, turn_asset
from orchestration.loops.declaration import Loop
from orchestration.warehouse.protocol import Query, Warehouse

EVENTS_OF_A_TURN = """
    select event_type, count(*) as rows, min(occurred_at) as first, max(occurred_at) as last,
           count(*) filter (where simulated) as simulated
    from flywheel.events where turn = $turn group by all order by rows desc, event_type
"""
REFUSED_OF_A_TURN = """
    select reason, count(*) as rows from flywheel.quarantine
    where kind = 'events' and event_turn = $turn and mended_by is null group by reason order by reason
"""
ARRIVED_LATE = """
    select count(*) from flywheel.events
    where turn = $turn and ingested_at > (select min(released_at) from flywheel.releases where turn > $turn)
"""


def fact_assets(loops: Sequence[Loop], partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """`events`, `exposures` and `outcomes` of a turn."""
    kept = [key for table in ("releases", "decisions") for key in stages_of(table, loops)]
    results = stages_of("results", loops)

    @dg.asset(
        key=key_of("events", None),
        partitions_def=partitions,
        pool=POOL,
        deps=[dg.AssetKey(["landing", "events"])],
        **described("events", None, "What the application logged in this turn, whenever it arrived.", ("duckdb",)),
    )
    def events(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult:
        counted = warehouse.read(EVENTS_OF_A_TURN, {"turn": context.partition_key})
        if counted.is_empty():
            context.log.warning(f"No event of turn {context.partition_key} has landed.")
        refused = warehouse.read(REFUSED_OF_A_TURN, {"turn": context.partition_key})
        records = [dg.TableRecord({name: str(value) for name, value in row.items()}) for row in counted.to_dicts()]
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": int(counted["rows"].sum()),
                "simulated": int(counted["simulated"].sum()),
                **{f"rows: {row['event_type']}": int(row["rows"]) for row in counted.to_dicts()},
                "arrived after the next release": int(
                    warehouse.read(ARRIVED_LATE, {"turn": context.partition_key}).item()
                ),
                "quarantined": int(refused["rows"].sum()),
                **{f"quarantined: {reason}": rows for reason, rows in refused.iter_rows()},
                **({"by_type": dg.MetadataValue.table(records)} if records else {}),
            }
        )

    @turn_asset(
        "exposures",
        partitions,
        description="Units that were shown a variant or their decision's answer, with the probability of that choice.",
        kinds=("duckdb",),
        deps=[key_of("events", None), *kept],
    )
    def exposures(context: dg.AssetExecutionContext) -> Query:
        return Query(EXPOSURES, {"turn": context.partition_key})

    @turn_asset(
        "outcomes",
        partitions,
        description="Signals about exposures and results of decisions, as they came: not yet attributed.",
        kinds=("duckdb",),
        deps=[key_of("events", None), *results],
    )
    def outcomes(context: dg.AssetExecutionContext) -> Query:
        return Query(OUTCOMES, {"turn": context.partition_key})

    return [events, exposures, outcomes]
