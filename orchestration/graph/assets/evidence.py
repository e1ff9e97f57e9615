"""What a turn may teach: the read-outs of its variants, beside what chose them.

Here: joining read-outs with texts, recipes and propensities.
Not here: counting (dbt_project), which subjects share a fold (learning.proof.folds), learning from it (challenger).
"""

from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.graph.assets.stage import key_of, turn_asset
from orchestration.learning.proof.folds import with_folds
from orchestration.loops.declaration import Loop
from orchestration.warehouse.duckdb_file import Warehouse

if TYPE_CHECKING:
    import polars as pl

# The propensity of a recipe belongs to the turn whose briefs it chose. A variant that was carried over has earned
# its place, so as a sample of its recipe it would flatter it.
EVIDENCE = """
    select
        v.turn, v.loop, v.subject_id, v.category, r.stratum, r.format, v.variant_id, v.is_control, r.recipe_id, r.text,
        v.units, v.reward, v.reward_squares, r.share,
        b.propensity as recipe_propensity,
        null::integer as fold,
        v.simulated
    from marts.variant_readouts as v
    join flywheel.releases as r using (turn, loop, subject_id, variant_id)
    left join flywheel.candidates as c on c.turn = v.turn and c.loop = v.loop and c.candidate_id = r.candidate_id
    left join flywheel.briefs as b on b.turn = c.turn and b.loop = c.loop and b.brief_id = c.brief_id
    where v.turn = $turn and v.loop = $loop
"""
SUBJECTS_SEEN = """
    select distinct subject_id, original, facts from flywheel.subjects where loop = $loop and turn <= $turn
"""
SO_FAR = "select * from flywheel.evidence where loop = $loop and turn <= $turn order by turn, subject_id, variant_id"


def evidence_asset(loop: Loop, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`L/evidence`: one row per variant of the turn, with the fold of its subject by what had been seen until then."""

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
    def evidence(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> Any:
        turn = context.partition_key
        named = {"loop": loop.name, "turn": turn}
        released = warehouse.read(
            "select count(*) from flywheel.releases where turn = ? and loop = ?", [turn, loop.name]
        ).item()
        if not released:
            raise dg.Failure(
                f"Turn {turn} of {loop.name} was never released, so there is nothing to learn from: "
                f"`flywheel turn --produce {turn}` first, and let its window pass.",
                allow_retries=False,
            )
        return with_folds(warehouse.read(EVIDENCE, named), warehouse.read(SUBJECTS_SEEN, named))

    return evidence


def evidence_so_far(warehouse: Warehouse, loop: str, turn: str) -> "pl.DataFrame":
    """Rows of `flywheel.evidence` up to `turn`, folded by all subjects seen by then.

    A subject that came later may have joined two folds that an earlier turn kept apart.
    """
    named = {"loop": loop, "turn": turn}
    return with_folds(warehouse.read(SO_FAR, named), warehouse.read(SUBJECTS_SEEN, named))
