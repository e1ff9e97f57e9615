"""Suites of expectations as Dagster asset checks: every promise a check of its partition, critical ones blocking.

Here: one check definition a suite and loop, and how a finding shows in the UI.
Not here: what is expected (expectations/*.json) and how it is judged (warehouse.gates).
"""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg

from orchestration.loops.declaration import Loop
from orchestration.tables import TABLES
from orchestration.warehouse.gates import Finding, judged
from orchestration.warehouse.protocol import Warehouse
from orchestration.warehouse.suites import FOLDER, Expectation, Suite, read_suites


def build_checks(
    loops: Sequence[Loop], partitions: dg.PartitionsDefinition, folder: Path = FOLDER
) -> list[dg.AssetChecksDefinition]:
    """Every suite in `folder` as checks of its asset, for every loop that it names."""
    kept = {loop.name: [TABLES[table].qualified for table in loop.delivery.outputs.values()] for loop in loops}
    return [_gate(suite, partitions) for suite in read_suites([loop.name for loop in loops], folder, kept)]


def _gate(suite: Suite, partitions: dg.PartitionsDefinition) -> dg.AssetChecksDefinition:
    key = dg.AssetKey(suite.asset)

    @dg.multi_asset_check(
        name=f"gate_{suite.identity}",
        description=f"Suite `{suite.name}` of expectations on `{suite.table}`.",
        specs=[
            _spec(expectation, key, partitions if suite.partitioned else None) for expectation in suite.expectations
        ],
    )
    def gate(
        context: dg.AssetCheckExecutionContext, warehouse: dg.ResourceParam[Warehouse]
    ) -> Iterator[dg.AssetCheckResult]:
        turn = until = None
        if suite.partitioned:
            turn, until = context.partition_key, context.partition_time_window.end.strftime("%Y-%m-%d")
        for finding in judged(warehouse, suite, turn, until):
            if not finding.passed:
                context.log.warning(f"{finding.expectation.name}: {_said(finding)}")
            yield _result(finding, key)

    return gate


def _spec(expectation: Expectation, key: dg.AssetKey, partitions: dg.PartitionsDefinition | None) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        # A check of a partition is a preview in Dagster 1.13: it may change, and a test pins what is used of it.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            expectation.name,
            asset=key,
            description=expectation.why,
            blocking=expectation.blocking,
            partitions_def=partitions,
            metadata={"type": expectation.type, "severity": expectation.severity, "judged on": expectation.on},
        )


def _result(finding: Finding, key: dg.AssetKey) -> dg.AssetCheckResult:
    expectation = finding.expectation
    return dg.AssetCheckResult(
        check_name=expectation.name,
        asset_key=key,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity.ERROR if expectation.blocking else dg.AssetCheckSeverity.WARN,
        description=_said(finding),
        metadata={
            "status": finding.status,
            "observed": finding.observed,
            "expected": _expected(expectation),
            "why": expectation.why,
            "remedy": expectation.remedy,
            "rows": finding.rows,
            "rows judged": finding.rows_judged,
            "sampled": finding.rows_judged < finding.rows,
            "sql": dg.MarkdownMetadataValue(f"```sql\n{finding.sql}\n```"),
        },
    )


def _said(finding: Finding) -> str:
    """A finding in a sentence, with the remedy unless it passed."""
    if finding.passed:
        return f"{finding.observed}."
    return f"{finding.status.capitalize()}: {finding.observed}. {finding.expectation.remedy}"


def _expected(expectation: Expectation) -> str:
    """An expectation as one reads it: its type and limits, without the columns' keys."""
    limits = ", ".join(f"{name}={value}" for name, value in expectation.kwargs.items())
    return f"{expectation.type}({limits})"
