with decided as (
    select
        released.turn,
        released.loop,
        released.turn_loop_key,
        released.stratum,
        released.is_control,
        case when not released.is_control then released.arm end as option,
        released.variant_key
    from {{ ref('int_released_variants') }} as released
    where released.decision_id is not null
),

exposed as (
    select
        decided.turn_loop_key,
        decided.stratum,
        decided.is_control,
        decided.option,
        count(distinct decided.variant_key) as decisions,
        sum(coalesce(segments.units, 0)) as units
    from decided
    left join {{ ref('int_variant_segments') }} as segments on decided.variant_key = segments.variant_key
    group by decided.turn_loop_key, decided.stratum, decided.is_control, decided.option
),

happened as (
    select
        decided.turn_loop_key,
        decided.stratum,
        decided.is_control,
        decided.option,
        outcomes.outcome,
        sum(outcomes.converted) as converted,
        {{ exact_sum('outcomes.value') }} as value
    from decided
    inner join {{ ref('int_variant_segment_outcomes') }} as outcomes on decided.variant_key = outcomes.variant_key
    group by decided.turn_loop_key, decided.stratum, decided.is_control, decided.option, outcomes.outcome
)

select
    turn_loops.turn,
    turn_loops.loop,
    exposed.stratum,
    exposed.option,
    exposed.is_control,
    definitions.outcome,
    definitions.is_reward,
    definitions.is_guardrail,
    cast(exposed.decisions as bigint) as decisions,
    cast(exposed.units as bigint) as units,
    cast(coalesce(happened.converted, 0) as bigint) as converted,
    case when definitions.has_value then coalesce(happened.value, 0) end as value,
    {{ ratio('coalesce(happened.converted, 0)', 'exposed.units') }} as rate,
    turn_loops.simulated
from exposed
inner join {{ ref('int_turn_loops') }} as turn_loops on exposed.turn_loop_key = turn_loops.turn_loop_key
inner join {{ ref('stg_outcome_definitions') }} as definitions on turn_loops.loop = definitions.loop
left join happened
    on exposed.turn_loop_key = happened.turn_loop_key
    and exposed.stratum = happened.stratum
    and exposed.is_control = happened.is_control
    and coalesce(exposed.option, '') = coalesce(happened.option, '')
    and definitions.outcome = happened.outcome
