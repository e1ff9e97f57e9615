"""Learning a turn again, when facts about it arrive late.

Here: which turns late rows touch, and asking Dagster's daemon for the backfill. The one module that uses
private names of Dagster, since the public API offers no way to ask for a backfill; a test pins them.
Not here: noticing late rows (sensors).
"""

import time
from collections.abc import Sequence

import dagster as dg
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.utils import make_new_backfill_id

from orchestration.warehouse.protocol import Warehouse

LAST_ARRIVAL = """
    select max(ingested_at) as at from (
        select max(ingested_at) as ingested_at from flywheel.events
        union all select max(ingested_at) as ingested_at from flywheel.exclusions
    ) as arrived
"""
TOUCHED = """
    with fresh as (
        select * from flywheel.events where ingested_at > $since and ingested_at <= $until
    ),
    changed_hours as (
        select e.loop, e.ingested_at, coalesce(u.excluded_from, e.excluded_from) as starts,
            coalesce(u.excluded_until, e.excluded_until) as ends
        from flywheel.exclusions as e left join flywheel.exclusions as u on u.exclusion_id = e.undoes
        where e.ingested_at > $since and e.ingested_at <= $until
    ),
    touched as (
        select turn, loop from fresh
        union
        select x.turn, x.loop from flywheel.exposures as x
        join changed_hours as h on h.loop = x.loop and x.occurred_at >= h.starts and x.occurred_at < h.ends
        union
        select p.turn, p.loop from flywheel.outcomes as o
        join changed_hours as h on h.loop = o.loop and o.occurred_at >= h.starts and o.occurred_at < h.ends
        join flywheel.promotions as p on p.loop = o.loop and p.turn <= o.turn and p.turn >= o.turn - interval 31 day
        union
        select l.decided_in as turn, f.loop
        from fresh as f
        join flywheel.deliveries as l
            on l.turn = f.turn and l.loop = f.loop and l.subject_id = f.subject_id and l.variant_id = f.variant_id
        where f.event_type = 'exposure'
        union
        select r.turn, f.loop
        from fresh as f
        join (
            select turn, loop, release_id from flywheel.releases
            union select turn, loop, decision_id as release_id from flywheel.decisions
        ) as r on r.loop = f.loop and r.release_id = f.release_id
        union
        select r.turn, f.loop
        from fresh as f
        join flywheel.releases as n on n.turn = f.turn and n.loop = f.loop and f.occurred_at < n.graced_until
        join flywheel.releases as r
            on r.loop = f.loop and r.subject_id = f.subject_id and r.variant_id = f.variant_id and r.turn < n.turn
        where f.event_type = 'exposure' and f.release_id is null
            and r.turn = (select max(b.turn) from flywheel.releases as b where b.loop = f.loop and b.turn < f.turn)
        union
        select x.turn, x.loop
        from fresh as f
        join flywheel.outcome_definitions as d on d.loop = f.loop and d.outcome = f.event_type
        join flywheel.exposures as x
            on x.loop = f.loop and x.subject_id = f.subject_id and x.unit_id = f.unit_id
            and x.turn < f.turn and x.turn >= f.turn - interval 31 day
            and f.occurred_at between x.occurred_at and x.occurred_at + to_seconds(d.within_s)
    ),
    learned as (
        select turn, loop, max(decided_at) as decided_at from flywheel.promotions group by all
    )
    select distinct t.turn from touched as t join learned as l using (turn, loop)
    where l.decided_at < $until
      and t.turn >= coalesce((select max(turn) from flywheel.prunings), t.turn)
      and (exists (select 1 from fresh as f where f.ingested_at > l.decided_at)
        or exists (select 1 from changed_hours as h where h.ingested_at > l.decided_at))
    order by t.turn
"""
LEARNED_SINCE = "select distinct turn from flywheel.promotions where turn >= $first order by turn"


def touched_turns(warehouse: Warehouse, since: str, until: str) -> list[str]:
    """Turns learned already to which rows that arrived in (`since`, `until`] belong, in order.

    An event touches its own turn, the turn of each exposure that it may be attributed to, that of the release which it
    says was served, and the turn of a decision whose answer it met late. Hours that are excluded, or count again, touch
    the turns of the exposures and outcomes in them, and those whose outcomes may lie there.
    """
    rows = warehouse.read(TOUCHED, {"since": since, "until": until})
    return [str(turn) for turn in rows["turn"]]


def turns_to_learn_again(warehouse: Warehouse, touched: Sequence[str]) -> list[str]:
    """The touched turns and every later one that was learned: their policies were trained on the touched ones."""
    if not touched:
        return []
    rows = warehouse.read(LEARNED_SINCE, {"first": min(touched)})
    return [str(turn) for turn in rows["turn"]]


def request_backfill(
    instance: dg.DagsterInstance,
    graph: "dg._core.definitions.assets.graph.base_asset_graph.BaseAssetGraph",
    selection: Sequence[dg.AssetKey],
    turns: Sequence[str],
    reason: str,
) -> str:
    """Ask the daemon to materialise `selection` for `turns`, one run a turn; the backfill's identity."""
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id=make_new_backfill_id(),
        asset_graph=graph,
        partition_names=list(turns),
        asset_selection=list(selection),
        backfill_timestamp=time.time(),
        tags={"flywheel/half": "learn", "flywheel/reason": "late events"},
        dynamic_partitions_store=instance,
        all_partitions=False,
        title=f"learn again: {turns[0]} to {turns[-1]}",
        description=reason,
        run_config=None,
    )
    instance.add_backfill(backfill)
    return backfill.backfill_id
