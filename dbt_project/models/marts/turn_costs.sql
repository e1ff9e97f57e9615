with calls as (
    select
        turn,
        loop,
        count(*) as calls,
        sum(case when cache_hit then 1 else 0 end) as cache_hits,
        sum(case when status = 'ok' then 0 else 1 end) as failed_calls,
        sum(input_tokens) as input_tokens,
        sum(output_tokens) as output_tokens,
        {{ exact_sum('cost_usd') }} as cost_usd,
        {{ exact_sum('latency_s') }} as seconds
    from {{ ref('stg_llm_calls') }}
    where {{ in_scope() }}
    group by turn, loop
),

released as (
    select turn, loop, sum(case when is_control then 0 else 1 end) as released_variants
    from {{ ref('stg_releases') }}
    where {{ in_scope() }}
    group by turn, loop
),

turns as (
    select turn, loop from calls
    union
    select turn, loop from released
)

select
    turns.turn,
    turns.loop,
    cast(coalesce(calls.calls, 0) as bigint) as calls,
    cast(coalesce(calls.cache_hits, 0) as bigint) as cache_hits,
    cast(coalesce(calls.failed_calls, 0) as bigint) as failed_calls,
    cast(coalesce(calls.input_tokens, 0) as bigint) as input_tokens,
    cast(coalesce(calls.output_tokens, 0) as bigint) as output_tokens,
    coalesce(calls.cost_usd, 0) as cost_usd,
    coalesce(calls.seconds, 0) as seconds,
    cast(coalesce(released.released_variants, 0) as bigint) as released_variants,
    {{ ratio('coalesce(calls.cost_usd, 0)', 'released.released_variants') }} as cost_per_released_variant
from turns
left join calls on turns.turn = calls.turn and turns.loop = calls.loop
left join released on turns.turn = released.turn and turns.loop = released.loop
