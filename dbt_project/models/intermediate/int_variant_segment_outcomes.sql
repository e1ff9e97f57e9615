select
    variant_key,
    segment,
    in_holdout,
    outcome,
    count(*) as converted,
    {{ exact_sum('value') }} as value,
    {{ exact_sum('reward') }} as reward,
    {{ exact_sum('reward * reward') }} as reward_squares,
    {{ dbt.bool_or('simulated') }} as simulated
from {{ ref('int_attributed_outcomes') }}
where not is_excluded
group by variant_key, segment, in_holdout, outcome
