select
    turn,
    loop,
    outcome_id,
    outcome,
    subject_id,
    unit_id,
    occurred_at,
    value,
    coalesce(simulated, false) as simulated
from {{ source('flywheel', 'outcomes') }}
