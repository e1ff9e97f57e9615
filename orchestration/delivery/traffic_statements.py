"""What shared traffic reads: queries over $loop and $turn, in the warehouse's dialect.

Here: the statements alone.
Not here: what is made of their rows (shared_traffic, traffic_learning).
"""

MET_BEFORE = """
    select subject_id, variant_id, sum(units) as units, sum(reward) as reward, count(distinct turn) as turns
    from flywheel.evidence where loop = $loop and turn < $turn group by all order by all
"""
REJECTED = """
    select candidate_id from flywheel.reviews where loop = $loop and turn <= $turn and decision = 'reject'
"""
LAST_RELEASE = """
    select * exclude (release_id, released_at) from flywheel.releases
    where loop = $loop and turn = (select max(turn) from flywheel.releases where loop = $loop and turn < $turn)
    order by subject_id, variant_id
"""

# A candidate may have waited for a person, or been carried over: what made it lies in the turn it was written in.
PROVENANCE = """
    select
        r.*, b.prompt_name, b.prompt_version, b.seed, b.language, b.turn as written_in, b.policy_version as chosen_by,
        b.messages, l.model,
        (select max(decided_by) from flywheel.reviews as v
         where v.loop = r.loop and v.candidate_id = r.candidate_id and v.turn <= r.turn
           and v.decision in ('publish', 'approve', 'edit')) as approved_by,
        (select max(decision) from flywheel.reviews as v
         where v.loop = r.loop and v.candidate_id = r.candidate_id and v.turn <= r.turn
           and v.decided_by = 'person' and v.decision in ('approve', 'edit')) as person_did,
        (select max(overrode) from flywheel.reviews as v
         where v.loop = r.loop and v.candidate_id = r.candidate_id and v.turn <= r.turn) as overrode
    from flywheel.releases as r
    left join flywheel.candidates as c on c.loop = r.loop and c.candidate_id = r.candidate_id
    left join flywheel.briefs as b on b.loop = r.loop and b.brief_id = c.brief_id and b.turn = c.turn
    left join flywheel.llm_calls as l on l.loop = r.loop and l.call_id = c.call_id and l.turn = c.turn
    where r.loop = $loop and r.turn = $turn
    order by r.subject_id, not r.is_control, r.variant_id
"""

# The propensity of a recipe belongs to the turn whose briefs it chose. A variant that was carried over has earned
# its place, so as a sample of its recipe it would flatter it.
EVIDENCE = """
    select
        v.turn, v.loop, v.subject_id, v.category, r.stratum, r.format, v.variant_id, v.is_control, r.recipe_id, r.text,
        v.units, v.reward, v.reward_squares, r.share,
        b.propensity as recipe_propensity,
        null::integer as fold,
        v.simulated
    from marts.variant_readouts as v
    join flywheel.releases as r using (turn, loop, subject_id, variant_id)
    left join flywheel.candidates as c on c.turn = v.turn and c.loop = v.loop and c.candidate_id = r.candidate_id
    left join flywheel.briefs as b on b.turn = c.turn and b.loop = c.loop and b.brief_id = c.brief_id
    where v.turn = $turn and v.loop = $loop
"""
EVIDENCE_SO_FAR = """
    select * from flywheel.evidence where loop = $loop and turn <= $turn order by turn, subject_id, variant_id
"""
SUBJECTS_SEEN = """
    select distinct subject_id, original, facts from flywheel.subjects where loop = $loop and turn <= $turn
"""
SUBJECTS_NOW = "select * from flywheel.subjects where loop = $loop and turn = $turn order by all"
DRAWN = """
    select b.turn, b.subject_id, coalesce(b.option_id, b.recipe_id) as recipe_id, b.propensity
    from flywheel.briefs as b join flywheel.candidates as c using (turn, loop, brief_id)
    where b.loop = $loop and b.turn = $turn and c.status <> 'deferred'
    order by all
"""
CHALLENGER_BEFORE = """
    select policy from flywheel.challengers where loop = $loop and turn < $turn order by turn desc limit 1
"""

# Where an answer was withdrawn, its share went to the original within the turn: units cannot have come as released.
OBSERVED_SHARES = """
    select subject_id, list(units order by variant_id) as units, list(share order by variant_id) as shares
    from marts.variant_readouts where loop = $loop and turn = $turn and share > 0
        and subject_id not in (
            select r.subject_id from flywheel.releases as r
            join flywheel.withdrawals as w on w.loop = r.loop
            where r.loop = $loop and r.turn = $turn and not r.is_control and w.withdrawn_at >= r.released_at
                and ((w.target = 'variant' and w.target_id = r.variant_id)
                    or (w.target = 'candidate' and w.target_id = r.candidate_id)
                    or (w.target = 'release' and w.target_id = r.release_id)
                    or (w.target = 'subject' and w.target_id = r.subject_id)))
    group by subject_id having sum(units) > 0 and count(*) > 1
    order by subject_id
"""
UNWANTED = """
    select turn, sum(converted) filter (where not is_control)::double as treated,
           sum(units) filter (where not is_control)::double as treated_units,
           sum(converted) filter (where is_control)::double as control,
           sum(units) filter (where is_control)::double as control_units
    from marts.variant_outcomes where loop = $loop and turn <= $turn and outcome = $outcome
    group by turn order by turn
"""
PLACES = """
    select category, format, count(*) as subjects from flywheel.subjects
    where loop = $loop and turn = $turn group by all order by all
"""
TEXTS = "select turn, subject_id, text from flywheel.evidence where loop = $loop and turn <= $turn order by all"
CONTROLS = """
    select turn, subject_id, text from flywheel.evidence
    where loop = $loop and turn <= $turn and is_control
"""
