select
    released.release_key,
    {{ unit_key('exposures.unit_id') }} as unit_key,
    min(released.variant_key) as variant_key,
    min(exposures.segment) as segment,
    {{ dbt.bool_or('exposures.in_holdout') }} as in_holdout,
    min(released.variant_key) <> max(released.variant_key) as met_two_variants,
    {{ dbt.bool_or('exposures.in_holdout and not released.is_control') }} as treated_in_holdout,
    min(exposures.exposed_at) as first_exposed_at,
    cast(count(*) as integer) as exposures,
    {{ dbt.bool_or('exposures.simulated') }} as simulated
from {{ ref('stg_exposures') }} as exposures
inner join {{ ref('int_released_variants') }} as released
    on exposures.turn = released.turn
    and exposures.loop = released.loop
    and exposures.subject_id = released.subject_id
    and exposures.variant_id = released.variant_id
where {{ in_scope('exposures.turn') }}
group by released.release_key, {{ unit_key('exposures.unit_id') }}
