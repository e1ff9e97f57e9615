with sides as (
    select
        turn_loop_key,
        sum(units_met) as units,
        sum(case when in_holdout then units_met else 0 end) as holdout_units,
        sum(case when in_holdout then treated_units else 0 end) as treated_units
    from {{ ref('int_holdout_sides') }}
    group by turn_loop_key
),

counted as (
    select
        turn_loops.turn,
        turn_loops.loop,
        turn_loops.holdout as declared_share,
        coalesce(sides.units, 0) as units,
        coalesce(sides.holdout_units, 0) as holdout_units,
        coalesce(sides.treated_units, 0) as treated_units,
        turn_loops.simulated
    from {{ ref('int_turn_loops') }} as turn_loops
    left join sides on turn_loops.turn_loop_key = sides.turn_loop_key
)

select
    turn,
    loop,
    cast(units as bigint) as units,
    cast(holdout_units as bigint) as holdout_units,
    cast(treated_units as bigint) as treated_units,
    declared_share,
    {{ ratio('holdout_units', 'units') }} as observed_share,
    {{ repeatable(ratio(
        'power(holdout_units - units * declared_share, 2)', '(units * declared_share * (1 - declared_share))'
    )) }} as chi_square,
    cast(1 as bigint) as degrees_of_freedom,
    simulated
from counted
