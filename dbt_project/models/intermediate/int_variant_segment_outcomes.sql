-- Where several outcomes add up to one reward, its square is shared out among them: the sum over outcomes of part times
-- whole is the square of the whole.
with wholes as (
    select release_key, unit_key, sum(reward) as reward
    from {{ ref('int_attributed_outcomes') }}
    where is_part_of_reward and reward is not null and not is_excluded
    group by release_key, unit_key
)

select
    outcomes.variant_key,
    outcomes.segment,
    outcomes.in_holdout,
    outcomes.outcome,
    count(*) as converted,
    {{ exact_sum('outcomes.value') }} as value,
    {{ exact_sum('outcomes.reward') }} as reward,
    {{ exact_sum('outcomes.reward * coalesce(wholes.reward, outcomes.reward)') }} as reward_squares,
    {{ dbt.bool_or('outcomes.simulated') }} as simulated
from {{ ref('int_attributed_outcomes') }} as outcomes
left join wholes on outcomes.release_key = wholes.release_key and outcomes.unit_key = wholes.unit_key
left join {{ ref('int_loud_pairs') }} as loud
    on outcomes.release_key = loud.release_key and outcomes.unit_key = loud.unit_key
where not outcomes.is_excluded and loud.unit_key is null
group by outcomes.variant_key, outcomes.segment, outcomes.in_holdout, outcomes.outcome
