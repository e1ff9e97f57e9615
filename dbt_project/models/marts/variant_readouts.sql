with exposed as (
    select
        variant_key,
        sum(exposures) as exposures,
        sum(units) as units,
        sum(excluded_units) as excluded_units
    from {{ ref('int_variant_segments') }}
    where not in_holdout
    group by variant_key
),

rewarded as (
    select
        variant_key,
        {{ exact_sum('reward') }} as reward,
        {{ exact_sum('reward_squares') }} as reward_squares
    from {{ ref('int_variant_segment_outcomes') }}
    where not in_holdout
    group by variant_key
),

rewards as (
    -- Only one outcome of weight 1, had or not had, is a reward of 0 or 1.
    select loop, count(*) > 1 or max(weight) <> 1 or {{ dbt.bool_or('has_value') }} as is_amount
    from {{ ref('stg_outcome_definitions') }}
    where is_reward
    group by loop
),

counted as (
    select
        released.turn,
        released.loop,
        released.subject_id,
        released.category,
        released.stratum,
        released.variant_id,
        released.is_control,
        released.recipe_id,
        released.share,
        coalesce(exposed.exposures, 0) as exposures,
        coalesce(exposed.units, 0) as units,
        coalesce(exposed.excluded_units, 0) as excluded_units,
        coalesce(rewarded.reward, 0) as reward,
        coalesce(rewarded.reward_squares, 0) as reward_squares,
        coalesce(rewards.is_amount, false) as is_amount,
        turn_loops.simulated
    from {{ ref('int_released_variants') }} as released
    inner join {{ ref('int_turn_loops') }} as turn_loops on released.turn_loop_key = turn_loops.turn_loop_key
    left join exposed on released.variant_key = exposed.variant_key
    left join rewarded on released.variant_key = rewarded.variant_key
    left join rewards on released.loop = rewards.loop
    where released.decision_id is null
)

select
    turn,
    loop,
    subject_id,
    category,
    stratum,
    variant_id,
    is_control,
    recipe_id,
    share,
    cast(exposures as bigint) as exposures,
    cast(units as bigint) as units,
    cast(excluded_units as bigint) as excluded_units,
    reward,
    reward_squares,
    {{ ratio('reward', 'units') }} as rate,
    {{ rate_end('-', 'reward', 'reward_squares', 'units', 'is_amount') }} as rate_low,
    {{ rate_end('+', 'reward', 'reward_squares', 'units', 'is_amount') }} as rate_high,
    simulated
from counted
