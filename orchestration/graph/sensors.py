"""What happens between two ticks of the schedule: files land, and some of them late.

Here: the two sensors.
Not here: taking files in (graph.assets.landing) and which turns late rows touch (backfills).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from orchestration.graph.backfills import LAST_ARRIVAL, request_backfill, touched_turns, turns_to_learn_again
from orchestration.graph.jobs import learned
from orchestration.landing.folder import Landing
from orchestration.loops.declaration import Loop
from orchestration.warehouse.protocol import Warehouse

EVERY_S = 30


def landing_sensor(loops: Sequence[Loop], ingest_job: Any) -> dg.SensorDefinition:
    """Asks for `ingest` when files have landed that are not in the manifest; one run for all of them."""

    @dg.sensor(
        name="landed_files",
        job=ingest_job,
        minimum_interval_seconds=EVERY_S,
        description="Asks for one run of ingest when files have landed.",
    )
    def landed_files(
        context: dg.SensorEvaluationContext, landing: dg.ResourceParam[Landing]
    ) -> dg.RunRequest | dg.SkipReason:
        pending = [*landing.pending("events")]
        for loop in loops:
            for kind in ("subjects", "reviews", "withdrawals", "exclusions"):
                pending += landing.pending(kind, loop.name)
        for corpus in landing.corpora():
            pending += landing.pending("documents", corpus)
        if not pending:
            return dg.SkipReason("Nothing has landed.")
        newest = max(path.stat().st_mtime_ns for path in pending)
        context.log.info(f"{len(pending)} files have landed.")
        return dg.RunRequest(run_key=f"{len(pending)} files until {newest}", tags={"flywheel/half": "ingest"})

    return landed_files


def late_event_sensor(loops: Sequence[Loop]) -> dg.SensorDefinition:
    """Asks for a backfill of learn over the turns that late events touch. Its cursor is the last arrival it saw."""

    @dg.sensor(
        name="late_events",
        target=learned(loops),
        minimum_interval_seconds=EVERY_S,
        description="Asks for a backfill of learn over the turns that late events touch; never of produce.",
    )
    def late_events(context: dg.SensorEvaluationContext, warehouse: dg.ResourceParam[Warehouse]) -> dg.SkipReason:
        since = context.cursor or datetime.min.replace(year=1970).isoformat()
        until = warehouse.read(LAST_ARRIVAL).item()
        if until is None or until.isoformat() <= since:
            return dg.SkipReason("No event has arrived since the last look.")
        touched = touched_turns(warehouse, since, until.isoformat())
        turns = turns_to_learn_again(warehouse, touched)
        if turns:
            graph = context.repository_def.asset_graph  # type: ignore[union-attr]
            now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
            reason = f"Events had arrived by {now} for turns learned already: {', '.join(touched)}."
            backfill = request_backfill(context.instance, graph, sorted(learned(loops).resolve(graph)), turns, reason)
            context.log.info(f"{reason} Asked for backfill {backfill} over {', '.join(turns)}.")
        context.update_cursor(until.isoformat())
        return dg.SkipReason(
            f"Asked for learn over {', '.join(turns)}."
            if turns
            else "All new events belong to turns still to be learned."
        )

    return late_events
