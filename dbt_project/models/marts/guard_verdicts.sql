select
    verdicts.turn,
    verdicts.loop,
    candidates.recipe_id,
    verdicts.guard,
    count(*) as judged,
    cast(sum(case when verdicts.decision = 'pass' then 1 else 0 end) as bigint) as passed,
    cast(sum(case when verdicts.decision = 'flag' then 1 else 0 end) as bigint) as flagged,
    cast(sum(case when verdicts.decision = 'block' then 1 else 0 end) as bigint) as blocked
from {{ ref('stg_verdicts') }} as verdicts
inner join {{ ref('stg_candidates') }} as candidates
    on verdicts.turn = candidates.turn
    and verdicts.loop = candidates.loop
    and verdicts.candidate_id = candidates.candidate_id
where {{ in_scope('verdicts.turn') }}
group by verdicts.turn, verdicts.loop, candidates.recipe_id, verdicts.guard
