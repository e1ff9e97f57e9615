"""What this turn says of challengers against the champion: one increment of the evidence.

Here: asking the way of delivery for the increment, and keeping it.
Not here: how it is computed (delivery, learning.proof), what all increments prove (promotion).
"""

from datetime import date
from typing import Any

import dagster as dg

from orchestration.graph.assets.conditions import increment_of
from orchestration.graph.assets.figures import comparison_figures
from orchestration.graph.assets.learned_from import learned_from
from orchestration.graph.assets.stage import key_of, turn_asset
from orchestration.graph.bound import BoundLoop
from orchestration.learning.proof.paired_estimate import accumulate
from orchestration.registry.champions import champion_in_force, policy_of
from orchestration.registry.tracking import Tracking
from orchestration.tables import TABLES
from orchestration.warehouse.protocol import Warehouse

BEFORE = """
    select * from flywheel.comparisons
    where loop = $loop and turn < $turn and champion = $champion
    order by turn
"""


def comparison_asset(bound: BoundLoop) -> dg.AssetsDefinition:
    """`L/comparison`: at most one row. A turn with no earlier turn to learn from, or nothing new, has none."""
    loop = bound.loop

    @turn_asset(
        "comparisons",
        bound.partitions,
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
        version = champion_in_force(warehouse, loop.name, turn)
        champion = bound.policy(policy_of(warehouse, tracking, loop.name, version).policy)
        found = loop.delivery.compared(learned_from(bound, warehouse, turn), champion)
        context.add_output_metadata({"champion": version})
        if not found:
            context.log.info(
                "Nothing to compare: there is no earlier turn to learn from, or this turn has no new exposures."
            )
            return TABLES["comparisons"].frame([])
        context.add_output_metadata(dict(found.figures))
        increment = found.increment
        before = warehouse.read(BEFORE, {"loop": loop.name, "turn": turn, "champion": version}).to_dicts()
        estimate = accumulate([*map(increment_of, before), increment], planned=bound.planned_turns)
        context.add_output_metadata(dict(comparison_figures(estimate)))
        return TABLES["comparisons"].frame(
            [
                {
                    "turn": date.fromisoformat(turn),
                    "loop": loop.name,
                    "champion": version,
                    "outcome": loop.reward.outcome,
                    "subjects": increment.subjects,
                    "weight": increment.weight,
                    "difference": increment.difference,
                    "squares": increment.squares,
                    "champion_value": increment.champion,
                    "drawn": increment.drawn,
                    "drawn_squares": increment.drawn_squares,
                }
            ]
        )

    return comparison
