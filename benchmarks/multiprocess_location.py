"""The same graph on Dagster's multiprocess executor, as a code location that every step loads for itself.

Here: the definitions, bound to the home that the FLYWHEEL_* variables name.
Not here: what is measured with them (turn).
"""

import logging

import dagster as dg

from orchestration.graph.definitions import build_definitions
from orchestration.settings import Settings
from orchestration.testing.instant_model import InstantLanguageModel

logging.disable(logging.WARNING)  # as in the process that it is compared with


def produce() -> dg.JobDefinition:
    return _job("produce")


def learn() -> dg.JobDefinition:
    return _job("learn")


def _job(name: str) -> dg.JobDefinition:
    definitions = build_definitions(
        settings=Settings(_env_file=None),
        resources={"model": InstantLanguageModel()},
        executor=dg.multiprocess_executor,
    )
    return definitions.resolve_job_def(name)
