select
    turn,
    loop,
    decision_id,
    subject_id,
    category,
    stratum,
    variant_id,
    option,
    propensity,
    coalesce(is_control, false) as is_control,
    coalesce(in_holdout, false) as in_holdout,
    coalesce(delivered, false) as delivered,
    recipe_id,
    holdout,
    policy_version,
    tried_at
from {{ source('flywheel', 'decisions') }}
