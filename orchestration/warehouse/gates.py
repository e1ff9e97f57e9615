"""Gates: a suite of expectations held against one partition of the warehouse by Great Expectations.

Here: the profile (aggregates in the warehouse, any size), the sample of rows, statistics, and what came of each
expectation, "failed" told from "could not run".
Not here: what suites say (expectations/*.json), their form (suites), and what a failure stops (graph.checks).

Great Expectations has no engine for DuckDB, and a frame of 10 M rows costs it 12 s and 4 GB. So the warehouse
computes one row of aggregates, which is judged as a frame of one row; rows themselves are judged on a sample.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from orchestration.warehouse.protocol import Query, StatementError, Statements, Warehouse
from orchestration.warehouse.refusals import refused_too_often
from orchestration.warehouse.suites import Expectation, Suite

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    from great_expectations.core.batch_definition import BatchDefinition

Status = Literal["passed", "failed", "could not run"]

SAMPLE_ROWS = 200_000  # at most 1 M: 12 expectations on it take 2 s and 0.9 GB; on this many, 0.2 s
SAMPLE_SEED = 7


@dataclass(frozen=True)
class Finding:
    """What came of one expectation. `observed` is the value judged, or the rows that broke it; `sql` shows how to see
    it again. It never holds values of rows: they may be personal."""

    expectation: Expectation
    status: Status
    observed: str
    sql: str
    rows: int
    rows_judged: int

    @property
    def passed(self) -> bool:
        return self.status == "passed"


@dataclass(frozen=True)
class _Frame:
    """What expectations of one kind are judged on, and how many rows stand behind it; `faults` are columns that could
    not be had, and why."""

    frame: "pd.DataFrame"
    sql: str
    faults: Mapping[str, str]
    rows: int


def judged(warehouse: Warehouse, suite: Suite, turn: str | None = None, until: str | None = None) -> list[Finding]:
    """One finding an expectation, in the suite's order, for the turn that starts on `turn` and ends before `until`.

    Raises nothing that an expectation can be blamed for: what could not run is a finding that says so.
    """
    window = {"turn": turn, "until": until}
    parameters = {**suite.parameters, **{name: value for name, value in window.items() if value}}
    with warehouse.held_open() as statements:
        profile = _profile(statements, suite, parameters)
        sample = _sample(statements, suite, parameters, profile.rows) if suite.on("rows") else None
    found = {finding.expectation.name: finding for finding in _validated(suite.on("profile"), profile, profile.rows)}
    if sample is not None:
        found |= {finding.expectation.name: finding for finding in _validated(suite.on("rows"), sample, profile.rows)}
    return [found[expectation.name] for expectation in suite.expectations]


def _profile(statements: Statements, suite: Suite, parameters: Mapping[str, str]) -> _Frame:
    """Every aggregate in one pass; when one of them cannot be computed, one by one, so that the others still are."""
    import pandas as pd

    sql = _select(suite.profile, suite)
    values: dict[str, Any] = {}
    faults: dict[str, str] = {}
    try:
        values = _one_row(statements, sql, parameters)
    except StatementError:
        for name, aggregate in suite.profile.items():
            try:
                values |= _one_row(statements, _select({name: aggregate}, suite), parameters)
            except StatementError as fault:
                faults[name] = _first_line(fault)
    for name, statistic in suite.statistics.items():
        try:
            rows = statements.read(statistic.sql, _used(statistic.sql, parameters))
            values[name] = STATISTICS[statistic.function](rows)
        except Exception as fault:  # whatever a statistic trips over, its expectations could not run
            faults[name] = _first_line(fault)
    numbers = {name: float(value) if isinstance(value, Decimal) else value for name, value in values.items()}
    return _Frame(pd.DataFrame([numbers]), sql, faults, int(numbers.get("rows") or 0))


def _sample(statements: Statements, suite: Suite, parameters: Mapping[str, str], rows: int) -> _Frame:
    """The columns that row expectations name, of all rows or of a repeatable sample of SAMPLE_ROWS."""
    import pandas as pd

    wanted = dict.fromkeys(column for expectation in suite.on("rows") for column in expectation.columns)
    try:
        known = f"select * from {suite.relation} limit 0"
        columns_there = statements.read(known, _used(known, parameters)).columns
        present = [column for column in wanted if column in columns_there]
        columns = ", ".join(f'"{column}"' for column in present) or "1"
        sql = f"select {columns} from {suite.relation} where {suite.where}"
        query = Query(sql, _used(sql, parameters))
        if rows > SAMPLE_ROWS:
            query = statements.sampled(query, SAMPLE_ROWS, SAMPLE_SEED)
        frame = statements.read(query.sql, query.parameters).to_pandas()
        return _Frame(
            frame, query.sql, {column: "no such column" for column in wanted if column not in present}, len(frame)
        )
    except StatementError as fault:
        return _Frame(pd.DataFrame(), suite.relation, dict.fromkeys(wanted, _first_line(fault)), 0)


def _validated(expectations: Sequence[Expectation], on: _Frame, rows: int) -> list[Finding]:
    def finding(expectation: Expectation, status: Status, observed: str) -> Finding:
        return Finding(expectation, status, observed, on.sql, rows, on.rows)

    runnable = [one for one in expectations if not set(one.columns) & set(on.faults)]
    results = _results(runnable, on.frame) if runnable else {}
    found = []
    for expectation in expectations:
        broken = {column: on.faults[column] for column in expectation.columns if column in on.faults}
        if broken:
            found.append(finding(expectation, "could not run", "; ".join(f"{c}: {why}" for c, why in broken.items())))
            continue
        result = results.get(expectation.name)
        fault = "Great Expectations gave no result" if result is None else _exception(result["exception_info"])
        if result is None or fault:
            found.append(finding(expectation, "could not run", fault))
        else:
            observed = _observed(expectation, on.frame, result["result"])
            found.append(finding(expectation, "passed" if result["success"] else "failed", observed))
    return found


def _results(expectations: Sequence[Expectation], frame: "pd.DataFrame") -> dict[str, dict[str, Any]]:
    """Great Expectations' results by the name of the expectation."""
    import great_expectations as gx

    whole = _whole_frames()
    suite = gx.ExpectationSuite(
        name="gate",
        expectations=[
            {"type": one.type, "kwargs": dict(one.kwargs), "severity": one.severity, "meta": {"name": one.name}}
            for one in expectations
        ],
    )
    batch = whole.get_batch({"dataframe": frame})
    counts_only = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
    validated = batch.validate(suite, result_format=counts_only)
    return {
        result.expectation_config.meta["name"]: {
            "success": bool(result.success),
            "result": result.result,
            "exception_info": result.exception_info,
        }
        for result in validated.results
        if result.expectation_config is not None
    }


