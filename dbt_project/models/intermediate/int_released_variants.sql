with compared as (
    select
        turn,
        loop,
        cast(null as varchar) as decision_id,
        release_id,
        subject_id,
        category,
        stratum,
        variant_id,
        variant_id as arm,
        is_control,
        recipe_id,
        share,
        holdout
    from {{ ref('stg_releases') }}
    where {{ in_scope() }}

    union all

    select
        turn,
        loop,
        decision_id,
        decision_id as release_id,
        subject_id,
        category,
        stratum,
        variant_id,
        option as arm,
        is_control,
        recipe_id,
        cast(1 as double precision) as share,
        holdout
    from {{ ref('stg_decisions') }}
    where {{ in_scope() }}
),

-- A pool and a subject of one name are two strata, and a decision is a release of its own: '' comes before any of them.
named as (
    select compared.*, coalesce(decision_id, '') as decided, decision_id is not null as is_decision
    from compared
)

select
    turn,
    loop,
    decision_id,
    release_id,
    subject_id,
    category,
    stratum,
    variant_id,
    arm,
    is_control,
    recipe_id,
    share,
    holdout,
    cast(dense_rank() over (order by turn, loop) as integer) as turn_loop_key,
    cast(dense_rank() over (order by turn, loop, is_decision, stratum) as integer) as stratum_key,
    cast(dense_rank() over (order by turn, loop, subject_id, decided) as integer) as release_key,
    cast(
        row_number() over (order by turn, loop, subject_id, decided, is_control desc, variant_id) as integer
    ) as variant_key
from named
