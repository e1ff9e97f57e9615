"""What the guards say of each candidate.

Here: laying out drafts and keeping every verdict with its reason.
Not here: the guards themselves (guards) and what follows from a verdict (reviews).
"""

import json
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.graph.assets.stage import is_released, of_loop, turn_asset
from orchestration.guards.judging import judge
from orchestration.guards.verdict import Draft
from orchestration.loops.declaration import Loop
from orchestration.tables import TABLES
from orchestration.warehouse.duckdb_file import Warehouse

if TYPE_CHECKING:
    import polars as pl

IN_FORCE_BEFORE = """
    select distinct subject_id, text from flywheel.releases
    where loop = $loop and turn < $turn and not is_control
    order by all
"""


def verdicts_asset(loop: Loop, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`L/verdicts`: every guard's judgement of every candidate that has a text."""

    @turn_asset(
        "verdicts",
        partitions,
        loop=loop,
        description="Pass, flag or block, with the reason: one row per candidate and guard.",
        kinds=("polars", "duckdb"),
        ins={
            "candidates": of_loop(loop, "candidates"),
            "briefs": of_loop(loop, "briefs"),
            "subjects": of_loop(loop, "subjects"),
        },
    )
    def verdicts(
        context: dg.AssetExecutionContext,
        candidates: Any,
        briefs: Any,
        subjects: Any,
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Any:
        if is_released(context, warehouse, loop):
            return None
        before = warehouse.read(IN_FORCE_BEFORE, {"loop": loop.name, "turn": context.partition_key})
        rows = verdict_rows(candidates, briefs, subjects, before, loop)
        counted = rows.group_by("guard", "decision").len().sort("guard", "decision")
        context.add_output_metadata(
            {"by_guard": dg.MetadataValue.table([dg.TableRecord(row) for row in counted.to_dicts()])}
            if len(counted)
            else {}
        )
        return rows

    return verdicts


def verdict_rows(
    candidates: "pl.DataFrame", briefs: "pl.DataFrame", subjects: "pl.DataFrame", before: "pl.DataFrame", loop: Loop
) -> "pl.DataFrame":
    """One row for each candidate with a text and each guard.

    `before` (subject_id, text) is what was released earlier; a draft is also held against the subject's drafts
    that stand before it in this turn, so of two that are alike the second is caught.
    """
    import polars as pl

    others: dict[str, list[str]] = {}
    for subject_id, text in before.select("subject_id", "text").iter_rows():
        others.setdefault(subject_id, []).append(text)
    drafts = (
        candidates.filter(pl.col("text").is_not_null())
        .join(briefs.select("brief_id", "language"), on="brief_id", maintain_order="left")
        .join(subjects.select("subject_id", "facts", "original", "format"), on="subject_id", maintain_order="left")
    )
    rows: list[dict[str, object]] = []
    for row in drafts.to_dicts():
        known = others.setdefault(row["subject_id"], [])
        draft = Draft(
            text=row["text"],
            facts=json.loads(row["facts"]),
            original=row["original"],
            language=row["language"],
            format=row["format"],
            others=tuple(known),
            answer=json.loads(row["answer"]),
        )
        known.append(row["text"])
        rows.extend(
            {
                **{name: row[name] for name in ("turn", "loop", "candidate_id")},
                "guard": verdict.guard,
                "decision": verdict.decision,
                "reason": verdict.reason,
            }
            for verdict in judge(draft, loop.guards)
        )
    return TABLES["verdicts"].frame(rows)
