"""What lands becomes rows, exactly once.

Here: the five assets over landing/, which hold everything that has landed so far. What is withdrawn, by a file of its
own or by a column of the subjects', comes down at once: the outbox of the turn in force is written anew.
Not here: how a file is read and which rows are refused (landing.folder); a turn's slice (facts, subjects, reviews).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import dagster as dg

from orchestration.graph.assets.outbox import written_anew
from orchestration.graph.assets.stage import OWNER, POOL
from orchestration.landing.folder import FileReport, Landing, RefusedFilesError
from orchestration.landing.outbox import Outbox
from orchestration.loops.declaration import Loop
from orchestration.warehouse.protocol import Warehouse

GROUP = "landing"
KINDS = {"duckdb", "file"}
Taking = Callable[..., list[FileReport]]
WITHDRAWING = ("subjects", "withdrawals")
READABLE = "every_file_is_as_declared"


def landing_assets(loops: Sequence[Loop]) -> list[dg.AssetsDefinition]:
    """`landing/subjects`, `events`, `reviews`, `withdrawals`, `exclusions`, `documents`: no partitions, each run takes
    what is pending."""
    by_name = {loop.name: loop for loop in loops}

    def taken_in(kind: str, description: str, takings: Callable[[Landing], Sequence[Taking]]) -> dg.AssetsDefinition:
        @dg.asset(
            key=[GROUP, kind],
            group_name=GROUP,
            owners=[OWNER],
            kinds=KINDS,
            pool=POOL,
            check_specs=[_readable(kind)],
            description=description,
        )
        def landed(
            context: dg.AssetExecutionContext,
            landing: dg.ResourceParam[Landing],
            outbox: dg.ResourceParam[Outbox],
            warehouse: dg.ResourceParam[Warehouse],
        ) -> dg.MaterializeResult:
            stray = landing.strays([loop.name for loop in loops]) if kind == "events" else {}
            result = _ingested(context, takings(landing), stray, reasons_so_far(warehouse, kind))
            if kind in WITHDRAWING:
                for path in written_anew(landing.warehouse, outbox, loops):
                    context.log.info(f"outbox/{path.parent.name}/{path.name} was written anew: something came down.")
            return result

        return landed

    return [
        taken_in(
            "subjects",
            "Catalogues, leads, tickets, documents: every version of every subject.",
            lambda landing: [partial(landing.ingest_subjects, loop) for loop in loops],
        ),
        taken_in(
            "events",
            "Exposures and outcomes as the application logged them.",
            lambda landing: [partial(landing.ingest_events, loops=by_name)],
        ),
        taken_in(
            "reviews",
            "Decisions of people on candidates.",
            lambda landing: [partial(landing.ingest_reviews, loop) for loop in loops],
        ),
        taken_in(
            "withdrawals",
            "What people took down, and what they let up again.",
            lambda landing: [partial(landing.ingest_withdrawals, loop) for loop in loops],
        ),
        taken_in(
            "exclusions",
            "Hours of which no event counts, and those that count again.",
            lambda landing: [partial(landing.ingest_exclusions, loop) for loop in loops],
        ),
        taken_in(
            "documents",
            "What answers are grounded on: every version of every document of every corpus.",
            lambda landing: [partial(landing.ingest_documents, corpus) for corpus in landing.corpora()],
        ),
    ]


def _readable(kind: str) -> dg.AssetCheckSpec:
    said = "No file was refused as a whole, for its columns or because it is damaged."
    return dg.AssetCheckSpec(READABLE, asset=dg.AssetKey([GROUP, kind]), description=said)


def reasons_so_far(warehouse: Warehouse, kind: str) -> list[str]:
    """Reasons for which rows of a kind of file were ever refused: a plot of each then goes on at zero."""
    known = "select distinct reason from flywheel.quarantine where kind = $kind order by reason"
    return list(warehouse.read(known, {"kind": kind})["reason"])


def _ingested(
    context: dg.AssetExecutionContext, takings: Sequence[Taking], stray: Mapping[str, str], known: Sequence[str]
) -> dg.MaterializeResult:
    """What was taken in. A refused file is an error that is seen, and no reason to leave the others unread."""
    for name, why in stray.items():
        context.log.warning(f"{name} {why}")
    reports: list[FileReport] = []
    refused: dict[str, str] = {}
    for taking in takings:
        try:
            reports += taking(run_id=context.run.run_id, progress=context.log.info)
        except RefusedFilesError as error:
            context.log.error(str(error))
            reports += error.reports
            refused |= error.refused
    reasons: dict[str, int] = dict.fromkeys(known, 0)
    for report in reports:
        for reason, rows in report.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + rows
    return dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(
                check_name=READABLE,
                passed=not refused,
                metadata={
                    "refused": dg.JsonMetadataValue(refused),
                    "remedy": "Mend the file, or take it out of landing/.",
                },
            )
        ],
        metadata={
            "files": len(reports),
            "rows_read": sum(report.read for report in reports),
            "accepted": sum(report.accepted for report in reports),
            "duplicates": sum(report.duplicates for report in reports),
            "quarantined": sum(report.quarantined for report in reports),
            "quarantined_by_reason": dg.JsonMetadataValue(reasons),
            **{f"quarantined: {reason}": rows for reason, rows in sorted(reasons.items())},
            **({"stray_files": dg.JsonMetadataValue(dict(stray))} if stray else {}),
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
        },
    )
