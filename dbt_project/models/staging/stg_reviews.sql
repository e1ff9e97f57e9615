select turn, loop, candidate_id, subject_id, recipe_id, decision, decided_by
from {{ source('flywheel', 'reviews') }}
