"""What decisions read: queries over $loop and $turn, in the warehouse's dialect.

Here: the statements alone.
Not here: what is made of their rows (decisions, decision_learning).
"""

# Beside the turn's own decisions stand answers to earlier ones that a person approved since: same decision, later turn.
PROVENANCE = """
    with gone_out as (
        select turn as decided_in, loop, decision_id, subject_id, format, option, propensity, is_control, in_holdout,
            delivered, variant_id, candidate_id, recipe_id, text, answer, policy_version, false as late
        from flywheel.decisions where loop = $loop and turn = $turn
        union all
        select d.turn as decided_in, d.loop, d.decision_id, d.subject_id, d.format, d.option, d.propensity,
            d.is_control, d.in_holdout, l.delivered, l.variant_id, l.candidate_id, d.recipe_id, l.text, l.answer,
            d.policy_version, true as late
        from flywheel.deliveries as l
        join flywheel.decisions as d on d.loop = l.loop and d.turn = l.decided_in and d.decision_id = l.decision_id
        where l.loop = $loop and l.turn = $turn and l.because = 'approved'
    )
    select
        d.*, s.original, b.prompt_name, b.prompt_version, b.seed, b.language, b.escalation, b.turn as written_in,
        b.policy_version as chosen_by, l.model,
        (select max(decided_by) from flywheel.reviews as v
         where v.loop = d.loop and v.candidate_id = d.candidate_id and v.turn <= $turn
           and v.decision in ('publish', 'approve', 'edit')) as approved_by,
        (select max(decision) from flywheel.reviews as v
         where v.loop = d.loop and v.candidate_id = d.candidate_id and v.turn <= $turn
           and v.decided_by = 'person' and v.decision in ('approve', 'edit')) as person_did,
        (select max(overrode) from flywheel.reviews as v
         where v.loop = d.loop and v.candidate_id = d.candidate_id and v.turn <= $turn) as overrode
    from gone_out as d
    left join flywheel.subjects as s on s.turn = d.decided_in and s.loop = d.loop and s.subject_id = d.subject_id
    left join flywheel.candidates as c on c.loop = d.loop and c.candidate_id = d.candidate_id
    left join flywheel.briefs as b on b.loop = d.loop and b.brief_id = c.brief_id and b.turn = c.turn
    left join flywheel.llm_calls as l on l.loop = d.loop and l.call_id = c.call_id and l.turn = c.turn
    order by d.subject_id, d.decided_in desc
"""

# Decisions whose answer has not gone out, the newest of each subject: none if an answer was delivered to the subject
# under the same or a newer decision, nor if its life is over. What the making of this very answer has shown, such as
# that it passed, does not end a life that waits for it.
UNDELIVERED = """
    with newest as (
        select subject_id, facts from flywheel.landed_subjects where loop = $loop
        qualify row_number() over (partition by subject_id order by landed_order desc) = 1
    ), reached as (
        select subject_id, null as decision_id from flywheel.outcomes
        where loop = $loop and turn < $turn::date and outcome = $until::varchar and decision_id is null
        union
        select subject_id, decision_id from flywheel.results
        where loop = $loop and turn < $turn::date and outcome = $until::varchar
    )
    select d.turn, d.decision_id, d.subject_id, d.candidate_id, d.option
    from flywheel.decisions as d
    join newest as n on n.subject_id = d.subject_id
    where d.loop = $loop and d.turn < $turn::date and not d.delivered and d.candidate_id is not null
        and not exists (
            select 1 from flywheel.decisions as newer
            where newer.loop = d.loop and newer.subject_id = d.subject_id and newer.turn > d.turn
                and newer.turn < $turn::date and newer.delivered)
        and not exists (
            select 1 from flywheel.deliveries as l
            where l.loop = d.loop and l.subject_id = d.subject_id and l.decided_in >= d.turn and l.delivered)
        and not exists (
            select 1 from reached as r
            where r.subject_id = d.subject_id and (r.decision_id is null or r.decision_id <> d.decision_id))
        and ($ends::varchar is null
            or try_cast(json_extract_string(n.facts, $ends::varchar) as date) > $turn::date)
    order by d.subject_id, d.turn desc, d.decision_id
"""
SPENT = """
    select brief_id, sum(input_tokens + output_tokens)::double as tokens, sum(cost_usd)::double as usd
    from flywheel.llm_calls where loop = $loop and turn = $turn group by brief_id order by brief_id
"""

# Held out are the control: they got what they would have got anyway.
EVIDENCE = """
    select
        r.turn, r.loop, r.subject_id, r.category, r.stratum, d.format, d.variant_id, r.in_holdout as is_control,
        d.option as recipe_id, d.text, r.units, r.reward, r.reward * r.reward as reward_squares, 1.0::double as share,
        case when r.in_holdout then null else d.propensity end as recipe_propensity,
        null::integer as fold,
        r.simulated
    from marts.decision_readouts as r
    join flywheel.decisions as d using (turn, loop, decision_id)
    where r.turn = $turn and r.loop = $loop
"""
LOGGED = """
    select
        e.turn, d.decision_id, e.subject_id, e.category, e.stratum, e.format, d.context, d.options, d.option_parts,
        d.option, d.propensity, d.in_holdout, e.reward, e.units, e.fold, e.simulated
    from flywheel.evidence as e
    join flywheel.decisions as d on d.turn = e.turn and d.loop = e.loop and d.subject_id = e.subject_id
    where e.loop = $loop and e.turn <= $turn
    order by e.turn, d.decision_id
"""
SUBJECTS_SEEN = """
    select distinct subject_id, original, facts from flywheel.subjects where loop = $loop and turn <= $turn
"""
UNWANTED = """
    select turn, sum(converted) filter (where not is_control)::double as treated,
           sum(units) filter (where not is_control)::double as treated_units,
           sum(converted) filter (where is_control)::double as control,
           sum(units) filter (where is_control)::double as control_units
    from marts.option_outcomes where loop = $loop and turn <= $turn and outcome = $outcome
    group by turn order by turn
"""
