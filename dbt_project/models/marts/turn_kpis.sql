with denominators as (
    select
        released.turn_loop_key,
        released.loop,
        released.category,
        segments.segment,
        case when segments.in_holdout then 'holdout' when released.is_control then 'control' else 'variant' end as side,
        sum(segments.exposures) as exposures,
        sum(segments.units) as units,
        sum(segments.excluded_units) as excluded_units
    from {{ ref('int_variant_segments') }} as segments
    inner join {{ ref('int_released_variants') }} as released on segments.variant_key = released.variant_key
    group by 1, 2, 3, 4, 5
),

numerators as (
    select
        released.turn_loop_key,
        released.category,
        outcomes.segment,
        case when outcomes.in_holdout then 'holdout' when released.is_control then 'control' else 'variant' end as side,
        outcomes.outcome,
        sum(outcomes.converted) as converted,
        {{ exact_sum('outcomes.value') }} as value
    from {{ ref('int_variant_segment_outcomes') }} as outcomes
    inner join {{ ref('int_released_variants') }} as released on outcomes.variant_key = released.variant_key
    group by 1, 2, 3, 4, 5
)

select
    turn_loops.turn,
    turn_loops.loop,
    coalesce(denominators.category, 'unknown') as category,
    denominators.segment,
    denominators.side,
    definitions.outcome,
    definitions.is_reward,
    definitions.is_guardrail,
    cast(denominators.exposures as bigint) as exposures,
    cast(denominators.units as bigint) as units,
    cast(denominators.excluded_units as bigint) as excluded_units,
    cast(coalesce(numerators.converted, 0) as bigint) as converted,
    case when definitions.has_value then coalesce(numerators.value, 0) end as value,
    {{ ratio('coalesce(numerators.converted, 0)', 'denominators.units') }} as rate,
    turn_loops.simulated
from denominators
inner join {{ ref('int_turn_loops') }} as turn_loops on denominators.turn_loop_key = turn_loops.turn_loop_key
inner join {{ ref('stg_outcome_definitions') }} as definitions on denominators.loop = definitions.loop
left join numerators
    on denominators.turn_loop_key = numerators.turn_loop_key
    and coalesce(denominators.category, 'unknown') = coalesce(numerators.category, 'unknown')
    and denominators.segment = numerators.segment
    and denominators.side = numerators.side
    and definitions.outcome = numerators.outcome
