"""What holds for every run before its first step, in a terminal and in Dagster's daemon alike.

Here: one run at a time in a home, a clock that has not gone back, the settings that the home was set up with, and what
is pruned once a run has ended well.
Not here: the lock (home_lock), the settings that define a home (home_settings), pruning (retention), the steps.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster import Executor

from orchestration.home_lock import home_locked, sign_of_life
from orchestration.home_settings import hold_settings
from orchestration.machine import machine_trouble
from orchestration.retention.pruning import prune
from orchestration.retention.rows import pruned_problem
from orchestration.settings import Settings
from orchestration.warehouse.engines import open_warehouse
from orchestration.warehouse.protocol import Warehouse

MAY_GO_BACK = timedelta(minutes=5)
"""As far as the clocks of senders may be ahead of this one: events of the future would be refused beyond it."""
NEWEST_MOMENT = """
    select max(moment) from (
        select max(ingested_at) as moment from flywheel.landed_files
        union all
        select max(released_at) from flywheel.releases
        union all
        select max(decided_at) from flywheel.decisions
        union all
        select max(decided_at) from flywheel.promotions
    ) as known
"""


class ClockSetBackError(ValueError):
    """This machine's clock is behind what was recorded: rows of now would be taken for rows of the future."""


@contextmanager
def run_in_home(
    settings: Settings,
    instance: dg.DagsterInstance,
    run_id: str,
    what: str,
    turn: str | None,
    tell: Callable[[str], None],
) -> Iterator[None]:
    """While the block runs, no other run works in the home; when it ends well, what no kept turn needs is pruned.

    Waits for the run before it, and says so. Raises ClockSetBackError, HomeSettingsError and ValueError for a turn that
    was pruned before anything is done.
    """
    warehouse = open_warehouse(settings)
    with (
        sign_of_life(settings.dagster_home, run_id),
        home_locked(settings.root, what, tell),
        warehouse.kept(),
    ):
        refuse_a_clock_set_back(warehouse)
        hold_settings(settings, warehouse)
        if turn is not None and (problem := pruned_problem(warehouse, turn)):
            raise ValueError(problem)
        yield
        try:
            prune(settings, warehouse, instance, tell=tell)
        except Exception as error:  # the turn has ended well: what was not pruned is pruned after the next one
            tell(f"Not all that may go was pruned; the next run tries again. {machine_trouble(error) or error}")


def refuse_a_clock_set_back(warehouse: Warehouse, now: datetime | None = None) -> None:
    """Raises ClockSetBackError when the clock is behind the newest moment that is recorded."""
    newest = warehouse.read(NEWEST_MOMENT).item()
    present = now or datetime.now(UTC).replace(tzinfo=None)
    if newest is not None and present < newest - MAY_GO_BACK:
        raise ClockSetBackError(
            f"This machine's clock says {present:%Y-%m-%d %H:%M} UTC, but the warehouse holds records of "
            f"{newest:%Y-%m-%d %H:%M} UTC: set the clock right, then run this again. Nothing was changed."
        )


def in_home(executor: dg.ExecutorDefinition, settings: Settings) -> dg.ExecutorDefinition:
    """The same executor, whose runs go one at a time in the home."""

    def created(context: Any) -> Executor:
        creation = executor.executor_creation_fn
        if creation is None:
            raise ValueError(f"Executor {executor.name} cannot be created.")
        return _InHome(creation(context), settings)

    return dg.ExecutorDefinition(
        name=executor.name,
        config_schema=executor.config_schema,  # type: ignore[arg-type]  # already what a user's would become
        requirements=executor.get_requirements,
        executor_creation_fn=created,
        description=executor.description,
    )


class _InHome(Executor):
    def __init__(self, inner: Executor, settings: Settings) -> None:
        self._inner, self._settings = inner, settings

    @property
    def retries(self) -> Any:
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        return self._inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
        run = plan_context.dagster_run
        turn = run.tags.get("dagster/partition")
        what = f"{run.tags.get('flywheel/half', run.job_name)} {turn or ''}".strip()
        with run_in_home(self._settings, plan_context.instance, run.run_id, what, turn, plan_context.log.info):
            yield from self._inner.execute(plan_context, execution_plan)
