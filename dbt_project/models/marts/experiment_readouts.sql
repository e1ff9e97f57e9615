-- Arms within a stratum: a subject's variants, or a pool's options with its holdout as their control.
with arms as (
    select
        turn,
        loop,
        stratum,
        false as is_pool,
        subject_id,
        category,
        variant_id as arm,
        variant_id,
        recipe_id,
        is_control,
        units,
        excluded_units,
        reward,
        reward_squares,
        rate,
        simulated
    from {{ ref('variant_readouts') }}
    where {{ in_scope() }}

    union all

    select
        turn,
        loop,
        stratum,
        true as is_pool,
        cast(null as varchar) as subject_id,
        case when min(category) = max(category) then min(category) end as category,
        case when not in_holdout then option end as arm,
        cast(null as varchar) as variant_id,
        cast(null as varchar) as recipe_id,
        in_holdout as is_control,
        sum(units) as units,
        sum(case when exposures > 0 and units = 0 then 1 else 0 end) as excluded_units,
        {{ exact_sum('reward') }} as reward,
        {{ exact_sum('reward * reward') }} as reward_squares,
        {{ ratio(exact_sum('reward'), 'sum(units)') }} as rate,
        {{ dbt.bool_or('simulated') }} as simulated
    from {{ ref('decision_readouts') }}
    where {{ in_scope() }}
    group by turn, loop, stratum, in_holdout, case when not in_holdout then option end
),

controls as (
    select * from arms where is_control
),

ranked as (
    select
        arms.*,
        row_number() over (partition by turn, loop, stratum, is_pool order by rate desc, units desc, arm) as place
    from arms
    where not is_control and units > 0
),

best as (
    select * from ranked where place = 1
),

strata as (
    select
        turn,
        loop,
        stratum,
        is_pool,
        min(subject_id) as subject_id,
        case when min(category) = max(category) then min(category) end as category,
        sum(case when is_control then 0 else 1 end) as variants,
        sum(units) as units,
        sum(excluded_units) as excluded_units,
        {{ dbt.bool_or('simulated') }} as simulated
    from arms
    group by turn, loop, stratum, is_pool
),

compared as (
    select
        strata.turn,
        strata.loop,
        strata.stratum,
        strata.subject_id,
        strata.category,
        strata.variants,
        strata.units,
        strata.excluded_units,
        coalesce(controls.units, 0) as control_units,
        coalesce(controls.reward, 0) as control_reward,
        controls.rate as control_rate,
        best.arm as best_arm,
        best.variant_id as best_variant_id,
        best.recipe_id as best_recipe_id,
        best.units as best_units,
        best.reward as best_reward,
        best.rate as best_rate,
        case when controls.rate > 0 then {{ ratio('best.rate', 'controls.rate') }} end as rate_ratio,
        case
            when best.rate > 0
                then {{ log_mean_variance('controls.reward', 'controls.reward_squares', 'controls.units') }}
                    + {{ log_mean_variance('best.reward', 'best.reward_squares', 'best.units') }}
        end as log_ratio_variance,
        strata.simulated
    from strata
    left join controls
        on strata.turn = controls.turn
        and strata.loop = controls.loop
        and strata.stratum = controls.stratum
        and strata.is_pool = controls.is_pool
    left join best
        on strata.turn = best.turn
        and strata.loop = best.loop
        and strata.stratum = best.stratum
        and strata.is_pool = best.is_pool
)

select
    turn,
    loop,
    stratum,
    subject_id,
    category,
    cast(variants as bigint) as variants,
    cast(units as bigint) as units,
    cast(excluded_units as bigint) as excluded_units,
    cast(control_units as bigint) as control_units,
    control_reward,
    control_rate,
    best_arm,
    best_variant_id,
    best_recipe_id,
    cast(best_units as bigint) as best_units,
    best_reward,
    best_rate,
    rate_ratio - 1 as lift,
    rate_ratio * {{ exponential('-' ~ z95() ~ ' * sqrt(log_ratio_variance)') }} - 1 as lift_low,
    rate_ratio * {{ exponential(z95() ~ ' * sqrt(log_ratio_variance)') }} - 1 as lift_high,
    case
        when variants = 0 then 'no variant competes with the control'
        when best_units is null then 'no unit met a variant'
        when control_units = 0 then 'no unit met the control'
        when control_rate < 0 then 'a negative mean reward for the control'
        when control_rate = 0 then 'no reward for the control'
        when best_rate < 0 then 'a negative mean reward for every variant: a lift, but no interval'
        when best_rate = 0 then 'no reward for any variant: a lift, but no interval'
    end as no_lift_reason,
    simulated
from compared
