-- Outcomes lie in the turn of the exposure or in later ones, as far as the longest window reaches.
with outcomes as (
    select
        releases.release_key,
        {{ unit_key('outcomes.unit_id') }} as unit_key,
        outcomes.outcome,
        outcomes.outcome_id,
        outcomes.occurred_at,
        outcomes.value,
        outcomes.simulated,
        definitions.within_s,
        definitions.is_reward,
        definitions.has_value
    from {{ ref('stg_outcomes') }} as outcomes
    inner join {{ ref('stg_outcome_definitions') }} as definitions
        on outcomes.loop = definitions.loop and outcomes.outcome = definitions.outcome
    inner join (
        select distinct turn, loop, subject_id, release_key from {{ ref('int_released_variants') }}
    ) as releases
        on outcomes.loop = releases.loop
        and outcomes.subject_id = releases.subject_id
        and outcomes.turn >= releases.turn
    where outcomes.turn >= (select min(turn) from {{ ref('int_released_variants') }})
        and outcomes.turn <= (
            select {{ dbt.dateadd('second', '(select max(within_s) from ' ~ ref('stg_outcome_definitions') ~ ')', 'max(first_exposed_at)') }}
            from {{ ref('int_first_exposures') }}
        )
),

-- An event that was sent twice with one identity counts once, also when the copies lie in two turns.
attributed as (
    select
        exposures.release_key,
        exposures.unit_key,
        exposures.variant_key,
        exposures.segment,
        exposures.in_holdout,
        exposures.met_two_variants or exposures.treated_in_holdout as is_excluded,
        outcomes.outcome,
        outcomes.outcome_id,
        min(outcomes.value) as value,
        {{ dbt.bool_or('outcomes.is_reward') }} as is_reward,
        {{ dbt.bool_or('outcomes.has_value') }} as has_value,
        {{ dbt.bool_or('outcomes.simulated') }} as simulated
    from {{ ref('int_first_exposures') }} as exposures
    inner join outcomes
        on exposures.release_key = outcomes.release_key
        and exposures.unit_key = outcomes.unit_key
        and outcomes.occurred_at >= exposures.first_exposed_at
        and outcomes.occurred_at <= {{ dbt.dateadd('second', 'outcomes.within_s', 'exposures.first_exposed_at') }}
    group by
        exposures.release_key,
        exposures.unit_key,
        exposures.variant_key,
        exposures.segment,
        exposures.in_holdout,
        exposures.met_two_variants or exposures.treated_in_holdout,
        outcomes.outcome,
        outcomes.outcome_id
)

select
    release_key,
    unit_key,
    variant_key,
    segment,
    in_holdout,
    is_excluded,
    outcome,
    count(*) as events,
    {{ exact_sum('value') }} as value,
    case
        when not {{ dbt.bool_or('is_reward') }} then null
        when {{ dbt.bool_or('has_value') }} then coalesce({{ exact_sum('value') }}, 0)
        else 1.0
    end as reward,
    {{ dbt.bool_or('simulated') }} as simulated
from attributed
group by release_key, unit_key, variant_key, segment, in_holdout, is_excluded, outcome
