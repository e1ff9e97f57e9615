"""What this turn generates for.

Here: who is alive among what has landed, what is known of each that tells whose turn it is, and the facts in force.
Not here: reading files (landing), the choice itself (learning.traffic.rotation), which recipe a subject gets (briefs).
"""

from collections.abc import Collection
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.graph.assets.stage import handed_over, is_released, turn_asset
from orchestration.graph.bound import BoundLoop
from orchestration.learning.traffic.rotation import Rotation, rotation
from orchestration.loops.declaration import Loop
from orchestration.loops.feeds import with_fed_facts
from orchestration.tables import TABLES
from orchestration.turns import Turn
from orchestration.warehouse.protocol import Warehouse

if TYPE_CHECKING:
    import polars as pl

# One row for each subject that is alive in $turn, with its newest facts; none that was withdrawn. $starts and $ends
# name facts that hold days, or are null; $single subjects die when they were released or decided on once, others when
# the outcome $until was counted. `could_be_taken` is the first day on which that was possible: the arrival of the
# subject, or the loop's first turn where files were taken in after the turns that they are for, as in a simulated or
# replayed past.
ALIVE = """
    with landed as (
        select s.*, f.ingested_at,
            row_number() over (partition by s.subject_id order by s.landed_order desc) as from_newest,
            min(s.landed_order) over (partition by s.subject_id) as first_landed,
            min(f.ingested_at) over (partition by s.subject_id) as arrived_at
        from flywheel.landed_subjects as s
        left join flywheel.landed_files as f
            on f.file_hash = s.file_hash and f.loop = s.loop and f.kind = 'subjects'
        where s.loop = $loop
    ), taken as (
        select subject_id, max(turn) as last_turn
        from flywheel.subjects where loop = $loop and turn < $turn::date group by subject_id
    ), delivered as (
        select subject_id from flywheel.decisions where loop = $loop and turn < $turn::date
        union
        select subject_id from flywheel.releases where loop = $loop and turn < $turn::date
    ), reached as (
        select subject_id from flywheel.outcomes
        where loop = $loop and turn < $turn::date and outcome = $until::varchar
        union
        select subject_id from flywheel.results
        where loop = $loop and turn < $turn::date and outcome = $until::varchar
    ), met as (
        select subject_id, sum(units)::double / count(distinct turn) as traffic,
            sum(reward) as reward, sum(reward_squares) as squares
        from flywheel.evidence where loop = $loop and turn < $turn::date group by subject_id
    ), begun as (
        select coalesce(min(turn), $turn::date) as first_turn
        from flywheel.subjects where loop = $loop and turn < $turn::date
    )
    select $turn::date as turn, n.loop, n.subject_id, n.version, n.format, n.category, n.original, n.facts,
        n.holdout_point, n.language, n.first_landed, t.last_turn,
        greatest(
            case when n.arrived_at::date <= $turn::date then n.arrived_at::date else b.first_turn end,
            case when $starts::varchar is not null
                then try_cast(json_extract_string(n.facts, $starts::varchar) as date) end
        ) as could_be_taken,
        m.traffic,
        1 / sqrt(1 + coalesce(case when m.reward > 0 then m.reward * m.reward / m.squares end, 0)) as headroom
    from landed as n
    cross join begun as b
    left join taken as t on t.subject_id = n.subject_id
    left join met as m on m.subject_id = n.subject_id
    where n.from_newest = 1
        and ($starts::varchar is null
            or try_cast(json_extract_string(n.facts, $starts::varchar) as date) <= $turn::date)
        and ($ends::varchar is null
            or try_cast(json_extract_string(n.facts, $ends::varchar) as date) > $turn::date)
        and n.subject_id not in (
            select w.target_id from flywheel.withdrawals as w
            where w.loop = $loop and w.target = 'subject' and w.withdrawal_id not in (
                select undoes from flywheel.withdrawals where undoes is not null))
        and not ($single::boolean and n.subject_id in (select subject_id from delivered))
        and ($until::varchar is null or n.subject_id not in (select subject_id from reached))
    order by n.first_landed, n.subject_id
"""


FED = "select * from flywheel.evidence where loop = $loop and turn = $turn order by subject_id, variant_id"


