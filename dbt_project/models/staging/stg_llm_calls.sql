select
    turn,
    loop,
    call_id,
    brief_id,
    prompt_name,
    prompt_version,
    model,
    status,
    coalesce(input_tokens, 0) as input_tokens,
    coalesce(output_tokens, 0) as output_tokens,
    coalesce(cost_usd, 0) as cost_usd,
    coalesce(latency_s, 0) as latency_s,
    coalesce(cache_hit, false) as cache_hit
from {{ source('flywheel', 'llm_calls') }}
