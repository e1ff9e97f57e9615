select turn, loop, candidate_id, guard, decision
from {{ source('flywheel', 'verdicts') }}
