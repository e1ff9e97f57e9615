"""When the wheel turns: once a window has closed, it is learned from, and the next one is produced.

Here: the one schedule.
Not here: files that land between two ticks (sensors) and turns that are learned again (backfills).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import Any

import dagster as dg

from orchestration.graph.jobs import landed, learned, produced
from orchestration.loops.declaration import Loop
from orchestration.settings import Settings
from orchestration.turns import Turn, turn_cron


def wheel_schedule(loops: Sequence[Loop], settings: Settings, turn_job: Any) -> dg.ScheduleDefinition:
    """At the start of turn t: learn from t-1, then produce t.

    Two runs, in this order: if learning fails, the new turn is still produced, on the champion in force.
    """
    halves = {
        "learn": landed("events") | learned(loops),
        "produce": landed("subjects", "reviews", "documents") | produced(loops),
    }

    @dg.schedule(
        name="turn_the_wheel",
        job=turn_job,
        cron_schedule=turn_cron(settings),
        execution_timezone="UTC",
        description="Learns from the turn that has just closed, then produces the one that begins.",
    )
    def turn_the_wheel(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        now = context.scheduled_execution_time.astimezone(UTC)
        turn = Turn.containing(now, settings)
        graph = context.repository_def.asset_graph
        asked = [("learn", turn.previous())] if turn.first_day > settings.first_turn else []
        for priority, (half, window) in enumerate([*asked, ("produce", turn)]):
            yield dg.RunRequest(
                run_key=f"{half} {window.key}",
                partition_key=window.key,
                asset_selection=sorted(halves[half].resolve(graph)),
                tags={"flywheel/half": half, "dagster/priority": str(-priority)},
            )

    return turn_the_wheel
