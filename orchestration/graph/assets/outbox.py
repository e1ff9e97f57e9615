"""What an application reads: the releases of a turn as a file, with provenance and disclosure.

Here: laying out each item from the facts. Making the file again gives the same file.
Not here: which variants there are (releases) and writing files (landing.outbox).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.assignment import holdout_salt, subject_salt
from orchestration.graph.assets.stage import POOL, key_of
from orchestration.landing.outbox import Outbox
from orchestration.loops.declaration import Loop
from orchestration.warehouse.duckdb_file import Warehouse

if TYPE_CHECKING:
    import polars as pl

# A candidate may have waited for a person, or been carried over: what made it lies in the turn it was written in.
PROVENANCE = """
    select
        r.*, b.prompt_name, b.prompt_version, b.seed, b.language, b.turn as written_in, b.policy_version as chosen_by,
        l.model,
        (select max(decided_by) from flywheel.reviews as v
         where v.loop = r.loop and v.candidate_id = r.candidate_id and v.turn <= r.turn
           and v.decision in ('publish', 'approve', 'edit')) as approved_by
    from flywheel.releases as r
    left join flywheel.candidates as c on c.loop = r.loop and c.candidate_id = r.candidate_id
    left join flywheel.briefs as b on b.loop = r.loop and b.brief_id = c.brief_id and b.turn = c.turn
    left join flywheel.llm_calls as l on l.loop = r.loop and l.call_id = c.call_id and l.turn = c.turn
    where r.loop = $loop and r.turn = $turn
    order by r.subject_id, not r.is_control, r.variant_id
"""


def outbox_asset(loop: Loop, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`L/outbox`: one NDJSON file a turn, put in place whole."""

    @dg.asset(
        key=[loop.name, "outbox"],
        partitions_def=partitions,
        pool=POOL,
        group_name=loop.name,
        owners=[loop.owner],
        kinds={"file"},
        deps=[key_of("releases", loop)],
        description=(
            f"`outbox/{loop.name}/TURN.ndjson`: what an application needs to serve the releases. One line per subject: "
            "salts, holdout, variants with shares, and of each variant its provenance and AI disclosure."
        ),
    )
    def outbox(
        context: dg.AssetExecutionContext, warehouse: dg.ResourceParam[Warehouse], outbox: dg.ResourceParam[Outbox]
    ) -> dg.MaterializeResult:
        turn = context.partition_key
        rows = warehouse.read(PROVENANCE, {"loop": loop.name, "turn": turn})
        items = list(outbox_items(rows, loop, turn))
        path = outbox.write(loop.name, turn, items)
        return dg.MaterializeResult(
            metadata={
                "path": dg.PathMetadataValue(str(path)),
                "subjects": len(items),
                "example": dg.JsonMetadataValue(items[0] if items else {}),
            }
        )

    return outbox


def outbox_items(rows: "pl.DataFrame", loop: Loop, turn: str) -> Iterator[dict[str, Any]]:
    """One item for each subject; `rows` as PROVENANCE reads them, the rows of a subject standing together."""
    import polars as pl

    for variants in rows.partition_by("subject_id", maintain_order=True):
        first = variants.row(0, named=True)
        yield {
            "loop": loop.name,
            "turn": turn,
            "release_id": first["release_id"],
            "subject_id": first["subject_id"],
            "category": first["category"],
            "format": first["format"],
            "unit": loop.unit,
            "salt": subject_salt(loop.name, first["subject_id"]),
            "holdout": {"share": first["holdout"], "salt": holdout_salt(loop.name)},
            "variants": [
                _variant(row, given=loop.subjects.variants is not None)
                for row in variants.with_columns(pl.col("written_in").cast(pl.String)).to_dicts()
            ],
        }


def _variant(row: dict[str, Any], *, given: bool) -> dict[str, Any]:
    item = {name: row[name] for name in ("variant_id", "text", "share", "is_control")}
    if row["is_control"]:
        return {**item, "provenance": {"source": "original"}, "disclosure": None}
    if given:  # a person wrote it, or whatever the sender of the subject uses
        kept = {name: row[name] for name in ("candidate_id", "written_in", "approved_by")}
        return {
            **item,
            "provenance": {"source": "given", **kept, "allocated_by": row["policy_version"]},
            "disclosure": None,
        }
    by_person = row["approved_by"] == "person"
    return {
        **item,
        "provenance": {
            "source": "generated",
            **{
                name: row[name]
                for name in (
                    "candidate_id",
                    "recipe_id",
                    "prompt_name",
                    "prompt_version",
                    "model",
                    "seed",
                    "language",
                    "written_in",
                    "chosen_by",
                )
            },
            "allocated_by": row["policy_version"],
            "approved_by": row["approved_by"],
        },
        "disclosure": f"Written by an AI model ({row['model']}), "
        + ("approved by a person." if by_person else "released after automatic checks."),
    }
