with briefs as (
    select turn, loop, recipe_id, max(style) as style, max(language) as language, count(*) as briefs
    from {{ ref('stg_briefs') }}
    where {{ in_scope() }}
    group by turn, loop, recipe_id
),

worst as (
    select
        turn,
        loop,
        candidate_id,
        max(case decision when 'block' then 2 when 'flag' then 1 else 0 end) as severity
    from {{ ref('stg_verdicts') }}
    where {{ in_scope() }}
    group by turn, loop, candidate_id
),

candidates as (
    select
        candidates.turn,
        candidates.loop,
        candidates.recipe_id,
        count(*) as candidates,
        sum(case when candidates.is_ok then 1 else 0 end) as ok,
        sum(case when candidates.is_ok and worst.severity = 0 then 1 else 0 end) as passed,
        sum(case when candidates.is_ok and worst.severity = 1 then 1 else 0 end) as flagged,
        sum(case when candidates.is_ok and worst.severity = 2 then 1 else 0 end) as blocked
    from {{ ref('stg_candidates') }} as candidates
    left join worst
        on candidates.turn = worst.turn
        and candidates.loop = worst.loop
        and candidates.candidate_id = worst.candidate_id
    where {{ in_scope('candidates.turn') }}
    group by candidates.turn, candidates.loop, candidates.recipe_id
),

reviews as (
    select
        turn,
        loop,
        recipe_id,
        sum(case when decision = 'approve' then 1 else 0 end) as approved,
        sum(case when decision = 'edit' then 1 else 0 end) as edited,
        sum(case when decision = 'reject' then 1 else 0 end) as rejected,
        sum(case when decision = 'wait' then 1 else 0 end) as waiting
    from {{ ref('stg_reviews') }}
    where {{ in_scope() }}
    group by turn, loop, recipe_id
),

released as (
    select turn, loop, recipe_id, count(*) as released
    from {{ ref('stg_releases') }}
    where {{ in_scope() }} and recipe_id is not null
    group by turn, loop, recipe_id
),

recipes as (
    select turn, loop, recipe_id from briefs
    union
    select turn, loop, recipe_id from candidates
    union
    select turn, loop, recipe_id from reviews
    union
    select turn, loop, recipe_id from released
),

-- A recipe that only shows in what waited or stayed in force has no brief of this turn to say its language.
parameters as (
    select loop, recipe_id, max(style) as style, max(language) as language
    from {{ ref('stg_briefs') }}
    group by loop, recipe_id
)

select
    recipes.turn,
    recipes.loop,
    recipes.recipe_id,
    parameters.style,
    parameters.language,
    cast(coalesce(briefs.briefs, 0) as bigint) as briefs,
    cast(coalesce(candidates.candidates, 0) as bigint) as candidates,
    cast(coalesce(candidates.ok, 0) as bigint) as ok,
    cast(coalesce(candidates.passed, 0) as bigint) as passed,
    cast(coalesce(candidates.flagged, 0) as bigint) as flagged,
    cast(coalesce(candidates.blocked, 0) as bigint) as blocked,
    cast(coalesce(candidates.ok - candidates.passed - candidates.flagged - candidates.blocked, 0) as bigint) as unjudged,
    cast(coalesce(reviews.approved, 0) as bigint) as approved,
    cast(coalesce(reviews.edited, 0) as bigint) as edited,
    cast(coalesce(reviews.rejected, 0) as bigint) as rejected,
    cast(coalesce(reviews.waiting, 0) as bigint) as waiting,
    cast(coalesce(released.released, 0) as bigint) as released,
    {{ ratio('candidates.ok', 'candidates.candidates') }} as ok_rate,
    {{ ratio('candidates.blocked', 'candidates.ok') }} as block_rate,
    {{ ratio('reviews.edited', '(reviews.approved + reviews.edited + reviews.rejected)') }} as edit_rate
from recipes
left join parameters on recipes.loop = parameters.loop and recipes.recipe_id = parameters.recipe_id
left join briefs
    on recipes.turn = briefs.turn and recipes.loop = briefs.loop and recipes.recipe_id = briefs.recipe_id
left join candidates
    on recipes.turn = candidates.turn and recipes.loop = candidates.loop and recipes.recipe_id = candidates.recipe_id
left join reviews
    on recipes.turn = reviews.turn and recipes.loop = reviews.loop and recipes.recipe_id = reviews.recipe_id
left join released
    on recipes.turn = released.turn and recipes.loop = released.loop and recipes.recipe_id = released.recipe_id
