"""What a turn may teach: the read-outs of its variants, beside what chose them.

Here: joining read-outs with texts, recipes and propensities.
Not here: counting (dbt_project) and learning from it (challenger).
"""

import dagster as dg

from orchestration.graph.assets.stage import key_of, turn_asset
from orchestration.loops.declaration import Loop
from orchestration.warehouse.duckdb_file import Warehouse

FOLDS = 5

# The propensity of a recipe belongs to the turn whose briefs it chose. A variant that was carried over has earned
# its place, so as a sample of its recipe it would flatter it.
EVIDENCE = """
    select
        v.turn, v.loop, v.subject_id, v.category, r.stratum, r.format, v.variant_id, v.is_control, r.recipe_id, r.text,
        v.units, v.reward, v.reward_squares, r.share,
        b.propensity as recipe_propensity,
        (('0x' || substr(sha256(s.facts), 1, 8))::ubigint % {folds})::integer as fold,
        v.simulated
    from marts.variant_readouts as v
    join flywheel.releases as r using (turn, loop, subject_id, variant_id)
    join flywheel.subjects as s using (turn, loop, subject_id)
    left join flywheel.candidates as c on c.turn = v.turn and c.loop = v.loop and c.candidate_id = r.candidate_id
    left join flywheel.briefs as b on b.turn = c.turn and b.loop = c.loop and b.brief_id = c.brief_id
    where v.turn = '{turn}' and v.loop = '{loop}'
"""


def evidence_asset(loop: Loop, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`L/evidence`: one row per variant of the turn. Subjects with the same facts share a fold for ever."""

    @turn_asset(
        "evidence",
        partitions,
        loop=loop,
        description="Read-outs of the turn's variants beside the propensities of what chose them.",
        kinds=("duckdb",),
        deps=[
            dg.AssetKey("variant_readouts"),
            *(key_of(table, loop) for table in ("subjects", "briefs", "candidates", "releases")),
        ],
    )
    def evidence(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> str:
        turn = context.partition_key
        released = warehouse.read(
            "select count(*) from flywheel.releases where turn = ? and loop = ?", [turn, loop.name]
        ).item()
        if not released:
            raise dg.Failure(
                f"Turn {turn} of {loop.name} was never released, so there is nothing to learn from: "
                f"`flywheel turn --produce {turn}` first, and let its window pass.",
                allow_retries=False,
            )
        return EVIDENCE.format(turn=turn, loop=loop.name, folds=FOLDS)

    return evidence
