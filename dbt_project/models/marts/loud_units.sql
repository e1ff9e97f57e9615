with loud as (
    select turn_loop_key, unit_key, measure, number, bound, true as left_out
    from {{ ref('int_loud_units') }}

    union all

    select
        released.turn_loop_key,
        outcomes.unit_key,
        outcomes.outcome || ' amount' as measure,
        max(outcomes.value) as number,
        max(outcomes.cut_to) as bound,
        false as left_out
    from {{ ref('int_attributed_outcomes') }} as outcomes
    inner join (select distinct release_key, turn_loop_key from {{ ref('int_released_variants') }}) as released
        on outcomes.release_key = released.release_key
    where outcomes.cut_to is not null and outcomes.value <= {{ absurd_amount('outcomes.cut_to') }}
    group by released.turn_loop_key, outcomes.unit_key, outcomes.outcome
),

named as (
    select {{ unit_key('unit_id') }} as unit_key, min(unit_id) as unit_id
    from {{ ref('stg_exposures') }}
    where {{ in_scope() }} and {{ unit_key('unit_id') }} in (select unit_key from loud)
    group by {{ unit_key('unit_id') }}
)

select
    turn_loops.turn,
    turn_loops.loop,
    named.unit_id,
    loud.measure,
    loud.number,
    loud.bound,
    loud.left_out,
    turn_loops.simulated
from loud
inner join {{ ref('int_turn_loops') }} as turn_loops on loud.turn_loop_key = turn_loops.turn_loop_key
inner join named on loud.unit_key = named.unit_key
