"""What happened in a turn: its events, and the exposures and outcomes among them and among the trials.

Here: the three assets that all loops share. Rows stay in the warehouse: a turn may hold millions.
Not here: reading files (landing) and counting (dbt_project).
"""

from collections.abc import Sequence

import dagster as dg

from orchestration.graph.assets.stage import POOL, described, key_of, stages_of, turn_asset
from orchestration.loops.declaration import Loop
from orchestration.warehouse.protocol import Query, Warehouse

# An event names the variant that was met. Where one answer was decided on twice for a subject, it is of the decision
# that was the newest when it happened. What a trial judges meets nobody: it is exposed once, to its own subject.
EXPOSURES = """
    select
        e.turn, e.loop, e.event_id as exposure_id, r.release_id, e.subject_id, e.variant_id, e.unit_id, e.segment,
        e.occurred_at,
        case when e.in_holdout then 1.0 else r.share end as propensity,
        r.is_control, e.in_holdout, null::date as met_in, false as late, e.simulated
    from flywheel.events as e
    join (select * from flywheel.releases where turn = $turn) as r using (turn, loop, subject_id, variant_id)
    where e.turn = $turn and e.event_type = 'exposure'

    union all

    select
        e.turn, e.loop, e.event_id as exposure_id, d.decision_id as release_id, e.subject_id, e.variant_id, e.unit_id,
        e.segment, e.occurred_at, d.propensity, d.is_control, d.in_holdout, null::date as met_in, false as late,
        e.simulated
    from flywheel.events as e
    join (
        select
            *,
            row_number() over (same order by decided_at, decision_id) = 1 as is_first,
            lead(decided_at) over (same order by decided_at, decision_id) as next_decided_at
        from flywheel.decisions
        where turn = $turn and tried_at is null
        window same as (partition by loop, subject_id, variant_id)
    ) as d using (turn, loop, subject_id, variant_id)
    where e.turn = $turn and e.event_type = 'exposure'
        and (d.is_first or e.occurred_at >= d.decided_at)
        and (d.next_decided_at is null or e.occurred_at < d.next_decided_at)

    union all

    select
        d.turn, e.loop, e.event_id as exposure_id, d.decision_id as release_id, e.subject_id, e.variant_id, e.unit_id,
        e.segment, e.occurred_at, d.propensity, d.is_control, d.in_holdout,
        case when l.turn > d.turn then l.turn end as met_in, l.counts as late, e.simulated
    from flywheel.deliveries as l
    join flywheel.decisions as d on d.turn = l.decided_in and d.loop = l.loop and d.decision_id = l.decision_id
    join flywheel.events as e
        on e.turn = l.turn and e.loop = l.loop and e.subject_id = l.subject_id and e.variant_id = l.variant_id
    where l.decided_in = $turn and e.event_type = 'exposure' and d.tried_at is null
        and not exists (
            select 1 from flywheel.decisions as other
            where other.turn = l.turn and other.loop = l.loop and other.subject_id = l.subject_id
                and other.variant_id = l.variant_id)

    union all

    select
        turn, loop, decision_id as exposure_id, decision_id as release_id, subject_id, variant_id,
        subject_id as unit_id, null as segment, tried_at as occurred_at, propensity, is_control, in_holdout,
        null::date as met_in, false as late, false as simulated
    from flywheel.decisions
    where turn = $turn and tried_at is not null
"""
OUTCOMES = """
    select
        turn, loop, event_id as outcome_id, event_type as outcome, subject_id, unit_id, occurred_at, value,
        null as decision_id, simulated
    from flywheel.events
    where turn = $turn and event_type <> 'exposure'

    union all

    select
        turn, loop, decision_id || ':' || outcome as outcome_id, outcome, subject_id, subject_id as unit_id,
        recorded_at as occurred_at, value, decision_id, false as simulated
    from flywheel.results
    where turn = $turn
"""
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
