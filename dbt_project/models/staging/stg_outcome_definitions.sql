select
    loop,
    outcome,
    within_s,
    coalesce(is_reward, false) as is_reward,
    coalesce(is_guardrail, false) as is_guardrail,
    coalesce(has_value, false) as has_value
from {{ source('flywheel', 'outcome_definitions') }}