def alive_subjects(warehouse: Warehouse, loop: Loop, turn: str) -> "pl.DataFrame":
    """Who is alive in a turn, in the order they landed: columns as ALIVE says."""
    return warehouse.read(ALIVE, alive_parameters(loop, turn))


def whose_turn(alive: "pl.DataFrame", turn: Turn, limit: int) -> Rotation:
    """Which of `alive_subjects` the turn takes, at most `limit`."""
    import polars as pl

    def turns_since(column: str) -> "pl.Expr":
        return (pl.lit(turn.first_day) - pl.col(column)).dt.total_days() // turn.length.days

    return rotation(
        alive.with_columns(turns_since=turns_since("last_turn"), turns_alive=turns_since("could_be_taken") + 1), limit
    )


def as_subjects(alive: "pl.DataFrame", chosen: Collection[str]) -> "pl.DataFrame":
    """The rows of `flywheel.subjects` of those chosen among the living, in the order they landed."""
    import polars as pl

    return alive.filter(pl.col("subject_id").is_in(list(chosen))).select(list(TABLES["subjects"].columns))


def alive_parameters(loop: Loop, turn: str) -> dict[str, str | date | bool | None]:
    """What ALIVE needs to know of a loop and a turn."""
    lives = loop.subjects.lives
    return {
        "loop": loop.name,
        "turn": turn,
        "starts": _path(lives.starts),
        "ends": _path(lives.ends),
        "single": lives.single,
        "until": lives.until,
    }


def _path(fact: str | None) -> str | None:
    return None if fact is None else '$."' + fact.replace('"', '\\"') + '"'


def subjects_asset(bound: BoundLoop) -> dg.AssetsDefinition:
    """`L/subjects`: those alive, up to FLYWHEEL_SUBJECTS_PER_TURN in rotation, each with its newest facts."""
    loop = bound.loop

    @turn_asset(
        "subjects",
        bound.partitions,
        loop=loop,
        description="What this turn generates for, with the facts in force and those that other loops hand over.",
        kinds=("duckdb",),
        deps=[
            dg.AssetKey(["landing", "subjects"]),
            dg.AssetKey(["landing", "withdrawals"]),
            *(
                dg.AssetDep(
                    handed_over(feed.source),
                    partition_mapping=dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1),
                )
                for feed in bound.feeds
            ),
        ],
    )
    def subjects(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> Any:
        if is_released(context, warehouse, loop):
            return None
        turn = Turn.of(context.partition_key, bound)
        alive = alive_subjects(warehouse, loop, turn.key)
        if alive.is_empty():
            raise dg.Failure(nobody(warehouse, loop, turn.key), allow_retries=False)
        chosen = whose_turn(alive, turn, bound.subjects_per_turn)
        context.log.info(chosen.message)
        context.add_output_metadata({"waiting": len(chosen.waiting), "longest_wait_turns": chosen.longest})
        return fed(as_subjects(alive, chosen.taken), bound, warehouse, turn)

    return subjects


def fed(subjects: "pl.DataFrame", bound: BoundLoop, warehouse: Warehouse, turn: Turn) -> "pl.DataFrame":
    """The subjects with what other loops' turn t-1 hands over among their facts."""
    before = turn.previous().key
    for feed in bound.feeds:
        evidence = warehouse.read(FED, {"loop": feed.source, "turn": before})
        if not evidence.is_empty():
            subjects = with_fed_facts(subjects, feed.fact, feed.gather(evidence))
    return subjects


def nobody(warehouse: Warehouse, loop: Loop, turn: str) -> str:
    """Why a turn has no subject, with the remedy."""
    landed = warehouse.read(
        "select count(*) from flywheel.landed_subjects where loop = $loop", {"loop": loop.name}
    ).item()
    what = (
        f"None of the landed subjects of {loop.name} is alive in turn {turn}: their days are over or have not come, "
        "or they have got what they were waiting for. Land new ones"
        if landed
        else f"No subject of {loop.name} has landed. Put a file"
    )
    return (
        f"{what} with the columns {list(loop.subjects.needed_as_landed)} into landing/{loop.name}/subjects/; "
        "`flywheel doctor` checks all."
    )
