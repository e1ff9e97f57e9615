"""What this turn says of challengers against the champion: one increment of the evidence.

Here: reading what the increment needs, and keeping it.
Not here: how it is computed (learning.proof, learning.traffic), what all increments prove (promotion).
"""

from datetime import date
from typing import Any

import dagster as dg

from orchestration.graph.assets.evidence import evidence_so_far
from orchestration.graph.assets.releases import with_turns_left
from orchestration.graph.assets.stage import key_of, turn_asset
from orchestration.learning.policies.policy import Policy
from orchestration.learning.policies.training import fit_recipes
from orchestration.learning.proof.comparison import increment
from orchestration.learning.traffic.traffic_comparison import fresh_subjects, increment_of_traffic
from orchestration.loops.declaration import Loop
from orchestration.loops.recipes import recipes_by_format
from orchestration.model.text_embedding import embed_texts
from orchestration.registry.champions import champion_in_force
from orchestration.registry.tracking import Tracking
from orchestration.settings import Settings
from orchestration.tables import TABLES
from orchestration.turns import Turn
from orchestration.warehouse.duckdb_file import Warehouse

DRAWN = """
    select b.turn, b.subject_id, b.recipe_id, b.propensity
    from flywheel.briefs as b join flywheel.candidates as c using (turn, loop, brief_id)
    where b.loop = $loop and b.turn = $turn and c.status <> 'deferred'
    order by all
"""

CHALLENGER_BEFORE = """
    select policy from flywheel.challengers where loop = $loop and turn < $turn order by turn desc limit 1
"""


def comparison_asset(loop: Loop, settings: Settings, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`L/comparison`: at most one row. A turn with no earlier turn to learn from, or nothing new, has none."""
    by_format = recipes_by_format(loop.recipes.for_languages(settings.languages))

    @turn_asset(
        "comparisons",
        partitions,
        loop=loop,
        name="comparison",
        description="Challenger minus champion on this turn's subjects, by a challenger that never saw them.",
        kinds=("polars",),
        deps=[key_of("evidence", loop)],
    )
    def comparison(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        tracking: dg.ResourceParam[Tracking],
    ) -> Any:
        turn = context.partition_key
        named = {"loop": loop.name, "turn": turn}
        evidence = evidence_so_far(warehouse, loop.name, turn)
        version = champion_in_force(warehouse, loop.name, turn)
        champion = Policy.from_json(tracking.version(loop.name, version).policy).covering(by_format)
        if loop.subjects.variants:
            before = warehouse.read(CHALLENGER_BEFORE, named)
            fresh = fresh_subjects(evidence, turn)
            if loop.subjects.lives.ends:
                subjects = warehouse.rows(TABLES["subjects"], turn=turn, loop=loop.name)
                subjects = with_turns_left(subjects, loop.subjects.lives.ends, Turn.of(turn, settings))
                fresh = fresh.join(subjects.select("subject_id", "turns_left"), on="subject_id")
            made = before.height and increment_of_traffic(
                fresh,
                Policy.from_json(before.item()),
                champion,
                turn,
                loop.allocation,
                embed_texts,
            )
        else:
            made = increment(
                evidence,
                lambda rows: fit_recipes(rows, by_format),
                champion.recipes,
                turn,
                briefs=warehouse.read(DRAWN, named),
                control_share=loop.allocation.control,
            )
        context.add_output_metadata({"champion": version})
        if not made:
            context.log.info("Nothing to compare: no earlier turn to learn from, or no new variant was met.")
            return TABLES["comparisons"].frame([])
        return TABLES["comparisons"].frame(
            [
                {
                    "turn": date.fromisoformat(turn),
                    "loop": loop.name,
                    "champion": version,
                    "outcome": loop.reward,
                    "subjects": made.subjects,
                    "weight": made.weight,
                    "difference": made.difference,
                    "squares": made.squares,
                    "champion_value": made.champion,
                    "drawn": made.drawn,
                    "drawn_squares": made.drawn_squares,
                }
            ]
        )

    return comparison
