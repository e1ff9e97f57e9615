"""What lands becomes rows, exactly once.

Here: the three assets over landing/, which hold everything that has landed so far.
Not here: how a file is read and which rows are refused (resources.landing); a turn's slice (facts, subjects, reviews).
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from orchestration.assets.stage import OWNER, POOL
from orchestration.loops.declaration import Loop
from orchestration.resources.landing import FileReport, Landing

GROUP = "landing"
KINDS = {"duckdb", "file"}


def landing_assets(loops: Sequence[Loop]) -> list[dg.AssetsDefinition]:
    """`landing/subjects`, `landing/events` and `landing/reviews`: no partitions, each run takes what is pending."""
    common: dict[str, Any] = {"key_prefix": GROUP, "group_name": GROUP, "owners": [OWNER], "pool": POOL, "kinds": KINDS}

    @dg.asset(
        name="subjects", description="Catalogues, leads, tickets, documents: every version of every subject.", **common
    )
    def landed_subjects(context: dg.AssetExecutionContext, landing: dg.ResourceParam[Landing]) -> dg.MaterializeResult:
        reports = [
            report
            for loop in loops
            for report in landing.ingest_subjects(loop, run_id=context.run.run_id, progress=context.log.info)
        ]
        return _ingested(reports)

    @dg.asset(name="events", description="Exposures and outcomes as the application logged them.", **common)
    def landed_events(context: dg.AssetExecutionContext, landing: dg.ResourceParam[Landing]) -> dg.MaterializeResult:
        by_name = {loop.name: loop for loop in loops}
        return _ingested(landing.ingest_events(loops=by_name, run_id=context.run.run_id, progress=context.log.info))

    @dg.asset(name="reviews", description="Decisions of people on candidates.", **common)
    def landed_reviews(context: dg.AssetExecutionContext, landing: dg.ResourceParam[Landing]) -> dg.MaterializeResult:
        reports = [
            report
            for loop in loops
            for report in landing.ingest_reviews(loop, run_id=context.run.run_id, progress=context.log.info)
        ]
        return _ingested(reports)

    return [landed_subjects, landed_events, landed_reviews]


def _ingested(reports: Sequence[FileReport]) -> dg.MaterializeResult:
    reasons: dict[str, int] = {}
    for report in reports:
        for reason, rows in report.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + rows
    return dg.MaterializeResult(
        metadata={
            "files": len(reports),
            "rows_read": sum(report.read for report in reports),
            "accepted": sum(report.accepted for report in reports),
            "duplicates": sum(report.duplicates for report in reports),
            "quarantined": sum(report.quarantined for report in reports),
            "quarantined_by_reason": dg.JsonMetadataValue(reasons),
            "by_file": dg.MetadataValue.table(
                [
                    dg.TableRecord(
                        {
                            "file": report.name,
                            "read": report.read,
                            "accepted": report.accepted,
                            "duplicates": report.duplicates,
                            "quarantined": report.quarantined,
                            "ingested_before": report.already_ingested,
                        }
                    )
                    for report in reports
                ]
            )
            if reports
            else dg.TextMetadataValue("nothing was pending"),
        }
    )
