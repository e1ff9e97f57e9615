"""dbt over the warehouse: models built and tested for turns, in this process.

Here: what a build takes and gives, and errors that name the node that failed.
Not here: SQL (dbt_project), calling and parsing (dbt_project), how models appear in Dagster (graph.assets.kpis).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestration.tables import TABLES
from orchestration.warehouse.dbt_project import DbtError, invoke, parsed
from orchestration.warehouse.protocol import OpenWarehouse, Query, Warehouse

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

THOROUGH = "thorough"  # tag of tests of keys that a GROUP BY or a stage guarantees: too dear for every turn
KEPT = "kept"
SCOPE = "select distinct unnest($turns)::date as turn"
_NODES = ("model", "test", "unit_test")


@dataclass(frozen=True)
class NodeResult:
    """What became of one node.

    `status` is dbt's (success, pass, warn, fail, error, skipped), or `kept` for a view that stands unchanged.
    `failures` are the rows that break a test; `rows` those of a table, of a mart only those of the turns built.
    """

    unique_id: str
    name: str
    resource_type: str
    status: str
    message: str = ""
    seconds: float = 0.0
    failures: int | None = None
    compiled: str | None = None
    rows: int | None = None

    @property
    def failed(self) -> bool:
        return self.status in ("error", "fail", "runtime error")


class BuildFailedError(DbtError):
    """A model or a test failed; `results` are those of all nodes, so that what did run is not lost."""

    def __init__(self, message: str, results: Sequence[NodeResult]) -> None:
        super().__init__(message)
        self.results = tuple(results)


@dataclass(frozen=True)
class Dbt:
    """The dbt project over one warehouse.

    While dbt runs this process keeps the warehouse open and to itself, so that dbt's many connections cost nothing and
    no other process's build comes between two models. Further connections of this process to a DuckDB file must use
    the default configuration.
    """

    warehouse: Warehouse
    memory: str | None = None

    def build(
        self,
        turns: Sequence[str],
        *,
        select: Sequence[str] = (),
        full_refresh: bool = False,
        unit_tests: bool = False,
        thorough: bool = False,
        progress: Callable[[str], None] | None = None,
    ) -> list[NodeResult]:
        """Build the models for `turns` and test them; one result a node, in the order in which they ran.

        `select` names models, to which those they are computed from are added; by default all. `full_refresh` makes
        every table anew, for all turns. `unit_tests` and `thorough` add tests that an ordinary turn does without.
        Raises BuildFailedError naming the first node that failed, and WarehouseBusyError while another process
        holds the file.
        """
        if not turns and not full_refresh:
            raise ValueError("Name the turns to build, or ask for a full refresh.")
        target = self.warehouse.dbt_target(self.memory)
        manifest = parsed(target)
        with self.warehouse.held_alone() as statements:
            statements.replace(TABLES["turn_scope"], Query(SCOPE, {"turns": list(turns)}))
            kept = [] if select or full_refresh else _unchanged_views(statements, manifest)
            command = ["build", "--no-write-json", *_selection(select, kept, unit_tests, thorough)]
            outcome = invoke(
                [*command, *(["--full-refresh"] if full_refresh else [])],
                target=target,
                manifest=manifest,
                callbacks=[_reporter(progress)] if progress else [],
            )
            ran = [_result(node) for node in outcome.results if node.node.resource_type in _NODES]
            _mark_views(statements, manifest, ran)
            results = [*kept, *_counted(statements, manifest, ran)]
        if any(result.failed for result in results):
            raise BuildFailedError(_failure(results), results)
        return results


def _selection(select: Sequence[str], kept: Sequence[NodeResult], unit_tests: bool, thorough: bool) -> list[str]:
    excluded = [*(result.name for result in kept), *([] if thorough else [f"tag:{THOROUGH}"])]
    if select:
        # Working tables hold the turns of the last build: a model is never built without what it reads.
        chosen = ["--indirect-selection", "buildable", "--select", *(f"+{name}" for name in select)]
    else:
        # Named one by one, so that leaving out an unchanged view does not leave out the tests that read it.
        kinds = _NODES if unit_tests else _NODES[:-1]
        chosen = ["--indirect-selection", "empty", "--select", *(f"resource_type:{kind}" for kind in kinds)]
    return [
        *chosen,
        *(["--exclude", *excluded] if excluded else []),
        *([] if unit_tests else ["--exclude-resource-type", "unit_test"]),
    ]


def _views(manifest: "Manifest") -> dict[str, tuple[str, Any]]:
    """Views by name, each with its node and the mark of the text and the declared tables that it is made of."""
    import hashlib

    tables = repr([(table.name, tuple(table.columns.items())) for table in TABLES.values()])
    return {
        f"{node.schema}.{node.name}": (hashlib.sha256(f"{node.raw_code}{tables}".encode()).hexdigest(), node)
        for node in manifest.nodes.values()
        if node.resource_type == "model" and node.config.materialized == "view"
    }


def _unchanged_views(statements: OpenWarehouse, manifest: "Manifest") -> list[NodeResult]:
    comments = statements.view_comments()
    return [
        NodeResult(node.unique_id, node.name, "model", KEPT, "unchanged since an earlier build")
        for name, (mark, node) in _views(manifest).items()
        if comments.get(name) == mark
        and (statements.views_outlive_tables or not any(parent in manifest.nodes for parent in node.depends_on.nodes))
    ]


def _mark_views(statements: OpenWarehouse, manifest: "Manifest", ran: Sequence[NodeResult]) -> None:
    built = {result.unique_id for result in ran if result.status == "success"}
    for name, (mark, node) in _views(manifest).items():
        if node.unique_id in built:
            statements.comment_on_view(name, mark)


def _counted(statements: OpenWarehouse, manifest: "Manifest", ran: Sequence[NodeResult]) -> list[NodeResult]:
    """The same results, with the rows of every table that was built."""
    nodes: dict[str, Any] = dict(manifest.nodes)
    queries = {}
    for result in ran:
        if result.resource_type == "model" and result.status == "success":
            node = nodes[result.unique_id]
            scope = " where turn in (select turn from flywheel.turn_scope)" if "turn" in node.columns else ""
            if node.config.materialized != "view":
                queries[node.unique_id] = (
                    f"select '{node.unique_id}' as node, count(*) as counted from {node.schema}.{node.name}{scope}"
                )
    rows = dict(statements.read(" union all ".join(queries.values())).iter_rows()) if queries else {}
    return [replace(result, rows=rows.get(result.unique_id)) for result in ran]


def _result(outcome: Any) -> NodeResult:
    node = outcome.node
    return NodeResult(
        unique_id=node.unique_id,
        name=node.name,
        resource_type=str(node.resource_type),
        status=str(outcome.status),
        message=str(outcome.message or ""),
        seconds=float(outcome.execution_time),
        failures=outcome.failures,
        compiled=getattr(node, "compiled_path", None),
    )


def _failure(results: Sequence[NodeResult]) -> str:
    """The first failure in full, and how many there are besides."""
    failed = [result for result in results if result.failed]
    first = failed[0]
    skipped = sum(result.status == "skipped" for result in results)
    kind = first.resource_type.replace("_", " ")
    rest = f" {len(failed) - 1} further nodes failed." if failed[1:] else ""
    waiting = f" {skipped} nodes that wait for them were skipped." if skipped else ""
    where = f" SQL to look at: {first.compiled}." if first.compiled else ""
    return f"dbt {kind} {first.name!r} failed: {first.message.strip().rstrip('.')}.{where}{rest}{waiting}"


def _reporter(progress: Callable[[str], None]) -> Callable[[Any], None]:
    """Passes on one line per model that has been built."""

    def report(event: Any) -> None:
        if event.info.name == "LogModelResult":
            built = event.data
            seconds = f"{built.status} in {built.execution_time:.2f} s"
            progress(f"{built.index}/{built.total} {built.node_info.node_name}: {seconds}")

    return report
