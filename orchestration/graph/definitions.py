"""The one place where everything is assembled.

Here: build_definitions(), its resources replaceable, so that tests, commands and deployment share one assembly.
Not here: anything that an asset, a check, a schedule or a sensor does.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

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
from orchestration.graph.assets.stage import MODEL_REGISTRY, OWNER
from orchestration.graph.assets.subjects import subjects_asset
from orchestration.graph.assets.verdicts import verdicts_asset
from orchestration.graph.checks import build_checks
from orchestration.graph.jobs import turn_jobs
from orchestration.graph.schedules import wheel_schedule
from orchestration.graph.sensors import landing_sensor, late_event_sensor
from orchestration.landing.folder import LandingResource
from orchestration.landing.outbox import OutboxResource
from orchestration.loops.content import content_loop
from orchestration.loops.declaration import Loop
from orchestration.loops.replay import NAME as REPLAY
from orchestration.loops.replay import replay_loop
from orchestration.model.language_model import LanguageModelResource
from orchestration.registry.tracking import TrackingResource
from orchestration.settings import Settings
from orchestration.turns import turn_partitions
from orchestration.warehouse.dbt import DbtResource
from orchestration.warehouse.turn_tables import TurnTables, WarehouseResource


def declared_loops(settings: Settings) -> tuple[Loop, ...]:
    """Every loop that turns; a new one is added here, and to FLYWHEEL_LOOPS."""
    declared = {"content": lambda: content_loop(settings.brand_file), "replay": replay_loop}
    return tuple(declared[name]() for name in settings.loops)


def loop_assets(loop: Loop, settings: Settings, partitions: dg.PartitionsDefinition) -> list[dg.AssetsDefinition]:
    """All stages of one loop."""
    return [
        champion_asset(loop, settings, partitions),
        subjects_asset(loop, settings, partitions),
        briefs_asset(loop, settings, partitions),
        candidates_asset(loop, partitions),
        verdicts_asset(loop, partitions),
        reviews_asset(loop, partitions),
        releases_asset(loop, settings, partitions),
        outbox_asset(loop, partitions),
        evidence_asset(loop, partitions),
        comparison_asset(loop, settings, partitions),
        challenger_asset(loop, settings, partitions),
        promotion_asset(loop, settings, partitions),
    ]


def flywheel_resources(settings: Settings) -> dict[str, Any]:
    """Everything that does I/O, bound to the home of these settings."""
    warehouse: dict[str, Any] = {"path": str(settings.warehouse_path), "lock_timeout_s": settings.lock_timeout_s}
    return {
        "warehouse": WarehouseResource(**warehouse),
        "turn_tables": TurnTables(**warehouse),
        "landing": LandingResource(
            **warehouse,
            folder=str(settings.landing),
            first_turn=settings.first_turn.isoformat(),
            cadence=settings.cadence,
        ),
        "outbox": OutboxResource(folder=str(settings.outbox)),
        "model": LanguageModelResource(),
        "tracking": TrackingResource(folder=str(settings.root), ui=settings.mlflow_ui),
        "dbt": DbtResource(
            warehouse_path=str(settings.warehouse_path),
            lock_timeout_s=settings.lock_timeout_s,
            memory=settings.warehouse_memory,
        ),
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
    loops = tuple(loops or declared_loops(settings))
    partitions = turn_partitions(settings)
    jobs = turn_jobs(loops, executor)
    named = {job.name: job for job in jobs}
    registry = dg.AssetSpec(
        MODEL_REGISTRY,
        description="Policies and their aliases in MLflow: how one turn hands on to the next what it has learned.",
        group_name="facts",
        kinds={"mlflow"},
        owners=[OWNER],
    )
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
        if loop.name == REPLAY
    ]
    return dg.Definitions(
        assets=[
            registry,
            *gains,
            *landing_assets(loops),
            *(asset for loop in loops for asset in loop_assets(loop, settings, partitions)),
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
