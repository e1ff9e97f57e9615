-- Where an answer came late, its unit counts from then on, and no longer from what it got instead: one window, as long
-- as everybody's. Of a release, an exposure says by its variant what was met; of a decision, by the decision itself.
with met as (
    select
        released.release_key,
        released.variant_key,
        released.is_control,
        exposures.unit_id,
        exposures.segment,
        exposures.in_holdout,
        exposures.exposed_at,
        coalesce(exposures.late, false) as late,
        exposures.simulated
    from {{ ref('stg_exposures') }} as exposures
    inner join {{ ref('int_released_variants') }} as released
        on exposures.turn = released.turn
        and exposures.loop = released.loop
        and exposures.subject_id = released.subject_id
        and exposures.variant_id = released.variant_id
    where {{ in_scope('exposures.turn') }} and released.decision_id is null and exposures.left_out is null

    union all

    select
        decided.release_key,
        decided.variant_key,
        decided.is_control,
        exposures.unit_id,
        exposures.segment,
        exposures.in_holdout,
        exposures.exposed_at,
        coalesce(exposures.late, false) as late,
        exposures.simulated
    from {{ ref('stg_exposures') }} as exposures
    inner join {{ ref('int_released_variants') }} as decided
        on exposures.turn = decided.turn
        and exposures.loop = decided.loop
        and exposures.release_id = decided.decision_id
    where {{ in_scope('exposures.turn') }} and decided.decision_id is not null and exposures.left_out is null
)

select
    release_key,
    {{ unit_key('unit_id') }} as unit_key,
    min(variant_key) as variant_key,
    min(segment) as segment,
    {{ dbt.bool_or('in_holdout') }} as in_holdout,
    min(variant_key) <> max(variant_key) as met_two_variants,
    {{ dbt.bool_or('in_holdout and not is_control') }} as treated_in_holdout,
    coalesce(min(case when late then exposed_at end), min(exposed_at)) as first_exposed_at,
    cast(count(*) as integer) as exposures,
    {{ dbt.bool_or('simulated') }} as simulated
from met
group by release_key, {{ unit_key('unit_id') }}
