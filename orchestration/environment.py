"""What the surroundings of a process may say to the libraries that this project drives: nothing.

Here: taking the variables of MLflow, dbt and Dagster that were set for other work out of the environment.
Not here: the variables that this project sets for them itself (home, registry.tracking, warehouse.dbt_project).

Those libraries read hundreds of variables, and a new version reads more of them, so whole prefixes go and no list of
names is kept. Whoever opens one of the libraries calls `shed` first and sets what it needs afterwards: the package when
it is loaded (MLflow, dbt), the command line and the driver (Dagster), the tracking client (MLflow), each call of dbt.
A process that Dagster started keeps DAGSTER_*: Dagster set them there.
"""

import os
from collections.abc import MutableMapping

MLFLOW = ("MLFLOW_", "_MLFLOW_")
DBT = ("DBT_",)
DAGSTER = ("DAGSTER_", "_DAGSTER_")


def shed(*prefixes: str, environment: MutableMapping[str, str] | None = None) -> dict[str, str]:
    """Take every variable that begins with one of `prefixes` out of the environment, of this process by default.

    What was taken out is returned, so that a block may put it back.
    """
    variables = os.environ if environment is None else environment
    return {name: variables.pop(name) for name in list(variables) if name.startswith(prefixes)}
