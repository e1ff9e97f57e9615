select
    turn,
    loop,
    outcome_id,
    outcome,
    subject_id,
    unit_id,
    occurred_at,
    value,
    decision_id,
    coalesce(simulated, false) as simulated,
    release_id,
    left_out
from {{ source('flywheel', 'outcomes') }}
