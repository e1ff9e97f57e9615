"""The KPIs of a turn: every dbt model is an asset, every dbt test a check of its asset.

Here: what dbt's manifest says, as Dagster specs, and the one step that builds all of it for a turn.
Not here: SQL (dbt_project) and running dbt (warehouse.dbt).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg

from orchestration.graph.assets.figures import MOMENTUM_OF_A_TURN, momentum_figures
from orchestration.graph.assets.stage import OWNER, POOL, key_of, stages_of
from orchestration.loops.declaration import Loop
from orchestration.tables import TABLES
from orchestration.warehouse.dbt import THOROUGH, BuildFailedError, Dbt, NodeResult
from orchestration.warehouse.dbt_project import manifest_path
from orchestration.warehouse.protocol import Warehouse
from orchestration.warehouse.turn_tables import PREVIEW_ROWS, as_markdown

GROUP = "kpis"
SHARED = ("events", "exposures", "outcomes")
CONTROL = ("outcome_definitions", "turn_scope")  # written by this step, so nothing to wait for

Node = Mapping[str, Any]
Result = dg.MaterializeResult | dg.AssetCheckResult


def kpi_assets(loops: Sequence[Loop], partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """All models of dbt_project as assets of the turn, built by one step; several turns when a run spans several.

    They are built together or not at all: a mart read off the working tables of another turn would be wrong.
    """
    manifest = json.loads(manifest_path().read_text(encoding="utf-8"))
    models = {name: node for name, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    tests = _tests_of(manifest, models)

    @dg.multi_asset(
        name=GROUP,
        specs=[_spec(node, manifest, loops) for node in models.values()],
        check_specs=[_check(*test) for test in tests.values()],
        partitions_def=partitions,
        pool=POOL,
    )
    def kpis(
        context: dg.AssetExecutionContext, dbt: dg.ResourceParam[Dbt], warehouse: dg.ResourceParam[Warehouse]
    ) -> Iterator[Result]:
        turns = list(context.partition_keys)
        for loop in loops:
            declared = TABLES["outcome_definitions"].frame(_outcomes(loop))
            warehouse.replace(TABLES["outcome_definitions"], declared, turn=turns[0], loop=loop.name)
        failure = None
        try:
            results = dbt.build(turns, progress=context.log.info)
        except BuildFailedError as error:
            results, failure = list(error.results), error
        built = [result for result in results if result.rows and result.unique_id in models]
        previews = _previews(warehouse, [models[result.unique_id] for result in built], turns)
        has_lifts = any(models[each.unique_id]["name"] == "momentum" for each in built)
        figures = _lifts(warehouse, turns) if has_lifts else {}
        # Dagster wants models before what reads them; a view that dbt had no need to build is reported first by it.
        place = {name: number for number, name in enumerate(_in_order(models))}
        for result in sorted(results, key=lambda one: place.get(one.unique_id, len(place))):
            if result.status == "skipped":
                continue
            if result.unique_id in models:
                if not result.failed:
                    node = models[result.unique_id]
                    plotted = figures if node["name"] == "momentum" else {}
                    yield _materialized(result, node, previews, plotted)
            elif result.unique_id in tests:
                _, key, name = tests[result.unique_id]
                yield _checked(result, key, name)
        if failure is not None:
            raise dg.Failure(str(failure), allow_retries=False) from failure

    return kpis


def _in_order(models: Mapping[str, Node]) -> Iterator[str]:
    """Models, each after those it reads."""
    parents = {name: [one for one in node["depends_on"]["nodes"] if one in models] for name, node in models.items()}
    return iter(TopologicalSorter(parents).static_order())


def _spec(node: Node, manifest: Node, loops: Sequence[Loop]) -> dg.AssetSpec:
    columns = node["columns"].values()
    return dg.AssetSpec(
        dg.AssetKey(node["name"]),
        deps=[key for parent in node["depends_on"]["nodes"] for key in _keys(parent, manifest, loops)],
        description=node["description"],
        group_name=GROUP,
        kinds={"dbt", "duckdb"},
        owners=[OWNER],
        code_version=node["checksum"]["checksum"][:12],
        tags={"layer": node["schema"]},
        metadata={
            "dagster/table_name": f"{node['schema']}.{node['name']}",
            "dagster/column_schema": dg.TableSchema(
                [
                    dg.TableColumn(column["name"], column["data_type"] or "", description=column["description"])
                    for column in columns
                ]
            ),
        },
    )


def _keys(parent: str, manifest: Node, loops: Sequence[Loop]) -> list[dg.AssetKey]:
    """Assets behind a parent of a model: another model, a table that all loops share, or one stage of every loop."""
    if parent in manifest["nodes"]:
        return [dg.AssetKey(manifest["nodes"][parent]["name"])]
    table = manifest["sources"][parent]["name"]
    if table in CONTROL:
        return []
    if table in SHARED:
        return [key_of(table, None)]
    return stages_of(table, loops)


def _tests_of(manifest: Node, models: Mapping[str, Node]) -> dict[str, tuple[Node, dg.AssetKey, str]]:
    """Tests of an ordinary turn, each with the asset it judges and the name of its check.

    The check is named by the promise that the test was given in YAML, else by the kind of test.
    """
    found: dict[str, tuple[Node, dg.AssetKey, str]] = {}
    for unique_id, node in manifest["nodes"].items():
        if node["resource_type"] != "test" or THOROUGH in node["tags"]:
            continue
        kind = node["test_metadata"]["name"]
        name = kind if node["name"].startswith(f"{kind}_") else node["name"]
        found[unique_id] = (node, dg.AssetKey(models[node["attached_node"]]["name"]), name)
    return found


def _check(node: Node, key: dg.AssetKey, name: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        name,
        asset=key,
        description=node["description"] or f"dbt test `{node['test_metadata']['name']}`.",
        blocking=node["config"]["severity"].lower() == "error",
        metadata={"dbt_test": node["name"]},
    )


def _outcomes(loop: Loop) -> list[dict[str, object]]:
    guardrails = {guardrail.outcome for guardrail in loop.guardrails}
    weights = loop.reward.weights
    return [
        {
            "loop": loop.name,
            "outcome": outcome.name,
            "within_s": round(outcome.within.total_seconds()),
            "is_reward": outcome.name in weights,
            "weight": weights.get(outcome.name, 0.0),
            "is_guardrail": outcome.name in guardrails,
            "has_value": outcome.has_value,
            "cut_at": outcome.cut_at if outcome.has_value else None,
        }
        for outcome in loop.outcomes
    ]


def preview(schema: str, mart: str) -> str:
    """The SELECT of the first `$rows` rows of a mart in `$turns`."""
    return f"select * from {schema}.{mart} where turn::varchar in (select unnest($turns)) order by all limit $rows"


def _previews(warehouse: Warehouse, built: Sequence[Node], turns: Sequence[str]) -> dict[str, str]:
    """First rows of every mart, as Markdown."""
    marts = [node for node in built if node["config"]["materialized"] == "incremental"]
    named = {"turns": list(turns), "rows": PREVIEW_ROWS}
    with warehouse.held_open() as statements:
        return {
            node["unique_id"]: as_markdown(statements.read(preview(node["schema"], node["name"]), named))
            for node in marts
        }


def _lifts(warehouse: Warehouse, turns: Sequence[str]) -> dict[str, float | int]:
    """The lift of every loop, to be plotted; of a run over several turns the last turn's."""
    return momentum_figures(warehouse.read(MOMENTUM_OF_A_TURN, {"turn": turns[-1]}).to_dicts())


def _materialized(
    result: NodeResult, node: Node, previews: Mapping[str, str], figures: Mapping[str, float | int]
) -> dg.MaterializeResult:
    preview = previews.get(result.unique_id)
    return dg.MaterializeResult(
        asset_key=dg.AssetKey(node["name"]),
        metadata={
            "status": result.status,
            "seconds": round(result.seconds, 3),
            **({} if result.rows is None else {"dagster/row_count": result.rows}),
            **figures,
            **({} if preview is None else {"preview": dg.MarkdownMetadataValue(preview)}),
        },
    )


def _checked(result: NodeResult, key: dg.AssetKey, name: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=result.status == "pass",
        severity=dg.AssetCheckSeverity.WARN if result.status == "warn" else dg.AssetCheckSeverity.ERROR,
        metadata={
            "failures": result.failures or 0,
            "seconds": round(result.seconds, 3),
            **({} if result.status == "pass" else {"message": result.message, "sql": result.compiled or ""}),
        },
    )
