with readouts as (
    select * from {{ ref('variant_readouts') }} where {{ in_scope() }}
),

controls as (
    select * from readouts where is_control
),

ranked as (
    select
        readouts.*,
        row_number() over (partition by turn, loop, subject_id order by rate desc, units desc, variant_id) as place
    from readouts
    where not is_control and units > 0
),

best as (
    select * from ranked where place = 1
),

released as (
    select
        turn,
        loop,
        subject_id,
        sum(case when is_control then 0 else 1 end) as variants,
        sum(units) as units,
        sum(excluded_units) as excluded_units
    from readouts
    group by turn, loop, subject_id
),

compared as (
    select
        released.turn,
        released.loop,
        released.subject_id,
        controls.category,
        released.variants,
        released.units,
        released.excluded_units,
        controls.units as control_units,
        controls.reward as control_reward,
        controls.rate as control_rate,
        best.variant_id as best_variant_id,
        best.recipe_id as best_recipe_id,
        best.units as best_units,
        best.reward as best_reward,
        best.rate as best_rate,
        {{ ratio('best.rate', 'controls.rate') }} as rate_ratio,
        {{ log_mean_variance('controls.reward', 'controls.reward_squares', 'controls.units') }}
            + {{ log_mean_variance('best.reward', 'best.reward_squares', 'best.units') }} as log_ratio_variance,
        controls.simulated
    from released
    inner join controls
        on released.turn = controls.turn and released.loop = controls.loop and released.subject_id = controls.subject_id
    left join best
        on released.turn = best.turn and released.loop = best.loop and released.subject_id = best.subject_id
)

select
    turn,
    loop,
    subject_id,
    category,
    cast(variants as bigint) as variants,
    cast(units as bigint) as units,
    cast(excluded_units as bigint) as excluded_units,
    control_units,
    control_reward,
    control_rate,
    best_variant_id,
    best_recipe_id,
    best_units,
    best_reward,
    best_rate,
    rate_ratio - 1 as lift,
    rate_ratio * exp(-{{ z95() }} * sqrt(log_ratio_variance)) - 1 as lift_low,
    rate_ratio * exp({{ z95() }} * sqrt(log_ratio_variance)) - 1 as lift_high,
    case
        when variants = 0 then 'no variant competes with the control'
        when best_units is null then 'no unit met a variant'
        when control_units = 0 then 'no unit met the control'
        when control_reward = 0 then 'no reward for the control'
        when best_reward = 0 then 'no reward for any variant: a lift, but no interval'
    end as no_lift_reason,
    simulated
from compared
