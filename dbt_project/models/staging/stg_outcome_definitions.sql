select
    loop,
    outcome,
    within_s,
    coalesce(weight, case when is_reward then 1.0 else 0.0 end) as weight,
    coalesce(weight <> 0, is_reward, false) as is_reward,
    coalesce(is_guardrail, false) as is_guardrail,
    coalesce(has_value, false) as has_value,
    cut_at,
    -- Several outcomes add up to one reward only where more than one of the loop's has a weight.
    sum(case when coalesce(weight <> 0, is_reward, false) then 1 else 0 end) over (partition by loop) > 1
        as is_part_of_reward
from {{ source('flywheel', 'outcome_definitions') }}
