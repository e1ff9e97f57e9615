select
    variant_key,
    segment,
    in_holdout,
    cast(sum(exposures) as bigint) as exposures,
    sum(case when met_two_variants or treated_in_holdout then 0 else 1 end) as units,
    sum(case when met_two_variants or treated_in_holdout then 1 else 0 end) as excluded_units,
    {{ dbt.bool_or('simulated') }} as simulated
from {{ ref('int_first_exposures') }}
group by variant_key, segment, in_holdout
