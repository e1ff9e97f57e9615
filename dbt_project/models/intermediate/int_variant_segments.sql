with exposures as (
    select
        exposures.*,
        exposures.met_two_variants or exposures.treated_in_holdout or loud.unit_key is not null as is_excluded
    from {{ ref('int_first_exposures') }} as exposures
    left join {{ ref('int_loud_pairs') }} as loud
        on exposures.release_key = loud.release_key and exposures.unit_key = loud.unit_key
)

select
    variant_key,
    segment,
    in_holdout,
    cast(sum(exposures) as bigint) as exposures,
    sum(case when is_excluded then 0 else 1 end) as units,
    sum(case when is_excluded then 1 else 0 end) as excluded_units,
    {{ dbt.bool_or('simulated') }} as simulated
from exposures
group by variant_key, segment, in_holdout
