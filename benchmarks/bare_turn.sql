-- A turn's facts and marts as one would write them in a notebook: no checks, no graph, no history, no re-runs.
-- Here: from flywheel.events and what was released to tables of the schema `bare`, for the turn in the variable `turn`.
-- Not here: what compares them with the project's own (bare_turn.py).

create or replace temp table released as
select
    turn, loop, subject_id, category, variant_id, is_control, recipe_id, share, holdout, release_id,
    dense_rank() over (order by loop, subject_id)::integer as subject_key,
    row_number() over (order by loop, subject_id, variant_id)::integer as variant_key
from flywheel.releases
where turn = getvariable('turn');

create or replace table bare.exposures as
select
    e.turn, e.loop, e.event_id as exposure_id, r.release_id, e.subject_id, e.variant_id, e.unit_id, e.segment,
    e.occurred_at, case when e.in_holdout then 1.0 else r.share end as propensity, r.is_control, e.in_holdout,
    e.simulated
from flywheel.events as e join released as r using (turn, loop, subject_id, variant_id)
where e.turn = getvariable('turn') and e.event_type = 'exposure';

create or replace table bare.outcomes as
select turn, loop, event_id as outcome_id, event_type as outcome, subject_id, unit_id, occurred_at, value, simulated
from flywheel.events
where turn = getvariable('turn') and event_type <> 'exposure';

create or replace temp table firsts as
select
    r.subject_key, hash(e.unit_id) as unit_key, min(r.variant_key) as variant_key,
    min(coalesce(e.segment, 'unknown')) as segment, bool_or(e.in_holdout) as in_holdout,
    min(r.variant_key) <> max(r.variant_key) or bool_or(e.in_holdout and not r.is_control) as excluded,
    bool_or(e.in_holdout and not r.is_control) as treated_in_holdout,
    min(e.occurred_at) as first_at, count(*) as exposures, bool_or(e.simulated) as simulated
from bare.exposures as e join released as r using (loop, subject_id, variant_id)
group by r.subject_key, hash(e.unit_id);

create or replace temp table attributed as
select
    f.subject_key, f.unit_key, f.variant_key, f.segment, f.in_holdout, f.excluded, o.outcome,
    sum(o.value::decimal(30, 6))::double as value,
    case when not bool_or(d.is_reward) then null when bool_or(d.has_value) then sum(o.value) else 1.0 end as reward
from bare.outcomes as o
join flywheel.outcome_definitions as d using (loop, outcome)
join (select distinct loop, subject_id, subject_key from released) as r using (loop, subject_id)
join firsts as f on f.subject_key = r.subject_key and f.unit_key = hash(o.unit_id)
where o.occurred_at >= f.first_at and o.occurred_at <= f.first_at + to_seconds(d.within_s)
group by all;

create or replace temp table met as
select
    variant_key, segment, in_holdout, sum(exposures) as exposures,
    count(*) filter (where not excluded) as units, count(*) filter (where excluded) as excluded_units,
    bool_or(simulated) as simulated
from firsts group by all;

create or replace temp table followed as
select
    variant_key, segment, in_holdout, outcome, count(*) as converted, sum(value) as value, sum(reward) as reward,
    sum(reward * reward) as reward_squares
from attributed where not excluded group by all;

create or replace table bare.variant_readouts as
with exposed as (
    select variant_key, sum(exposures) as exposures, sum(units) as units, sum(excluded_units) as excluded_units
    from met where not in_holdout group by all
), rewarded as (
    select variant_key, sum(reward) as reward, sum(reward_squares) as reward_squares
    from followed where not in_holdout group by all
)
select
    turn, loop, subject_id, category, variant_id, is_control, recipe_id, share, coalesce(exposures, 0) as exposures,
    coalesce(units, 0) as units, coalesce(excluded_units, 0) as excluded_units, coalesce(reward, 0) as reward,
    coalesce(reward_squares, 0) as reward_squares, reward / units as rate,
    (rate + 1.92 / units - 1.96 * sqrt((rate * (1 - rate) + 0.96 / units) / units)) / (1 + 3.84 / units) as rate_low,
    (rate + 1.92 / units + 1.96 * sqrt((rate * (1 - rate) + 0.96 / units) / units)) / (1 + 3.84 / units) as rate_high
