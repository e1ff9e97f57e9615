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
        definitions.weight,
        definitions.is_reward,
        definitions.has_value,
        definitions.is_part_of_reward,
        definitions.cut_at,
        releases.turn_loop_key
    from {{ ref('stg_outcomes') }} as outcomes
    inner join {{ ref('stg_outcome_definitions') }} as definitions
        on outcomes.loop = definitions.loop and outcomes.outcome = definitions.outcome
    inner join (
        select distinct turn, loop, subject_id, release_id, release_key, turn_loop_key from {{ ref('int_released_variants') }}
    ) as releases
        on outcomes.loop = releases.loop
        and outcomes.subject_id = releases.subject_id
        and outcomes.turn >= releases.turn
        -- Which release it follows, an application may say; where it says none, the exposures of its unit do.
        and (outcomes.release_id is null or outcomes.release_id = releases.release_id)
    where outcomes.decision_id is null and outcomes.left_out is null
        and outcomes.turn >= (select min(turn) from {{ ref('int_released_variants') }})
        and outcomes.turn <= (
            select {{ dbt.dateadd('second', '(select max(within_s) from ' ~ ref('stg_outcome_definitions') ~ ')', 'max(first_exposed_at)') }}
            from {{ ref('int_first_exposures') }}
        )
),

-- A result is of its decision, whenever it was recorded: making an answer costs before anybody meets it.
results as (
    select
        released.release_key,
        outcomes.outcome,
        outcomes.outcome_id,
        outcomes.value,
        outcomes.simulated,
        definitions.weight,
        definitions.is_reward,
        definitions.has_value,
        definitions.is_part_of_reward
    from {{ ref('stg_outcomes') }} as outcomes
    inner join {{ ref('stg_outcome_definitions') }} as definitions
        on outcomes.loop = definitions.loop and outcomes.outcome = definitions.outcome
    inner join {{ ref('int_released_variants') }} as released
        on outcomes.turn = released.turn
        and outcomes.loop = released.loop
        and outcomes.decision_id = released.decision_id
    where outcomes.decision_id is not null
),

-- It counts once, also where several units met what was decided.
result_units as (
    select exposures.release_key, min(exposures.unit_key) as unit_key
    from {{ ref('int_first_exposures') }} as exposures
    inner join (select distinct release_key from results) as released
        on exposures.release_key = released.release_key
    group by exposures.release_key
),

matched as (
    select
        exposures.release_key,
        exposures.unit_key,
        exposures.variant_key,
        exposures.segment,
        exposures.in_holdout,
        exposures.met_two_variants or exposures.treated_in_holdout as is_excluded,
        outcomes.outcome,
        outcomes.outcome_id,
        outcomes.value,
        outcomes.weight,
        outcomes.is_reward,
        outcomes.has_value,
        outcomes.is_part_of_reward,
        outcomes.cut_at,
        outcomes.turn_loop_key,
        outcomes.simulated
    from {{ ref('int_first_exposures') }} as exposures
    inner join outcomes
        on exposures.release_key = outcomes.release_key
        and exposures.unit_key = outcomes.unit_key
        and outcomes.occurred_at >= exposures.first_exposed_at
        and outcomes.occurred_at <= {{ dbt.dateadd('second', 'outcomes.within_s', 'exposures.first_exposed_at') }}

    union all

    select
        exposures.release_key,
        exposures.unit_key,
        exposures.variant_key,
        exposures.segment,
        exposures.in_holdout,
        exposures.met_two_variants or exposures.treated_in_holdout as is_excluded,
        results.outcome,
        results.outcome_id,
        results.value,
        results.weight,
        results.is_reward,
        results.has_value,
        results.is_part_of_reward,
        cast(null as double precision) as cut_at,  -- what was measured by a trial is no audience's
        cast(null as integer) as turn_loop_key,
        results.simulated
    from results
    inner join result_units on results.release_key = result_units.release_key
    inner join {{ ref('int_first_exposures') }} as exposures
        on result_units.release_key = exposures.release_key and result_units.unit_key = exposures.unit_key
),

-- An event that was sent twice with one identity counts once, also when the copies lie in two turns.
attributed as (
    select
        release_key,
        unit_key,
        variant_key,
        segment,
        in_holdout,
        is_excluded,
        outcome,
        outcome_id,
        min(value) as value,
        min(weight) as weight,
        min(cut_at) as cut_at,
        min(turn_loop_key) as turn_loop_key,
        {{ dbt.bool_or('is_reward') }} as is_reward,
        {{ dbt.bool_or('has_value') }} as has_value,
        {{ dbt.bool_or('is_part_of_reward') }} as is_part_of_reward,
        {{ dbt.bool_or('simulated') }} as simulated
    from matched
    group by release_key, unit_key, variant_key, segment, in_holdout, is_excluded, outcome, outcome_id
),

summed as (
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
        min(weight) as weight,
        min(cut_at) as cut_at,
        min(turn_loop_key) as turn_loop_key,
        {{ dbt.bool_or('is_reward') }} as is_reward,
        {{ dbt.bool_or('has_value') }} as has_value,
        {{ dbt.bool_or('is_part_of_reward') }} as is_part_of_reward,
        {{ dbt.bool_or('simulated') }} as simulated
    from attributed
    group by release_key, unit_key, variant_key, segment, in_holdout, is_excluded, outcome
),

-- Amounts are cut at a percentile of the units' largest ones, and of fewer than a hundred units at the second largest:
-- one unit must not decide a turn. Too few have no percentile, and prove nothing.
largest as (
    select
        summed.*,
        max(value) over (partition by turn_loop_key, outcome, unit_key) as of_unit,
        case
            when row_number() over (
                partition by turn_loop_key, outcome, unit_key order by value desc, release_key
            ) = 1 then 1
            else 0
        end as is_largest
    from summed
),

ranked as (
    select
        largest.*,
        sum(is_largest) over (partition by turn_loop_key, outcome order by of_unit) as up_to,
        sum(is_largest) over (partition by turn_loop_key, outcome) as all_units
    from largest
),

cut as (
    select
        ranked.*,
        case
            when cut_at < 1 and all_units >= 20
                then min(
                    case when up_to >= least(ceil(cut_at * all_units), all_units - 1) then of_unit end
                ) over (partition by turn_loop_key, outcome)
        end as most
    from ranked
)

select
    release_key,
    unit_key,
    variant_key,
    segment,
    in_holdout,
    is_excluded,
    outcome,
    events,
    value,
    case
        when not is_reward then null
        when has_value then weight * coalesce(case when value > most then most else value end, 0)
        else weight
    end as reward,
    case when has_value and value > most then most end as cut_to,
    is_part_of_reward,
    simulated
from cut
