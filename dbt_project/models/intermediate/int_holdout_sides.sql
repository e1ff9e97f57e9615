with sides as (
    select
        released.turn_loop_key,
        released.stratum_key,
        segments.in_holdout,
        sum(segments.units) as units
    from {{ ref('int_variant_segments') }} as segments
    inner join {{ ref('int_released_variants') }} as released on segments.variant_key = released.variant_key
    group by released.turn_loop_key, released.stratum_key, segments.in_holdout
),

rewards as (
    select released.stratum_key, outcomes.in_holdout, {{ exact_sum('outcomes.reward') }} as reward
    from {{ ref('int_variant_segment_outcomes') }} as outcomes
    inner join {{ ref('int_released_variants') }} as released on outcomes.variant_key = released.variant_key
    group by released.stratum_key, outcomes.in_holdout
),

-- Mantel-Haenszel weight of a stratum: n_treated * n_holdout / n; zero unless both sides met it.
weighted as (
    select
        sides.turn_loop_key,
        sides.stratum_key,
        sides.in_holdout,
        sides.units,
        coalesce(rewards.reward, 0) as reward,
        coalesce({{ ratio('rewards.reward', 'sides.units') }}, 0) as rate,
        coalesce({{ ratio(
            'sides.units * (sum(sides.units) over (partition by sides.stratum_key) - sides.units)',
            'sum(sides.units) over (partition by sides.stratum_key)'
        ) }}, 0) as weight
    from sides
    left join rewards on sides.stratum_key = rewards.stratum_key and sides.in_holdout = rewards.in_holdout
),

-- What a unit's reward moves its side's weighted sum of rates by, and what it is counted from. A rate is estimated from
-- the same units, so that deviations from it are too small by (n - 1) / n; a stratum with a single unit on a side shows
-- no spread of its own, and is counted from the side's rate instead.
centred as (
    select
        *,
        coalesce({{ ratio('weight', 'units') }}, 0) * case when units > 1 then sqrt({{ ratio('units', 'units - 1') }}) else 1 end
            as influence,
        case
            when units > 1 then rate
            else coalesce({{ ratio(
                'sum(weight * rate) over (partition by turn_loop_key, in_holdout)',
                'sum(weight) over (partition by turn_loop_key, in_holdout)'
            ) }}, 0)
        end as centre
    from weighted
),

-- The same, said of each release, so that millions of exposures are joined by one key.
released as (
    select
        releases.release_key,
        centred.turn_loop_key,
        centred.in_holdout,
        centred.influence,
        centred.centre
    from (select distinct release_key, stratum_key from {{ ref('int_released_variants') }}) as releases
    inner join centred on releases.stratum_key = centred.stratum_key
),

-- What each unit moves its side's weighted sum of rates by: influence * (reward - centre), over all strata it is in.
deviations as (
    select
        released.turn_loop_key,
        exposures.in_holdout,
        exposures.unit_key,
        case
            when exposures.met_two_variants or exposures.treated_in_holdout or loud.unit_key is not null then 0
            else -released.influence * released.centre
        end as deviation,
        not (exposures.met_two_variants or exposures.treated_in_holdout or loud.unit_key is not null) as counts,
        exposures.treated_in_holdout
    from {{ ref('int_first_exposures') }} as exposures
    inner join released
        on exposures.release_key = released.release_key and exposures.in_holdout = released.in_holdout
    left join {{ ref('int_loud_pairs') }} as loud
        on exposures.release_key = loud.release_key and exposures.unit_key = loud.unit_key

    union all

    select
        released.turn_loop_key,
        outcomes.in_holdout,
        outcomes.unit_key,
        released.influence * outcomes.reward as deviation,
        false as counts,
        false as treated_in_holdout
    from {{ ref('int_attributed_outcomes') }} as outcomes
    inner join released
        on outcomes.release_key = released.release_key and outcomes.in_holdout = released.in_holdout
    left join {{ ref('int_loud_pairs') }} as loud
        on outcomes.release_key = loud.release_key and outcomes.unit_key = loud.unit_key
    where outcomes.reward is not null and not outcomes.is_excluded and loud.unit_key is null
),

units as (
    select
        turn_loop_key,
        in_holdout,
        unit_key,
        sum(deviation) as deviation,
        {{ dbt.bool_or('counts') }} as counts,
        {{ dbt.bool_or('treated_in_holdout') }} as treated_in_holdout
    from deviations
    group by turn_loop_key, in_holdout, unit_key
),

clustered as (
    select
        turn_loop_key,
        in_holdout,
        count(*) as units_met,
        sum(case when counts then 1 else 0 end) as units,
        sum(case when treated_in_holdout then 1 else 0 end) as treated_units,
        sum(deviation * deviation) as squared_deviations
    from units
    group by turn_loop_key, in_holdout
),

totals as (
    select
        turn_loop_key,
        in_holdout,
        sum(units) as pairs,
        {{ exact_sum('reward') }} as reward,
        sum(weight) as weight,
        sum(weight * rate) as weighted_rate
    from weighted
    group by turn_loop_key, in_holdout
)

select
    clustered.turn_loop_key,
    clustered.in_holdout,
    cast(clustered.units_met as bigint) as units_met,
    cast(clustered.units as bigint) as units,
    cast(clustered.treated_units as bigint) as treated_units,
    cast(totals.pairs as bigint) as pairs,
    totals.reward,
    totals.weight,
    {{ ratio('totals.weighted_rate', 'totals.weight') }} as rate,
    -- Variances of the rate and of its logarithm; a single unit shows none.
    case
        when clustered.units > 1
            then {{ repeatable(ratio('clustered.squared_deviations', 'power(totals.weight, 2)'), 15) }}
    end as rate_variance,
    case
        when clustered.units > 1
            then {{ repeatable(ratio('clustered.squared_deviations', 'power(totals.weighted_rate, 2)'), 15) }}
    end as log_rate_variance
from clustered
inner join totals
    on clustered.turn_loop_key = totals.turn_loop_key and clustered.in_holdout = totals.in_holdout
