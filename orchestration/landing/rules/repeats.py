"""Events that were met before: which are the same event sent again, and which are another under its event_id.

Here: the statements over `arrived` that tell both, against the file itself and against what is stored.
Not here: which rows are refused for what they say (events), how the rest is stored.
"""

from orchestration.landing.rules import Statement

COMPARED = (
    "turn",
    "event_id",
    "event_type",
    "loop",
    "subject_id",
    "variant_id",
    "unit_id",
    "segment",
    "occurred_at",
    "value",
    "propensity",
    "simulated",
    "release_id",
)
"""Columns of the events in which two of one event_id may differ."""


def met_again(turn: str, turns: str, any_refused: bool) -> list[Statement]:
    """`met_again`: the rows of `arrived` whose event_id is known in their turn: from before, or from the line `first`.

    `turn` is that of a row and `turns` those that the file touches, as SQL. Hashes find the few rows that may repeat
    another, and only those are compared: that two events share a hash does no harm.
    """
    but_refused = "anti join (select _line from refused) using (_line)" if any_refused else ""
    prints = f"select hash(event_id) as print from arrived {but_refused}"
    taken = f"""
        select _line, turn, event_id, hash(event_id) as print
        from (select _line, event_id, {turn} as turn from arrived) {but_refused}"""
    stored = f"select turn, event_id from flywheel.events where turn in {turns}"
    return [
        (f"create temp table twice as select print from ({prints}) group by print having count(*) > 1", {}),
        (
            f"""
            create temp table met_again as
            select _line, turn, event_id, null::bigint as first
            from ({taken}) as a semi join ({stored}) as s on a.turn = s.turn and a.event_id = s.event_id""",
            {},
        ),
        (
            f"""
            insert into met_again
            select _line, turn, event_id, first from (
                select _line, turn, event_id, min(_line) over (partition by turn, event_id) as first
                from ({taken}) semi join twice using (print)
            ) as a anti join met_again as s on a.turn = s.turn and a.event_id = s.event_id
            where _line <> first""",
            {},
        ),
    ]


NONE_REPEATED: Statement = ("create temp table repeated (_line bigint)", {})


def told_apart(turn: str) -> list[Statement]:
    """`repeated`: the rows of `met_again` that say what was said before. The others join `refused`."""
    content = "row({0}event_type, {0}loop, {0}subject_id, {0}variant_id, {0}unit_id, {0}segment, {0}occurred_at, "
    content += "{0}value, {0}propensity, {0}simulated)"
    met, before, stored = (content.format(f"{name}.") for name in ("a", "f", "e"))
    # Of one that was stored before events could say it, it is not known which release was served.
    same = "coalesce(a.release_id, {0}.release_id) is not distinct from coalesce({0}.release_id, a.release_id)"
    return [
        (
            f"""
            create temp table said as
            select _line, {turn} as turn, event_type, a.loop, subject_id, nullif(variant_id, '') as variant_id,
                u.pseudonym as unit_id, nullif(segment, '') as segment, occurred_at, value, propensity,
                coalesce(simulated, false) as simulated,
                coalesce(nullif(a.release_id, ''), nullif(a.decision_id, '')) as release_id
            from arrived as a join units as u on u.unit_id = a.unit_id and u.loop = a.loop
            semi join (select _line from met_again union select first from met_again) as m on m._line = a._line""",
            {},
        ),
        (
            f"""
            create temp table repeated as
            select m._line from met_again as m join said as a on a._line = m._line join said as f on f._line = m.first
            where {met} is not distinct from {before} and {same.format("f")}
            union all
            select m._line from met_again as m join said as a on a._line = m._line
            join flywheel.events as e on e.turn = m.turn and e.event_id = m.event_id
            where m.first is null and {met} is not distinct from {stored}
                and {same.format("e")}""",
            {},
        ),
        (
            """
            insert into refused (_line, turn, loop, subject_id, variant_id, problem)
            select a._line, a.turn, a.loop, a.subject_id, a.variant_id, 'event_id_reused'
            from said as a join met_again as m using (_line) anti join repeated as r on r._line = a._line""",
            {},
        ),
    ]
