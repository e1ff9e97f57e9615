select
    turn,
    loop,
    subject_id,
    category,
    variant_id,
    is_control,
    recipe_id,
    share,
    holdout,
    cast(dense_rank() over (order by turn, loop) as integer) as turn_loop_key,
    cast(dense_rank() over (order by turn, loop, subject_id) as integer) as release_key,
    cast(row_number() over (order by turn, loop, subject_id, is_control desc, variant_id) as integer) as variant_key
from {{ ref('stg_releases') }}
where {{ in_scope() }}
