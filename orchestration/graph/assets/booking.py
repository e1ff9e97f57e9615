"""To which release an event is booked, and which events count nowhere: the statements that say so.

Here: exposures and outcomes of a turn as SELECTs over the facts, for all loops at once.
Not here: keeping their rows (facts), what is refused before (landing.rules.events), and attribution (dbt_project).
"""

# Hours that are excluded and not taken back, cut into pieces that do not overlap: an event lies in one of them at most.
_HOURS = """
    in_force as (
        select x.exclusion_id, x.loop, x.excluded_from, x.excluded_until
        from flywheel.exclusions as x
        where x.undoes is null
            and not exists (select 1 from flywheel.exclusions as u where u.undoes = x.exclusion_id)
    ),
    edges as (
        select loop, excluded_from as starts from in_force union select loop, excluded_until as starts from in_force
    ),
    pieces as (
        select loop, starts, lead(starts) over (partition by loop order by starts) as ends from edges
    ),
    excluded_hours as (
        select p.loop, p.starts, p.ends, min(x.exclusion_id) as exclusion_id
        from pieces as p
        join in_force as x on x.loop = p.loop and x.excluded_from <= p.starts and x.excluded_until >= p.ends
        group by p.loop, p.starts, p.ends
    )"""

# What an application says it served, by `release_id`, is what an exposure is of, whichever turn it occurred in. Where
# it says nothing, the variant tells: it is of the release of its turn, or of the one before as long as that was graced.
# Where both could have been met, exposures count nowhere, of whichever variant: the rest then keeps its shares.
# A decision's event names the variant as well. Where one answer was decided on twice for a subject, it is of the
# decision that was the newest when it happened. What a trial judges meets nobody: it is exposed once, to its subject.
EXPOSURES = f"""
    with {_HOURS},
    released as (
        select * from flywheel.releases where turn = $turn
    ),
    earlier as (
        select distinct r.loop, r.subject_id
        from flywheel.releases as r
        join (
            select loop, max(turn) as turn from flywheel.releases
            where turn < $turn and turn >= $turn::date - 31 group by loop
        ) as before on before.loop = r.loop and before.turn = r.turn
    ),
    later as (
        select r.turn, r.loop, r.subject_id, r.variant_id, r.graced_until
        from flywheel.releases as r
        join (
            select loop, min(turn) as turn from flywheel.releases
            where turn > $turn and turn <= $turn::date + 31 group by loop
        ) as after on after.loop = r.loop and after.turn = r.turn
    ),
    switched as (
        select loop, turn, max(graced_until) as graced_until from later group by loop, turn
    ),
    met as (
        select
            e.turn, e.loop, e.event_id as exposure_id, r.release_id, e.subject_id, e.variant_id, e.unit_id, e.segment,
            e.occurred_at,
            case when e.in_holdout then 1.0 else r.share end as propensity,
            r.is_control, e.in_holdout, null::date as met_in, false as late, e.simulated,
            case when e.occurred_at < r.graced_until and b.loop is not null then 'grace' end as left_out
        from flywheel.events as e
        join released as r on r.loop = e.loop and r.subject_id = e.subject_id and r.variant_id = e.variant_id
        left join earlier as b on b.loop = r.loop and b.subject_id = r.subject_id
        where e.turn = $turn and e.event_type = 'exposure' and e.release_id is null

        union all

        select
            r.turn, e.loop, e.event_id as exposure_id, r.release_id, e.subject_id, e.variant_id, e.unit_id, e.segment,
            e.occurred_at,
            case when e.in_holdout then 1.0 else r.share end as propensity,
            r.is_control, e.in_holdout, case when e.turn <> r.turn then e.turn end as met_in, false as late,
            e.simulated, null as left_out
        from flywheel.events as e
        join released as r
            on r.loop = e.loop and r.subject_id = e.subject_id and r.variant_id = e.variant_id
            and r.release_id = e.release_id
        where e.turn >= $turn::date - 31 and e.turn <= $turn::date + 31 and e.event_type = 'exposure'

        union all

        select
            r.turn, e.loop, e.event_id as exposure_id, r.release_id, e.subject_id, e.variant_id, e.unit_id, e.segment,
            e.occurred_at,
            case when e.in_holdout then 1.0 else r.share end as propensity,
            r.is_control, e.in_holdout, e.turn as met_in, false as late, e.simulated,
            case when exists (select 1 from later as n where n.loop = e.loop and n.subject_id = e.subject_id)
                then 'grace' end as left_out
        from flywheel.events as e
        join switched as s on s.loop = e.loop and s.turn = e.turn and e.occurred_at < s.graced_until
        join released as r on r.loop = e.loop and r.subject_id = e.subject_id and r.variant_id = e.variant_id
        where e.turn > $turn and e.event_type = 'exposure' and e.release_id is null
            and not exists (
                select 1 from later as n
                where n.loop = e.loop and n.subject_id = e.subject_id and n.variant_id = e.variant_id)

        union all

        select
            e.turn, e.loop, e.event_id as exposure_id, d.decision_id as release_id, e.subject_id, e.variant_id,
            e.unit_id, e.segment, e.occurred_at, d.propensity, d.is_control, d.in_holdout, null::date as met_in,
            false as late, e.simulated, null as left_out
        from flywheel.events as e
        join (
            select
                *,
                row_number() over (same order by decided_at, decision_id) = 1 as is_first,
                lead(decided_at) over (same order by decided_at, decision_id) as next_decided_at
            from flywheel.decisions
            where turn = $turn and tried_at is null
            window same as (partition by loop, subject_id, variant_id)
        ) as d using (turn, loop, subject_id, variant_id)
        where e.turn = $turn and e.event_type = 'exposure' and e.release_id is null
            and (d.is_first or e.occurred_at >= d.decided_at)
            and (d.next_decided_at is null or e.occurred_at < d.next_decided_at)

        union all

        select
            d.turn, e.loop, e.event_id as exposure_id, d.decision_id as release_id, e.subject_id, e.variant_id,
            e.unit_id, e.segment, e.occurred_at, d.propensity, d.is_control, d.in_holdout,
            case when e.turn <> d.turn then e.turn end as met_in, false as late, e.simulated, null as left_out
        from flywheel.events as e
        join flywheel.decisions as d
            on d.loop = e.loop and d.subject_id = e.subject_id and d.variant_id = e.variant_id
            and d.decision_id = e.release_id
        where d.turn = $turn and d.tried_at is null and e.event_type = 'exposure'
            and e.turn >= $turn::date - 31 and e.turn <= $turn::date + 31

        union all

        select
            d.turn, e.loop, e.event_id as exposure_id, d.decision_id as release_id, e.subject_id, e.variant_id,
            e.unit_id, e.segment, e.occurred_at, d.propensity, d.is_control, d.in_holdout,
            case when e.turn > d.turn then e.turn end as met_in, l.counts as late, e.simulated, null as left_out
        from flywheel.deliveries as l
        join flywheel.decisions as d on d.turn = l.decided_in and d.loop = l.loop and d.decision_id = l.decision_id
        join flywheel.events as e
            on e.loop = l.loop and e.subject_id = l.subject_id and e.variant_id = l.variant_id
        where l.decided_in = $turn and e.event_type = 'exposure' and d.tried_at is null
            and ((e.turn = l.turn and e.release_id is null)
                or (e.release_id = l.decision_id and e.turn >= l.turn and e.turn <= l.turn + 31
                    and (d.variant_id is null or d.variant_id <> l.variant_id)))
            and (e.release_id is not null or not exists (
                select 1 from flywheel.decisions as other
                where other.turn = l.turn and other.loop = l.loop and other.subject_id = l.subject_id
                    and other.variant_id = l.variant_id))
    )
    select
        m.turn, m.loop, m.exposure_id, m.release_id, m.subject_id, m.variant_id, m.unit_id, m.segment, m.occurred_at,
        m.propensity, m.is_control, m.in_holdout, m.met_in, m.late, m.simulated,
        coalesce(h.exclusion_id, m.left_out) as left_out
    from met as m
    left join excluded_hours as h on h.loop = m.loop and m.occurred_at >= h.starts and m.occurred_at < h.ends

    union all

    select
        turn, loop, decision_id as exposure_id, decision_id as release_id, subject_id, variant_id,
        subject_id as unit_id, null as segment, tried_at as occurred_at, propensity, is_control, in_holdout,
        null::date as met_in, false as late, false as simulated, null as left_out
    from flywheel.decisions
    where turn = $turn and tried_at is not null
"""
OUTCOMES = f"""
    with {_HOURS}
    select
        e.turn, e.loop, e.event_id as outcome_id, e.event_type as outcome, e.subject_id, e.unit_id, e.occurred_at,
        e.value, null as decision_id, e.simulated, e.release_id,
        h.exclusion_id as left_out
    from flywheel.events as e
    left join excluded_hours as h on h.loop = e.loop and e.occurred_at >= h.starts and e.occurred_at < h.ends
    where e.turn = $turn and e.event_type <> 'exposure'

    union all

    select
        turn, loop, decision_id || ':' || outcome as outcome_id, outcome, subject_id, subject_id as unit_id,
        recorded_at as occurred_at, value, decision_id, false as simulated, null as release_id, null as left_out
    from flywheel.results
    where turn = $turn
"""