from released left join exposed using (variant_key) left join rewarded using (variant_key);

create or replace table bare.variant_outcomes as
with exposed as (select variant_key, sum(units) as units from met where not in_holdout group by all),
happened as (
    select variant_key, outcome, sum(converted) as converted, sum(value) as value
    from followed where not in_holdout group by all
)
select
    turn, loop, subject_id, variant_id, is_control, d.outcome, coalesce(units, 0) as units,
    coalesce(converted, 0) as converted, value, converted / units as rate
from released join flywheel.outcome_definitions as d using (loop)
left join exposed using (variant_key) left join happened using (variant_key, outcome);

create or replace table bare.turn_kpis as
with sides as (
    select
        category, segment, case when in_holdout then 'holdout' when is_control then 'control' else 'variant' end as side,
        loop, sum(exposures) as exposures, sum(units) as units, sum(excluded_units) as excluded_units
    from met join released using (variant_key) group by all
), happened as (
    select
        category, segment, case when in_holdout then 'holdout' when is_control then 'control' else 'variant' end as side,
        loop, outcome, sum(converted) as converted, sum(value) as value
    from followed join released using (variant_key) group by all
)
select getvariable('turn') as turn, s.*, d.outcome, coalesce(converted, 0) as converted, value, converted / units as rate
from sides as s join flywheel.outcome_definitions as d using (loop)
left join happened using (loop, category, segment, side, outcome);

create or replace temp table sides as
with counted as (
    select subject_key, in_holdout, sum(units) as units from met join released using (variant_key) group by all
), rewarded as (
    select subject_key, in_holdout, sum(reward) as reward from followed join released using (variant_key) group by all
)
select
    subject_key, in_holdout, units, coalesce(reward, 0) as reward, coalesce(reward / nullif(units, 0), 0) as rate,
    units * (sum(units) over of_subject - units) / sum(units) over of_subject as weight
from counted left join rewarded using (subject_key, in_holdout)
window of_subject as (partition by subject_key);

create or replace temp table by_unit as
select in_holdout, unit_key, sum(deviation) as deviation, bool_or(counts) as counts, bool_or(treated) as treated
from (
    select
        f.in_holdout, f.unit_key, case when f.excluded then 0 else -s.weight * s.rate / nullif(s.units, 0) end as deviation,
        not f.excluded as counts, f.treated_in_holdout as treated
    from firsts as f join sides as s using (subject_key, in_holdout)
    union all
    select a.in_holdout, a.unit_key, s.weight * a.reward / nullif(s.units, 0), false, false
    from attributed as a join sides as s using (subject_key, in_holdout)
    where a.reward is not null and not a.excluded
)
group by in_holdout, unit_key;

create or replace table bare.momentum as
with clustered as (
    select in_holdout, count(*) filter (where counts) as units, sum(deviation * deviation) as squares
    from by_unit group by all
), totals as (
    select in_holdout, sum(units) as pairs, sum(reward) as reward, sum(weight * rate) as weighted, sum(weight) as weight
    from sides group by all
), rates as (
    select *, weighted / weight as rate, squares / weighted ^ 2 * units / (units - 1) as variance
    from clustered join totals using (in_holdout)
)
select
    getvariable('turn') as turn, t.units as treated_units, t.pairs as treated_pairs, t.reward as treated_reward,
    h.units as holdout_units, h.pairs as holdout_pairs, h.reward as holdout_reward, t.rate / h.rate - 1 as lift,
    t.rate / h.rate * exp(-1.96 * sqrt(t.variance + h.variance)) - 1 as lift_low,
    t.rate / h.rate * exp(1.96 * sqrt(t.variance + h.variance)) - 1 as lift_high
from rates as t join rates as h on not t.in_holdout and h.in_holdout;

