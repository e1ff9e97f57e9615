select distinct exposures.release_key, exposures.unit_key
from (select distinct turn_loop_key, unit_key from {{ ref('int_loud_units') }}) as loud
inner join (select distinct release_key, turn_loop_key from {{ ref('int_released_variants') }}) as releases
    on loud.turn_loop_key = releases.turn_loop_key
inner join {{ ref('int_first_exposures') }} as exposures
    on releases.release_key = exposures.release_key and loud.unit_key = exposures.unit_key
