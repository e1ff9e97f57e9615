"""The one place where everything is assembled.

Here: build_definitions(), its resources replaceable, so that tests, commands and deployment share one assembly.
Not here: anything that an asset, a check, a schedule or a sensor does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from orchestration.flywheel_file import loops_at
from orchestration.graph.assets.briefs import briefs_asset
from orchestration.graph.assets.candidates import candidates_asset
from orchestration.graph.assets.challenger import challenger_asset
from orchestration.graph.assets.champion import champion_asset
from orchestration.graph.assets.comparison import comparison_asset
from orchestration.graph.assets.evidence import evidence_asset
from orchestration.graph.assets.facts import fact_assets
from orchestration.graph.assets.kpis import kpi_assets
from orchestration.graph.assets.landing import landing_assets
from orchestration.graph.assets.outbox import outbox_asset
from orchestration.graph.assets.promotion import promotion_asset
from orchestration.graph.assets.releases import releases_asset
from orchestration.graph.assets.reviews import reviews_asset
from orchestration.graph.assets.stage import MODEL_REGISTRY, OWNER, handed_over
from orchestration.graph.assets.subjects import subjects_asset
from orchestration.graph.assets.verdicts import verdicts_asset
from orchestration.graph.beginning import in_home
from orchestration.graph.bound import BoundLoop
from orchestration.graph.checks import build_checks
from orchestration.graph.jobs import turn_jobs
from orchestration.graph.schedules import wheel_schedule
from orchestration.graph.sensors import landing_sensor, late_event_sensor
from orchestration.landing.folder import landing_resource
from orchestration.landing.outbox import OutboxResource
from orchestration.loops.declaration import Loop
from orchestration.model.language_model import model_resource
from orchestration.registry.tracking import TrackingResource
from orchestration.settings import Settings
from orchestration.trials.resource import TrialsResource
from orchestration.turns import turn_partitions
from orchestration.warehouse.dbt import Dbt
from orchestration.warehouse.engines import open_warehouse
from orchestration.warehouse.turn_tables import TurnTables, kept_for_a_run

STAGES = (
    champion_asset,
    subjects_asset,
    briefs_asset,
    candidates_asset,
    verdicts_asset,
    reviews_asset,
    releases_asset,
    outbox_asset,
    evidence_asset,
    comparison_asset,
    challenger_asset,
    promotion_asset,
)
"""The stages of a loop, in the order in which a turn runs."""


def flywheel_resources(settings: Settings) -> dict[str, Any]:
    """Everything that does I/O, bound to these settings. Values, not configuration: what Dagster stores of a run holds
    no address and no key."""
    warehouse = open_warehouse(settings)
    return {
        "warehouse": kept_for_a_run(warehouse),
        "turn_tables": TurnTables(warehouse),
        "landing": landing_resource(settings, warehouse),
        "outbox": OutboxResource(folder=str(settings.outbox), addressees=str(settings.addressees_path)),
        "model": model_resource(settings),
        "trials": TrialsResource(),
        "tracking": TrackingResource(
            folder=str(settings.root), ui=settings.mlflow_ui, traces_calls=settings.trace_calls
        ),
        "dbt": Dbt(warehouse, settings.warehouse_memory),
    }


def build_definitions(
    *,
    settings: Settings | None = None,
    loops: Sequence[Loop] | None = None,
    resources: Mapping[str, Any] | None = None,
    executor: dg.ExecutorDefinition = dg.in_process_executor,
    loggers: Mapping[str, dg.LoggerDefinition] | None = None,
) -> dg.Definitions:
    """The whole flywheel. `resources` replaces any of `flywheel_resources` by name."""
    settings = settings or Settings()
    loops = tuple(loops or loops_at(settings))
    turning = frozenset(loop.name for loop in loops)
    bounds = [BoundLoop.of(loop, settings, turning) for loop in loops]
    partitions = turn_partitions(settings)
    executor = in_home(executor, settings)
    jobs = turn_jobs(loops, executor)
    named = {job.name: job for job in jobs}
    return dg.Definitions(
        assets=[
            *external_assets(loops, partitions),
            *landing_assets(loops),
            *(stage(bound) for bound in bounds for stage in STAGES),
            *fact_assets(loops, partitions),
            kpi_assets(loops, partitions),
        ],
        asset_checks=build_checks(loops, partitions),
        jobs=jobs,
        schedules=[wheel_schedule(loops, settings, named["turn"])],
        sensors=[landing_sensor(loops, named["ingest"]), late_event_sensor(loops)],
        resources={**flywheel_resources(settings), **(resources or {})},
        executor=executor,
        loggers=loggers,
    )


def external_assets(loops: Sequence[Loop], partitions: dg.PartitionsDefinition) -> list[dg.AssetSpec]:
    """What the graph hands on to itself and to people without a step of its own."""
    registry = dg.AssetSpec(
        MODEL_REGISTRY,
        description="Policies and their aliases in MLflow: how one turn hands on to the next what it has learned.",
        group_name="facts",
        kinds={"mlflow"},
        owners=[OWNER],
    )
    handed = [
        dg.AssetSpec(
            handed_over(loop.name),
            description=f"What a turn of {loop.name} has shown, for the next turn of the loops that it feeds.",
            group_name=loop.name,
            kinds={"table"},
            owners=[loop.owner],
            partitions_def=partitions,
        )
        for loop in loops
    ]
    gains = [
        dg.AssetSpec(
            [loop.name, "gain"],
            deps=[[loop.name, "releases"], [loop.name, "promotion"]],
            description="Rewards gained over even shares in a turn, as `flywheel replay` tells at its end.",
            group_name=loop.name,
            owners=[loop.owner],
            partitions_def=partitions,
        )
        for loop in loops
        if not loop.generation.decides and loop.on_command
    ]
    return [registry, *handed, *gains]
