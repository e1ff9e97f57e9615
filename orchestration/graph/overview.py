"""Runs of this process in the overview of the Dagster UI, beside those of its daemon.

Here: the code location that such a run is recorded under. Dagster records none for a run in process, and its overview
and its pages of jobs leave runs of no code location out. It has no public way to say it: what is private is used here
alone, and a test holds that runs are recorded as the UI looks for them.
Not here: running anything (driver), and what the code location is (workspace.yaml).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

LOCATION, MODULE, ATTRIBUTE = "flywheel", "orchestration.definitions", "defs"  # as workspace.yaml names them
REPOSITORY_TAG = ".dagster/repository"


def overview_tags() -> dict[str, str]:
    """Tags by which the UI's pages of jobs find a run."""
    return {REPOSITORY_TAG: f"{SINGLETON_REPOSITORY_NAME}@{LOCATION}"}


@contextmanager
def seen_in_overview(instance: dg.DagsterInstance, job: str) -> Iterator[None]:
    """While the block runs, runs of `job` that `instance` records belong to the code location of the workspace."""
    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE, attribute=ATTRIBUTE)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, LOCATION)
    origin = RemoteRepositoryOrigin(location, SINGLETON_REPOSITORY_NAME).get_job_origin(job)
    recorded = instance.create_run_for_job
    instance.create_run_for_job = partial(recorded, remote_job_origin=origin)  # type: ignore[method-assign]
    try:
        yield
    finally:
        del instance.create_run_for_job
