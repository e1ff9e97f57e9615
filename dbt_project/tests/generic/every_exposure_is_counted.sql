{# Exposures in the KPIs of a turn and loop are those that are stored and not left out, none lost and none twice, for every outcome. #}
{% test every_exposure_is_counted(model) %}
with stored as (
    select turn, loop, count(*) as exposures
    from {{ ref('stg_exposures') }}
    where {{ in_scope() }} and left_out is null
    group by turn, loop
),

counted as (
    select turn, loop, outcome, sum(exposures) as exposures
    from {{ model }}
    where {{ in_scope() }}
    group by turn, loop, outcome
)

select turn, loop, counted.outcome, stored.exposures as stored, counted.exposures as counted
from stored
full outer join counted using (turn, loop)
where coalesce(stored.exposures, 0) <> coalesce(counted.exposures, 0)
{% endtest %}
