select turn, loop, policy_version, mlflow_run_id
from {{ source('flywheel', 'champions') }}
