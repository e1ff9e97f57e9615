select
    turn,
    loop,
    release_id,
    subject_id,
    format,
    category,
    coalesce(stratum, subject_id) as stratum,
    variant_id,
    is_control,
    candidate_id,
    recipe_id,
    share,
    holdout,
    policy_version,
    released_at
from {{ source('flywheel', 'releases') }}
