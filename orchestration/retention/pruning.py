"""What goes when only the newest turns are kept (FLYWHEEL_KEEP_TURNS), and how.

Here: the order in which everything is pruned after a run, Dagster's runs among it, and a report of what would go.
Not here: which rows, files and versions no kept turn needs (rows, files,
registry).

Rows go first, in one transaction that records the first turn kept. All else is found anew by that record, so that a
pruning that is killed at any moment is finished by the next one.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration.registry.tracking import DATABASE, Tracking
from orchestration.retention.files import unneeded_landed, unneeded_outbox
from orchestration.retention.registry import remove_traces, remove_versions
from orchestration.retention.rows import kept_from, policies_needed, pruned_to, take_away
from orchestration.settings import Settings
from orchestration.turns import LENGTHS
from orchestration.warehouse.protocol import Warehouse

BEGAN = """
    select min(moment) from (
        select min(released_at) as moment from flywheel.releases where turn >= $first
        union all
        select min(decided_at) from flywheel.decisions where turn >= $first
    ) as began
"""
_PARTITION = "dagster/partition"


def prune(
    settings: Settings, warehouse: Warehouse, instance: dg.DagsterInstance, *, tell: Callable[[str], None]
) -> None:
    """Take away what the newest `keep_turns` turns do not need; nothing where that is unset."""
    if settings.keep_turns is None:
        return
    first = kept_from(warehouse, settings.keep_turns)
    earlier = pruned_to(warehouse)
    if first is None or (earlier is not None and first < earlier):
        first = earlier  # fewer turns are kept no longer: what is gone stays gone
    if first is None:
        return
    rows = take_away(warehouse, first)
    files = [*unneeded_landed(warehouse, settings.landing, first)]
    files += unneeded_outbox(settings.outbox, first, settings)
    for path in files:
        path.unlink(missing_ok=True)
    began = warehouse.read(BEGAN, {"first": first.isoformat()}).item()
    versions = _prune_registry(settings, warehouse, first, began)
    runs = _prune_runs(settings, instance, first, began)
    if rows or files or versions or runs:
        tell(
            f"Pruned what turns from {first} on do not need: {rows:,} rows, {len(files)} files, {versions} policies, "
            f"{runs} runs."
        )


def would_go(settings: Settings, warehouse: Warehouse, keep: int) -> str:
    """What pruning to `keep` turns would take away, in a sentence; nothing is changed."""
    first = kept_from(warehouse, keep)
    if first is None:
        return f"There are no more than {keep} turns: nothing would go."
    files = [*unneeded_landed(warehouse, settings.landing, first), *unneeded_outbox(settings.outbox, first, settings)]
    size = sum(path.stat().st_size for path in files) / 2**20
    return (
        f"Turns from {first} on would be kept whole; of those before, {len(files)} landed and outbox files "
        f"({size:.1f} MB), their events and exposures, and their runs in MLflow and Dagster would go. Set "
        f"FLYWHEEL_KEEP_TURNS={keep} to have it done after every run."
    )


def _prune_registry(settings: Settings, warehouse: Warehouse, first: date, began: datetime | None) -> int:
    if not (settings.root / DATABASE).exists():
        return 0
    tracking = Tracking(settings.root, settings.mlflow_ui)
    needed = policies_needed(warehouse, first)
    removed = sum(remove_versions(tracking, loop, needed[loop], first.isoformat()) for loop in needed)
    if began is not None:
        remove_traces(tracking, began)
    return removed


def _prune_runs(settings: Settings, instance: dg.DagsterInstance, first: date, began: datetime | None) -> int:
    """Remove Dagster's runs of turns before the one that the first kept turn came from, and their files."""
    source = (first - LENGTHS[settings.cadence]).isoformat()
    unneeded = [*_unneeded_runs(instance, source, began)]
    for run_id in unneeded:
        instance.delete_run(run_id)
        _remove_files(settings.dagster_home, run_id)
    return len(unneeded)


def _unneeded_runs(instance: dg.DagsterInstance, source: str, began: datetime | None) -> Iterator[str]:
    for record in instance.get_run_records(dg.RunsFilter(statuses=_ENDED)):
        turn = record.dagster_run.tags.get(_PARTITION)
        if turn is not None:
            if turn < source:
                yield record.dagster_run.run_id
        elif began is not None and record.create_timestamp.replace(tzinfo=None) < began:
            yield record.dagster_run.run_id


def _remove_files(dagster_home: Path, run_id: str) -> None:
    """Remove a run's event log, which Dagster only empties, and what its process printed."""
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            (dagster_home / "history" / "runs" / f"{run_id}.db{ending}").unlink()
    shutil.rmtree(dagster_home / "storage" / run_id, ignore_errors=True)


_ENDED: Any = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
