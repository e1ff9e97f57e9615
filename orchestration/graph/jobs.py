"""What can be launched: produce, learn, ingest, and a whole turn.

Here: which stages belong to which job.
Not here: when they run (schedules, sensors, backfills).
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from orchestration.loops.declaration import Loop

PRODUCING = ("champion", "subjects", "briefs", "candidates", "llm_calls", "verdicts", "reviews", "outbox")
LEARNING = ("evidence", "comparison", "challenger", "promotion", "promotion_conditions")
FACTS = ("events", "exposures", "outcomes")


def produced(loops: Sequence[Loop]) -> dg.AssetSelection:
    """The stages of a turn up to its releases."""
    return dg.AssetSelection.assets(
        *([loop.name, stage] for loop in loops for stage in (*PRODUCING, *loop.delivery.outputs))
    )


def learned(loops: Sequence[Loop]) -> dg.AssetSelection:
    """The stages of a turn from its events to its promotions."""
    stages = ([loop.name, stage] for loop in loops for stage in LEARNING)
    return dg.AssetSelection.assets(*FACTS, *stages) | dg.AssetSelection.groups("kpis")


def landed(*kinds: str) -> dg.AssetSelection:
    """What has landed, of the kinds named."""
    return dg.AssetSelection.assets(*(["landing", kind] for kind in kinds))


def turn_jobs(loops: Sequence[Loop], executor: dg.ExecutorDefinition) -> list[Any]:
    """The jobs `produce`, `learn`, `turn` (both, of which the schedule asks for parts) and `ingest`."""

    def job(name: str, selection: dg.AssetSelection, description: str) -> Any:
        return dg.define_asset_job(name, selection, description=description, executor_def=executor)

    before, after = (
        landed("subjects", "reviews", "withdrawals", "documents") | produced(loops),
        landed("events", "exclusions") | learned(loops),
    )
    return [
        job("produce", before, "Start of a turn: subjects, briefs, candidates, verdicts, reviews, releases."),
        job("learn", after, "Once its window has closed: events, KPIs, evidence, challenger, promotion."),
        job("turn", before | after, "Both halves; the schedule asks for one of them at a time."),
        job(
            "ingest",
            landed("subjects", "events", "reviews", "withdrawals", "exclusions", "documents"),
            "Take in every file that has landed.",
        ),
    ]
