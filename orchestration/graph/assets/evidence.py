"""What a turn may teach: what its answers earned, beside what chose them.

Here: the turn's rows, each with the fold of its subject.
Not here: counting (dbt_project), which rows a way of delivery learns from (delivery), which subjects share a fold
(learning.proof.folds), learning from it (challenger).
"""

from typing import Any

import dagster as dg

from orchestration.graph.assets.stage import key_of, stages_of, turn_asset, was_released
from orchestration.graph.bound import BoundLoop
from orchestration.learning.proof.folds import with_folds
from orchestration.warehouse.protocol import Warehouse

SUBJECTS_SEEN = """
    select distinct subject_id, original, facts from flywheel.subjects where loop = $loop and turn <= $turn
"""

LOUD = """
    select count(distinct case when left_out then unit_id end) as left_out,
        count(distinct case when not left_out then unit_id end) as cut
    from marts.loud_units where loop = $loop and turn = $turn
"""


def evidence_asset(bound: BoundLoop) -> dg.AssetsDefinition:
    """`L/evidence`: one row per answer of the turn, with the fold of its subject by what had been seen until then."""
    loop = bound.loop

    @turn_asset(
        "evidence",
        bound.partitions,
        loop=loop,
        description="What the turn's answers earned, beside the propensities of what chose them.",
        kinds=("duckdb",),
        deps=[
            dg.AssetKey("variant_readouts"),
            dg.AssetKey("decision_readouts"),
            dg.AssetKey("loud_units"),
            *(key_of(table, loop) for table in ("subjects", "briefs", "candidates")),
            *stages_of(loop.delivery.outputs["releases"], [loop]),
        ],
    )
    def evidence(context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse]) -> Any:
        turn = context.partition_key
        named = {"loop": loop.name, "turn": turn}
        if not was_released(warehouse, loop, turn):
            raise dg.Failure(
                f"Turn {turn} of {loop.name} was never released, so there is nothing to learn from: "
                f"`flywheel turn --produce {turn}` first, and let its window pass.",
                allow_retries=False,
            )
        rows = warehouse.read(loop.delivery.evidence, named)
        loud = warehouse.read(LOUD, named)
        left_out, cut = int(loud["left_out"].sum()), int(loud["cut"].sum())
        context.add_output_metadata({"units left out as too loud": left_out, "units whose amount is cut": cut})
        if left_out:
            context.log.warning(
                f"{left_out} units of {loop.name} did more than people do and count nowhere: loud_units."
            )
        return with_folds(rows, warehouse.read(SUBJECTS_SEEN, named))

    return evidence
