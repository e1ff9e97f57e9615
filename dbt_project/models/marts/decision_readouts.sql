with exposed as (
    select
        variant_key,
        sum(exposures) as exposures,
        sum(units) as units
    from {{ ref('int_variant_segments') }}
    group by variant_key
),

rewarded as (
    select variant_key, {{ exact_sum('reward') }} as reward
    from {{ ref('int_variant_segment_outcomes') }}
    group by variant_key
),

counted as (
    select
        decisions.turn,
        decisions.loop,
        decisions.decision_id,
        decisions.subject_id,
        decisions.category,
        decisions.stratum,
        decisions.option,
        decisions.propensity,
        decisions.in_holdout,
        decisions.delivered,
        coalesce(exposed.units, 0) as units,
        coalesce(exposed.exposures, 0) as exposures,
        coalesce(rewarded.reward, 0) as reward,
        turn_loops.simulated
    from {{ ref('int_released_variants') }} as decided
    inner join {{ ref('stg_decisions') }} as decisions
        on decided.turn = decisions.turn
        and decided.loop = decisions.loop
        and decided.decision_id = decisions.decision_id
    inner join {{ ref('int_turn_loops') }} as turn_loops on decided.turn_loop_key = turn_loops.turn_loop_key
    left join exposed on decided.variant_key = exposed.variant_key
    left join rewarded on decided.variant_key = rewarded.variant_key
)

select
    turn,
    loop,
    decision_id,
    subject_id,
    category,
    stratum,
    option,
    propensity,
    in_holdout,
    delivered,
    cast(units as bigint) as units,
    cast(exposures as bigint) as exposures,
    reward,
    case
        when exposures = 0 then 'nobody met it'
        when units = 0 then 'whoever met it does not count: held out and yet given something else, or no person (see loud_units)'
    end as no_units_reason,
    simulated
from counted
