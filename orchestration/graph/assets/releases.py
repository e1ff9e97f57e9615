"""What goes out, written once: the rows of the loop's way of delivery.

Here: reading what the way of delivery asks for, and handing it over.
Not here: who competes, with what share, or what was drawn for whom (delivery), who approved (reviews), the file that an
application reads (outbox).

What earlier turns have shown is read from `flywheel.evidence`, where it lies as facts and counts. Dagster sees that
edge through the model registry, since assets may not form a cycle; the metadata names the turns that were read.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.delivery.protocol import Releasing
from orchestration.graph.assets.stage import POOL, is_released, of_loop, read_all, turn_output, withdrawn_of
from orchestration.graph.assets.subjects import alive_parameters, alive_subjects, as_subjects
from orchestration.graph.bound import BoundLoop
from orchestration.model.text_embedding import embed_texts
from orchestration.warehouse.protocol import Warehouse
from orchestration.warehouse.turn_tables import as_markdown

if TYPE_CHECKING:
    import polars as pl

STAGES = ("champion", "subjects", "briefs", "candidates", "reviews")
SAID = {
    "releases": "What is in force, with its probabilities, and what it competes with: a fact, never rewritten.",
    "deliveries": "Answers to earlier decisions that a person has approved since, each under its own decision.",
    "results": "What making and trying an answer showed by itself, such as its trial and its costs.",
}


def releases_asset(bound: BoundLoop) -> dg.AssetsDefinition:
    """`L/releases`, and what else the way of delivery keeps: facts. A turn that has them keeps them."""
    loop = bound.loop
    outputs = loop.delivery.outputs

    @dg.multi_asset(
        name=f"{loop.name}_releases",
        partitions_def=bound.partitions,
        pool=POOL,
        ins={name: of_loop(loop, name) for name in STAGES},
        outs={
            stage: turn_output(table, loop=loop, name=stage, description=SAID[stage], kinds=("polars", "duckdb"))
            for stage, table in outputs.items()
        },
    )
    def releases(
        context: dg.AssetExecutionContext,
        champion: Any,
        subjects: Any,
        briefs: Any,
        candidates: Any,
        reviews: Any,
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Any:
        turn = context.partition_key
        if is_released(context, warehouse, loop):
            for stage in outputs:
                yield dg.Output(None, stage)
            return
        (in_force,) = champion.to_dicts()
        alive = alive_subjects(warehouse, loop, turn)
        waiting = sorted(set(alive["subject_id"]) - set(subjects["subject_id"]))
        releasing = Releasing(
            loop=loop,
            when=bound.when(turn),
            policy=bound.policy(in_force["policy"]),
            policy_version=in_force["policy_version"],
            subjects=subjects,
            waiting=as_subjects(alive, waiting),
            briefs=briefs,
            candidates=candidates,
            reviews=reviews,
            read=read_all(warehouse, loop.delivery.release_reads, **alive_parameters(loop, turn)),
            embed=embed_texts,
            now=datetime.now(UTC).replace(tzinfo=None),
            withdrawn=withdrawn_of(warehouse, loop),
        )
        kept = loop.delivery.released(releasing)
        for stage in outputs:
            yield dg.Output(kept[stage], stage, metadata=summary(kept[stage]))

    return releases


def summary(rows: "pl.DataFrame") -> dict[str, Any]:
    """Counts of what goes out, by recipe or option."""
    if "is_control" not in rows.columns:
        return {}
    counted: dict[str, Any] = {
        "subjects": rows["subject_id"].n_unique(),
        "variants": int((~rows["is_control"]).sum()),
        "by_recipe": dg.MarkdownMetadataValue(as_markdown(by_recipe(rows))),
    }
    if "share" in rows.columns:
        counted["only_control"] = int((rows["share"] == 1).sum())
    return counted


def by_recipe(rows: "pl.DataFrame") -> "pl.DataFrame":
    """Variants of each recipe, with the means of what was decided about them."""
    import polars as pl

    means = [name for name in ("share", "predicted", "propensity") if name in rows.columns]
    return (
        rows.group_by(recipe=pl.when("is_control").then(pl.lit("control")).otherwise("recipe_id"))
        .agg(pl.len().alias("variants"), pl.col(means).mean())
        .sort("recipe")
    )
