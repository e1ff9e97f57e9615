{{ config(materialized='view') }}

with released as (
    select distinct turn, loop, turn_loop_key, holdout from {{ ref('int_released_variants') }}
),

labels as (
    select released.turn_loop_key, segments.simulated
    from {{ ref('int_variant_segments') }} as segments
    inner join {{ ref('int_released_variants') }} as released on segments.variant_key = released.variant_key

    union all

    select released.turn_loop_key, outcomes.simulated
    from {{ ref('int_variant_segment_outcomes') }} as outcomes
    inner join {{ ref('int_released_variants') }} as released on outcomes.variant_key = released.variant_key
)

select
    released.turn,
    released.loop,
    released.turn_loop_key,
    max(released.holdout) as holdout,
    coalesce({{ dbt.bool_or('labels.simulated') }}, false) as simulated
from released
left join labels on released.turn_loop_key = labels.turn_loop_key
group by released.turn, released.loop, released.turn_loop_key
