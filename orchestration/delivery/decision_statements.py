"""What decisions read: queries over $loop and $turn, in the warehouse's dialect.

Here: the statements alone.
Not here: what is made of their rows (decisions, decision_learning).
"""

PROVENANCE = """
    select
        d.*, b.prompt_name, b.prompt_version, b.seed, b.language, b.escalation, b.turn as written_in,
        b.policy_version as chosen_by,
        l.model,
        (select max(decided_by) from flywheel.reviews as v
         where v.loop = d.loop and v.candidate_id = d.candidate_id and v.turn <= d.turn
           and v.decision in ('publish', 'approve', 'edit')) as approved_by
    from flywheel.decisions as d
    left join flywheel.candidates as c on c.loop = d.loop and c.candidate_id = d.candidate_id
    left join flywheel.briefs as b on b.loop = d.loop and b.brief_id = c.brief_id and b.turn = c.turn
    left join flywheel.llm_calls as l on l.loop = d.loop and l.call_id = c.call_id and l.turn = c.turn
    where d.loop = $loop and d.turn = $turn
    order by d.subject_id
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
