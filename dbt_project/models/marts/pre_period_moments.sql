-- What a unit earned on other subjects before the turn says what kind of unit it is, and no variant of this subject can
-- have touched it: variants are assigned by subject, with a salt of its own.
with earlier as (
    select
        turn_loops.turn_loop_key,
        {{ unit_key('outcomes.unit_id') }} as unit_key,
        outcomes.subject_id,
        count(distinct outcomes.outcome_id) as rewards
    from (
        select distinct turn, loop, turn_loop_key from {{ ref('int_released_variants') }} where decision_id is null
    ) as turn_loops
    inner join {{ ref('stg_outcome_definitions') }} as definitions
        on turn_loops.loop = definitions.loop and definitions.is_reward
    inner join {{ ref('stg_outcomes') }} as outcomes
        on definitions.loop = outcomes.loop
        and definitions.outcome = outcomes.outcome
        and outcomes.left_out is null
        and outcomes.turn < turn_loops.turn
        and outcomes.turn >= {{ dbt.dateadd('day', -28, 'turn_loops.turn') }}
    group by turn_loops.turn_loop_key, {{ unit_key('outcomes.unit_id') }}, outcomes.subject_id
),

earlier_units as (
    select turn_loop_key, unit_key, sum(rewards) as rewards
    from earlier
    group by turn_loop_key, unit_key
),

rewarded as (
    select release_key, unit_key, reward
    from {{ ref('int_attributed_outcomes') }}
    where reward is not null and not is_excluded and not is_part_of_reward

    union all

    select release_key, unit_key, sum(reward) as reward
    from {{ ref('int_attributed_outcomes') }}
    where reward is not null and not is_excluded and is_part_of_reward
    group by release_key, unit_key
),

pairs as (
    select
        released.turn,
        released.loop,
        released.turn_loop_key,
        released.subject_id,
        released.is_control,
        coalesce(rewarded.reward, 0) as y,
        cast(coalesce(earlier_units.rewards, 0) - coalesce(earlier.rewards, 0) as double precision) as x
    from {{ ref('int_first_exposures') }} as exposures
    inner join {{ ref('int_released_variants') }} as released on exposures.variant_key = released.variant_key
    left join rewarded
        on exposures.release_key = rewarded.release_key and exposures.unit_key = rewarded.unit_key
    left join earlier_units
        on released.turn_loop_key = earlier_units.turn_loop_key and exposures.unit_key = earlier_units.unit_key
    left join earlier
        on released.turn_loop_key = earlier.turn_loop_key
        and exposures.unit_key = earlier.unit_key
        and released.subject_id = earlier.subject_id
    left join {{ ref('int_loud_pairs') }} as loud
        on exposures.release_key = loud.release_key and exposures.unit_key = loud.unit_key
    where released.decision_id is null
        and loud.unit_key is null
        and not exposures.in_holdout
        and not exposures.met_two_variants
        and not exposures.treated_in_holdout
)

select
    pairs.turn,
    pairs.loop,
    pairs.subject_id,
    pairs.is_control,
    cast(count(*) as bigint) as units,
    {{ exact_sum('pairs.y') }} as y,
    {{ exact_sum('pairs.y * pairs.y') }} as yy,
    sum(pairs.x) as x,
    sum(pairs.x * pairs.x) as xx,
    {{ exact_sum('pairs.x * pairs.y') }} as xy,
    {{ dbt.bool_or('turn_loops.simulated') }} as simulated
from pairs
inner join {{ ref('int_turn_loops') }} as turn_loops on pairs.turn_loop_key = turn_loops.turn_loop_key
group by pairs.turn, pairs.loop, pairs.subject_id, pairs.is_control