@cache
def _whole_frames() -> "BatchDefinition":
    """Whole frames as batches, of one context a process: making a context costs as much as a suite."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # it would report its use to its makers
    import great_expectations as gx

    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # else it tells of every step it takes
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    asset = context.data_sources.add_pandas("warehouse").add_dataframe_asset("partition")
    return asset.add_batch_definition_whole_dataframe("all")


def _exception(info: Mapping[str, Any]) -> str:
    """What went wrong inside Great Expectations; empty when nothing did. It reports either one, or one a metric."""
    entries = [info] if "raised_exception" in info else list(info.values())
    messages = [entry["exception_message"] for entry in entries if entry.get("raised_exception")]
    return _first_line(messages[0]) if messages else ""


def _observed(expectation: Expectation, frame: "pd.DataFrame", result: Mapping[str, Any]) -> str:
    if expectation.on == "profile":
        values = {column: frame[column].iloc[0] for column in expectation.columns}
        shown = {
            column: "nothing to judge" if value is None or value != value else value for column, value in values.items()
        }
        return ", ".join(f"{column} = {value}" for column, value in shown.items())
    if "unexpected_count" in result:
        return f"{result['unexpected_count']:,} of {result['element_count']:,} rows break it"
    return str(result.get("observed_value", ""))


def _select(aggregates: Mapping[str, str], suite: Suite) -> str:
    named = ", ".join(f'{aggregate} as "{name}"' for name, aggregate in aggregates.items())
    return f"select {named} from {suite.relation} where {suite.where}"


def _one_row(statements: Statements, sql: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    return statements.read(sql, _used(sql, parameters)).row(0, named=True)


def _used(sql: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """DuckDB refuses parameters that a statement does not use."""
    return {name: value for name, value in parameters.items() if f"${name}" in sql}


def _first_line(fault: object) -> str:
    return str(fault).strip().splitlines()[0] if str(fault).strip() else type(fault).__name__


def sample_ratio(counted: "pl.DataFrame") -> float | None:
    """Smallest p-value of any loop that its units fell on the variants as the shares say; None without units.

    `counted` has a row a variant: loop, subject_id, units and share. A loop's subjects are pooled; with k loops the
    smallest p-value is multiplied by k (Bonferroni), so that more loops raise no more alarms.
    """
    from orchestration.learning.proof.sample_ratio import pooled_sample_ratio_p_value

    p_values = []
    for _, of_loop in counted.group_by("loop", maintain_order=True):
        subjects = of_loop.group_by("subject_id", maintain_order=True).agg("units", "share")
        pairs = [(units, share) for _, units, share in subjects.iter_rows() if sum(units)]
        if pairs:
            p_values.append(pooled_sample_ratio_p_value(pairs))
    return min(1.0, min(p_values) * len(p_values)) if p_values else None


def least_chi_square_p_value(counted: "pl.DataFrame") -> float | None:
    """Smallest p-value of rows of chi_square and degrees_of_freedom, times their number; None without rows."""
    from scipy.stats import chi2

    rows = counted.drop_nulls()
    p_values = chi2.sf(rows["chi_square"].to_numpy(), rows["degrees_of_freedom"].to_numpy())
    return float(min(1.0, p_values.min() * len(p_values))) if len(p_values) else None


STATISTICS: Mapping[str, Callable[["pl.DataFrame"], float | str | None]] = {
    "refused_too_often": refused_too_often,
    "sample_ratio": sample_ratio,
    "least_chi_square_p_value": least_chi_square_p_value,
}
