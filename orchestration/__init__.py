"""The generative growth flywheel: Dagster assets that generate, release, measure and learn, turn by turn."""

import os

from orchestration.environment import DBT, MLFLOW, shed

# Before either library is loaded, in whatever process this is: a command's, a test's, or one that Dagster started.
shed(*MLFLOW, *DBT)

# The systems solved here are small: threads of a linear algebra library cost more than they give, and many times more
# on a machine whose cores are busy. To be set before numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
