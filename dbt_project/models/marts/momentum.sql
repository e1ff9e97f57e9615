with compared as (
    select
        turn_loops.turn,
        turn_loops.loop,
        champions.policy_version,
        coalesce(treated.units, 0) as treated_units,
        coalesce(treated.pairs, 0) as treated_pairs,
        coalesce(treated.reward, 0) as treated_reward,
        treated.rate as treated_rate,
        coalesce(held.units, 0) as holdout_units,
        coalesce(held.pairs, 0) as holdout_pairs,
        coalesce(held.reward, 0) as holdout_reward,
        held.rate as holdout_rate,
        -- Over what is not above zero there is no lift; weighted rewards that cancel are zero but for rounding.
        case when held.rate > 1e-12 then {{ ratio('treated.rate', 'held.rate') }} end as rate_ratio,
        treated.rate - held.rate as difference,
        treated.rate_variance + held.rate_variance as difference_variance,
        case when treated.rate > 1e-12 then treated.log_rate_variance + held.log_rate_variance end as log_ratio_variance,
        turn_loops.simulated
    from {{ ref('int_turn_loops') }} as turn_loops
    left join {{ ref('int_holdout_sides') }} as treated
        on turn_loops.turn_loop_key = treated.turn_loop_key and not treated.in_holdout
    left join {{ ref('int_holdout_sides') }} as held
        on turn_loops.turn_loop_key = held.turn_loop_key and held.in_holdout
    left join {{ ref('stg_champions') }} as champions
        on turn_loops.turn = champions.turn and turn_loops.loop = champions.loop
)

select
    turn,
    loop,
    policy_version,
    treated_units,
    treated_pairs,
    treated_reward,
    {{ repeatable('treated_rate') }} as treated_rate,
    holdout_units,
    holdout_pairs,
    holdout_reward,
    {{ repeatable('holdout_rate') }} as holdout_rate,
    {{ repeatable('difference') }} as difference,
    {{ repeatable('difference - ' ~ z95() ~ ' * sqrt(difference_variance)') }} as difference_low,
    {{ repeatable('difference + ' ~ z95() ~ ' * sqrt(difference_variance)') }} as difference_high,
    {{ repeatable('rate_ratio - 1') }} as lift,
    {{ repeatable('rate_ratio * ' ~ exponential('-' ~ z95() ~ ' * sqrt(log_ratio_variance)') ~ ' - 1') }} as lift_low,
    {{ repeatable('rate_ratio * ' ~ exponential(z95() ~ ' * sqrt(log_ratio_variance)') ~ ' - 1') }} as lift_high,
    case
        when treated_pairs = 0 then 'no units outside the holdout'
        when holdout_pairs = 0 then 'no units in the holdout'
        when treated_rate is null then 'no stratum was met by both sides'
        when holdout_rate < -1e-12 then 'a negative mean reward in the holdout: see the difference'
        when rate_ratio is null then 'no reward in the holdout'
        when treated_rate < -1e-12 then 'a negative mean reward outside the holdout: a lift, but no interval'
        when treated_rate <= 1e-12 then 'no reward outside the holdout: a lift, but no interval'
        when log_ratio_variance is null then 'a single unit on one side: a lift, but no interval'
    end as no_lift_reason,
    simulated
from compared
