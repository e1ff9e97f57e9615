select turn, loop, recipe_id, status, count(*) as candidates
from {{ ref('stg_candidates') }}
where {{ in_scope() }}
group by turn, loop, recipe_id, status
