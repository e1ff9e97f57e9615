select turn, loop, candidate_id, brief_id, subject_id, recipe_id, status, status = 'ok' as is_ok, call_id
from {{ source('flywheel', 'candidates') }}
