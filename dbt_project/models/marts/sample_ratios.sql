with readouts as (
    select
        readouts.*,
        sum(units) over (partition by turn, loop, subject_id) as all_units,
        sum(share) over (partition by turn, loop, subject_id) as all_shares
    from {{ ref('variant_readouts') }} as readouts
    where {{ in_scope() }}
),

expected as (
    select readouts.*, {{ ratio('all_units * share', 'all_shares') }} as expected_units
    from readouts
)

select
    turn,
    loop,
    subject_id,
    cast(sum(case when share > 0 then 1 else 0 end) as bigint) as variants,
    cast(sum(units) as bigint) as units,
    cast(sum(case when share > 0 then 0 else units end) as bigint) as unexpected_units,
    min(case when share > 0 then expected_units end) as least_expected_units,
    case
        when sum(case when share > 0 then 1 else 0 end) > 1
            then {{ repeatable(
                'sum(case when share > 0 then power(units - expected_units, 2) / nullif(expected_units, 0) end)'
            ) }}
    end as chi_square,
    cast(sum(case when share > 0 then 1 else 0 end) - 1 as bigint) as degrees_of_freedom,
    {{ dbt.bool_or('simulated') }} as simulated
from expected
group by turn, loop, subject_id
