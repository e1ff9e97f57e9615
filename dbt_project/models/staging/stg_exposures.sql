select
    turn,
    loop,
    exposure_id,
    release_id,
    subject_id,
    variant_id,
    unit_id,
    coalesce(segment, 'unknown') as segment,
    occurred_at as exposed_at,
    propensity,
    coalesce(in_holdout, false) as in_holdout,
    coalesce(late, false) as late,
    coalesce(simulated, false) as simulated,
    left_out
from {{ source('flywheel', 'exposures') }}