create or replace table bare.holdout_ratios as
select
    getvariable('turn') as turn, count(*) as units, count(*) filter (where in_holdout) as holdout_units,
    count(*) filter (where treated) as treated_units,
    (holdout_units - units * h.share) ^ 2 / (units * h.share * (1 - h.share)) as chi_square
from by_unit, (select max(holdout) as share from released) as h group by h.share;

create or replace table bare.sample_ratios as
select
    turn, loop, subject_id, count(*) as variants, sum(units) as units, sum((units - due) ^ 2 / nullif(due, 0)) as chi_square
from (
    select *, sum(units) over (partition by subject_id) * share / sum(share) over (partition by subject_id) as due
    from bare.variant_readouts where share > 0
)
group by all;

create or replace table bare.experiment_readouts as
select
    c.turn, c.loop, c.subject_id, c.units as control_units, c.reward as control_reward, v.variant_id as best_variant_id,
    v.units as best_units, v.reward as best_reward, v.rate / nullif(c.rate, 0) - 1 as lift
from bare.variant_readouts as c left join (
    select * from bare.variant_readouts where not is_control and units > 0
    qualify row_number() over (partition by loop, subject_id order by rate desc, units desc, variant_id) = 1
) as v using (loop, subject_id)
where c.is_control;

create or replace table bare.guard_verdicts as
select
    turn, loop, recipe_id, guard, count(*) as judged, count(*) filter (where decision = 'pass') as passed,
    count(*) filter (where decision = 'flag') as flagged, count(*) filter (where decision = 'block') as blocked
from flywheel.verdicts join flywheel.candidates using (turn, loop, candidate_id)
where turn = getvariable('turn') group by all;

create or replace table bare.generation_statuses as
select turn, loop, recipe_id, status, count(*) as candidates
from flywheel.candidates where turn = getvariable('turn') group by all;

create or replace table bare.generation_quality as
with judged as (
    select loop, candidate_id, bool_or(decision = 'block') as blocked, bool_or(decision = 'flag') as flagged
    from flywheel.verdicts where turn = getvariable('turn') group by all
), decided as (
    select loop, candidate_id, decision from flywheel.reviews where turn = getvariable('turn')
)
select
    loop, recipe_id, count(*) as candidates, count(*) filter (where status = 'ok') as ok,
    count(*) filter (where blocked) as blocked, count(*) filter (where flagged and not blocked) as flagged,
    count(*) filter (where decision = 'wait') as waiting
from flywheel.candidates left join judged using (loop, candidate_id) left join decided using (loop, candidate_id)
where turn = getvariable('turn') group by all;

create or replace table bare.turn_costs as
select
    turn, loop, count(*) as calls, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
    sum(cost_usd) as cost_usd, sum(latency_s) as seconds
from flywheel.llm_calls where turn = getvariable('turn') group by all;

create or replace table bare.pre_period_moments as
with earlier as (
    select loop, hash(o.unit_id) as unit_key, subject_id, count(distinct outcome_id) as rewards
    from flywheel.outcomes as o join flywheel.outcome_definitions as d using (loop, outcome)
    where d.is_reward and o.turn < getvariable('turn') and o.turn >= getvariable('turn') - interval 28 day
    group by all
), earlier_units as (
    select loop, unit_key, sum(rewards) as rewards from earlier group by all
), pairs as (
    select
        r.turn, r.loop, r.subject_id, r.is_control, coalesce(a.reward, 0) as y,
        coalesce(u.rewards, 0) - coalesce(own.rewards, 0) as x
    from firsts as f join released as r using (variant_key)
    left join (
        select subject_key, unit_key, reward from attributed where reward is not null and not excluded
    ) as a on a.subject_key = f.subject_key and a.unit_key = f.unit_key
    left join earlier_units as u on u.loop = r.loop and u.unit_key = f.unit_key
    left join earlier as own on own.loop = r.loop and own.unit_key = f.unit_key and own.subject_id = r.subject_id
    where not f.in_holdout and not f.excluded
)
select
    turn, loop, subject_id, is_control, count(*) as units, sum(y) as y, sum(y * y) as yy, sum(x) as x, sum(x * x) as xx,
    sum(x * y) as xy
from pairs group by all;
