"""What is asked for whom: one brief is one request for an answer.

Here: asking the champion, and laying out what generation and delivery make of each subject.
Not here: how options are chosen (learning.policies, delivery), what they are (generation), what a prompt says
(loops.recipes).
"""

import json
from typing import Any

import dagster as dg

from orchestration.delivery.briefing import Briefing, brief_rows, unwritten
from orchestration.graph.assets.stage import is_released, of_loop, read_all, turn_asset, withdrawn_of
from orchestration.graph.bound import BoundLoop
from orchestration.graph.library import finder
from orchestration.registry.tracking import Tracking
from orchestration.warehouse.protocol import Warehouse

IN_FORCE = {
    "releases": """
        select subject_id, answer from flywheel.releases
        where loop = $loop and turn < $turn and not is_control
        qualify row_number() over (partition by subject_id order by turn desc, share desc, variant_id) = 1
    """,
    "decisions": """
        select subject_id, answer from (
            select subject_id, answer, turn from flywheel.decisions
            where loop = $loop and turn < $turn and delivered
            union all
            select subject_id, answer, turn from flywheel.deliveries
            where loop = $loop and turn < $turn and delivered
        ) as delivered
        qualify row_number() over (partition by subject_id order by turn desc, answer) = 1
    """,
}
"""The answer in force for each subject, by the table that a way of delivery keeps: what a price moves from."""


def briefs_asset(bound: BoundLoop) -> dg.AssetsDefinition:
    """`L/briefs`: what the way of delivery draws for each subject, with its propensity."""
    loop = bound.loop

    @turn_asset(
        "briefs",
        bound.partitions,
        loop=loop,
        description="Subject x option, chosen by the champion: one row is one request, with its propensity.",
        kinds=("polars", "mlflow"),
        ins={"champion": of_loop(loop, "champion"), "subjects": of_loop(loop, "subjects")},
        deps=[dg.AssetKey(["landing", "documents"])] if loop.generation.corpora else (),
    )
    def briefs(
        context: dg.AssetExecutionContext,
        champion: Any,
        subjects: Any,
        warehouse: dg.ResourceParam[Warehouse],
        tracking: dg.ResourceParam[Tracking],
    ) -> Any:
        if is_released(context, warehouse, loop):
            return None
        (in_force,) = champion.to_dicts()
        versions = tracking.prompt_versions(bound.recipes)
        made_from = briefing(
            bound, warehouse, context.partition_key, in_force["policy"], in_force["policy_version"], versions
        )
        rows, silent = brief_rows(subjects, made_from), unwritten(subjects, made_from)
        if silent:
            context.log.warning(
                f"No recipe writes in {', '.join(silent)}: {sum(silent.values())} subjects get no brief. "
                "Add the language to FLYWHEEL_LANGUAGES and to a recipe."
            )
        context.add_output_metadata(
            {
                "by_recipe": dg.JsonMetadataValue(dict(rows["recipe_id"].value_counts().sort("recipe_id").iter_rows())),
                "subjects_without_recipe": sum(silent.values()),
                "prompts": dg.JsonMetadataValue(versions),
                "with_exemplars": int((rows["exemplars"] != "[]").sum()),
                "mlflow_run": dg.UrlMetadataValue(tracking.run_url(loop.name, in_force["mlflow_run_id"])),
            }
        )
        return rows

    return briefs


def briefing(
    bound: BoundLoop, warehouse: Warehouse, turn: str, policy: str | None, version: str, versions: dict[str, int]
) -> Briefing:
    """What briefs are made from; the first policy where there is none yet (`policy` is None)."""
    loop = bound.loop
    table = loop.delivery.outputs["releases"]
    answers = read_all(warehouse, {"in_force": IN_FORCE[table]}, loop=loop.name, turn=turn)["in_force"]
    first = loop.delivery.first(loop, bound.by_format)
    return Briefing(
        loop=loop,
        when=bound.when(turn),
        recipes=bound.recipes,
        prompt_versions=versions,
        policy=first if policy is None else bound.policy(policy),
        first=first,
        policy_version=version,
        in_force={row["subject_id"]: json.loads(row["answer"] or "{}") for row in answers.to_dicts()},
        find=finder(warehouse, loop.generation.corpora),
        language=bound.language,
        withdrawn=withdrawn_of(warehouse, loop),
    )
