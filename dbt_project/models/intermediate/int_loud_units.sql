{# What is counted of a unit, the number that people reach, and how many times what 99 of 100 do is too far. #}
{% set measures = {
    'exposures': {'relation': 'met', 'column': 'exposures', 'people': 1000, 'times': 10},
    'subjects met': {'relation': 'met', 'column': 'subjects', 'people': 50, 'times': 10},
    'outcomes of a kind': {'relation': 'responded', 'column': 'outcomes', 'people': 100, 'times': 10},
    'subjects with an outcome': {'relation': 'responded', 'column': 'subjects', 'people': 8, 'times': 4},
} %}

-- What a unit did in the turn, by four measures. One that goes far beyond what 99 of 100 units do, and beyond a number that
-- people reach, is no person: it counts nowhere, whatever it met. The bounds are those of all units together, so that they
-- know nothing of variants or of the holdout.
with releases as (
    select distinct release_key, turn_loop_key from {{ ref('int_released_variants') }}
),

met as (
    select
        releases.turn_loop_key,
        exposures.unit_key,
        sum(exposures.exposures) as exposures,
        count(*) as subjects
    from {{ ref('int_first_exposures') }} as exposures
    inner join releases on exposures.release_key = releases.release_key
    group by releases.turn_loop_key, exposures.unit_key
),

responded as (
    select turn_loop_key, unit_key, max(outcomes) as outcomes, max(subjects) as subjects
    from (
        select
            releases.turn_loop_key,
            attributed.unit_key,
            attributed.outcome,
            sum(attributed.events) as outcomes,
            count(*) as subjects
        from {{ ref('int_attributed_outcomes') }} as attributed
        inner join releases on attributed.release_key = releases.release_key
        group by releases.turn_loop_key, attributed.unit_key, attributed.outcome
    ) as by_outcome
    group by turn_loop_key, unit_key
),

how_many as (
    {% for measure, of in measures.items() -%}
    select turn_loop_key, '{{ measure }}' as measure, {{ of.column }} as number, count(*) as units
    from {{ of.relation }} group by turn_loop_key, {{ of.column }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

ranked as (
    select
        turn_loop_key,
        measure,
        number,
        sum(units) over (partition by turn_loop_key, measure order by number) as up_to,
        sum(units) over (partition by turn_loop_key, measure) as all_units
    from how_many
),

-- Of fewer than a hundred units the loudest one says nothing about what is usual.
bounds as (
    select
        turn_loop_key,
        measure,
        case measure
            {% for measure, of in measures.items() -%}
            when '{{ measure }}' then greatest({{ of.people }}, {{ of.times }} * min(number))
            {% endfor %}
        end as bound
    from ranked
    where up_to >= least(ceil(0.99 * all_units), all_units - 1)
    group by turn_loop_key, measure
),

numbers as (
    {% for measure, of in measures.items() -%}
    select turn_loop_key, unit_key, '{{ measure }}' as measure, {{ of.column }} as number
    from {{ of.relation }} where {{ of.column }} > {{ of.people }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
)

select
    numbers.turn_loop_key,
    numbers.unit_key,
    numbers.measure,
    cast(numbers.number as double precision) as number,
    cast(bounds.bound as double precision) as bound
from numbers
inner join bounds
    on numbers.turn_loop_key = bounds.turn_loop_key
    and numbers.measure = bounds.measure
    and numbers.number > bounds.bound

union all

-- An amount far beyond those that are cut already is a mistake, or a test of somebody's.
select
    releases.turn_loop_key,
    attributed.unit_key,
    attributed.outcome || ' amount' as measure,
    max(attributed.value) as number,
    {{ absurd_amount('min(attributed.cut_to)') }} as bound
from {{ ref('int_attributed_outcomes') }} as attributed
inner join releases on attributed.release_key = releases.release_key
where attributed.cut_to is not null and attributed.value > {{ absurd_amount('attributed.cut_to') }}
group by releases.turn_loop_key, attributed.unit_key, attributed.outcome
