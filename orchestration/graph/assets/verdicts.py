"""What the guards say of each candidate.

Here: keeping every verdict with its reason.
Not here: laying out what a guard sees (drafts), the guards themselves (guards), what follows from a verdict (reviews).
"""

from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.graph.assets.drafts import draft_of
from orchestration.graph.assets.stage import is_released, of_loop, turn_asset
from orchestration.graph.bound import BoundLoop
from orchestration.guards.judging import judge
from orchestration.loops.declaration import Loop
from orchestration.tables import TABLES
from orchestration.warehouse.protocol import Warehouse

if TYPE_CHECKING:
    import polars as pl

IN_FORCE_BEFORE = {
    "releases": """
        select distinct subject_id, text from flywheel.releases
        where loop = $loop and turn < $turn and not is_control
        order by all
    """,
    "decisions": """
        select distinct subject_id, text from flywheel.decisions
        where loop = $loop and turn < $turn and delivered
        order by all
    """,
}
"""Texts that a subject had earlier, by the table that a way of delivery keeps."""


def verdicts_asset(bound: BoundLoop) -> dg.AssetsDefinition:
    """`L/verdicts`: every guard's judgement of every candidate that has an answer."""
    loop = bound.loop

    @turn_asset(
        "verdicts",
        bound.partitions,
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
        named = {"loop": loop.name, "turn": context.partition_key}
        before = warehouse.read(IN_FORCE_BEFORE[loop.delivery.outputs["releases"]], named)
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
    """One row for each candidate with an answer and each guard.

    `before` (subject_id, text) is what was released earlier; a draft is also held against the subject's drafts
    that stand before it in this turn, so of two that are alike the second is caught.
    """
    import polars as pl

    others: dict[str, list[str]] = {}
    for subject_id, text in before.select("subject_id", "text").iter_rows():
        others.setdefault(subject_id, []).append(text)
    answered = (
        candidates.filter(pl.col("text").is_not_null())
        .join(briefs.select("brief_id", "language", "fields", "sources"), on="brief_id", maintain_order="left")
        .join(subjects.select("subject_id", "facts", "original", "format"), on="subject_id", maintain_order="left")
    )
    rows: list[dict[str, object]] = []
    for row in answered.to_dicts():
        known = others.setdefault(row["subject_id"], [])
        draft = draft_of(row, row["answer"], loop, others=tuple(known))
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
