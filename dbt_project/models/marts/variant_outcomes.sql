with exposed as (
    select variant_key, sum(units) as units
    from {{ ref('int_variant_segments') }}
    where not in_holdout
    group by variant_key
),

happened as (
    select
        variant_key,
        outcome,
        sum(converted) as converted,
        {{ exact_sum('value') }} as value
    from {{ ref('int_variant_segment_outcomes') }}
    where not in_holdout
    group by variant_key, outcome
)

select
    released.turn,
    released.loop,
    released.subject_id,
    released.variant_id,
    released.is_control,
    definitions.outcome,
    definitions.is_reward,
    definitions.is_guardrail,
    cast(coalesce(exposed.units, 0) as bigint) as units,
    cast(coalesce(happened.converted, 0) as bigint) as converted,
    case when definitions.has_value then coalesce(happened.value, 0) end as value,
    {{ ratio('coalesce(happened.converted, 0)', 'exposed.units') }} as rate,
    turn_loops.simulated
from {{ ref('int_released_variants') }} as released
inner join {{ ref('int_turn_loops') }} as turn_loops on released.turn_loop_key = turn_loops.turn_loop_key
inner join {{ ref('stg_outcome_definitions') }} as definitions on released.loop = definitions.loop
left join exposed on released.variant_key = exposed.variant_key
left join happened
    on released.variant_key = happened.variant_key and definitions.outcome = happened.outcome
where released.decision_id is null
