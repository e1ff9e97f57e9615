"""Events: which are refused, which are known already, and how the rest is stored.

Here: the statements over `arrived` that decide on every row, for all loops at once.
Not here: reading files (rows), the order and the transaction of the statements (landing.intake).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from orchestration.assignment import POINT_DIGITS, holdout_salt
from orchestration.landing.rules import Slice, Statement, repeats
from orchestration.landing.rules.blanks import is_blank, is_nobody
from orchestration.landing.rules.columns import Column
from orchestration.landing.rules.problems import LONGEST_ID
from orchestration.loops.declaration import Loop

EXPOSURE = "exposure"
COLUMNS = (
    Column("event_id", required=True),
    Column("event_type", required=True),
    Column("loop", required=True),
    Column("subject_id", required=True),
    Column("variant_id"),  # a file without exposures may lack it
    Column("unit_id", required=True),
    Column("segment"),
    Column("occurred_at", "moment", required=True),
    Column("value", "number"),
    Column("propensity", "number", problem="bad_propensity"),
    Column("simulated", "flag"),
    Column("release_id"),
    Column("decision_id"),  # what the release_id is of loops that decide for each unit
)
EXPOSURES_WITHOUT_ANY_VARIANT = f"""
    select count(*) filter (event_type = '{EXPOSURE}') * (count(variant_id) = 0)::bigint from arrived"""
NEEDED = ("event_id", "event_type", "loop", "subject_id", "unit_id", "occurred_at")
LARGEST_AMOUNT = 1e12
"""More than any purchase: as many of them as a table can hold still have a sum."""
LEAST_PROPENSITY = 1e-9
MEASURED = ("event_id", "subject_id", "variant_id", "unit_id", "segment", "release_id", "decision_id")
SERVED_FOR = timedelta(days=14)
"""How long after its turn a release may still be served, by an application that says so with its `release_id`."""
SERVED = "coalesce(nullif({0}release_id, ''), nullif({0}decision_id, ''))"
"""The release, or decision, that an event says was served; null where it says none."""
SAYS_WHAT_WAS_SERVED = "select count(coalesce(release_id, decision_id)) from arrived"


@dataclass(frozen=True)
class Window:
    """The turns that an event may belong to: from `first_turn` on, each `days` long, none after `latest`."""

    first_turn: date
    days: int
    latest: datetime

    @property
    def turn(self) -> str:
        """The turn of `occurred_at` as SQL; null before the first one and after `latest`."""
        first, latest = f"date '{self.first_turn}'", f"timestamp '{self.latest:%Y-%m-%d %H:%M:%S}'"
        elapsed = f"((occurred_at::date - {first}) // {self.days} * {self.days})::integer"
        return f"case when occurred_at >= {first} and occurred_at <= {latest} then {first} + {elapsed} end"

    def reach(self, loop: Loop) -> int:
        """Days before a turn in which a subject may have been released that an outcome of the turn speaks of."""
        longest = max((outcome.within for outcome in loop.outcomes), default=timedelta())
        return self._whole_turns(longest)

    @property
    def served_for(self) -> int:
        """Days before a turn in which what was released may still be served in it."""
        return self._whole_turns(SERVED_FOR)

    def _whole_turns(self, time: timedelta) -> int:
        return math.ceil(time / timedelta(days=self.days)) * self.days


def _back(window: Window, loops: Mapping[str, Loop]) -> int:
    """Days before a turn from which anything may be that an event of the turn speaks of."""
    return max(window.served_for, max(map(window.reach, loops.values()), default=0) + window.days)


def touched_turns(window: Window) -> str:
    """The turns of `arrived`."""
    return f"select distinct turn from (select {window.turn} as turn from arrived) where turn is not null order by turn"


def declared(loops: Mapping[str, Loop], window: Window) -> list[Statement]:
    """What the loops declare, as temporary tables: `loops`, and `signals`, the types of event of each."""
    named = list(loops.values())
    signals = [(loop.name, name) for loop in named for name in (EXPOSURE, *(each.name for each in loop.outcomes))]
    return [
        (
            "create temp table loops as select unnest($loops::varchar[]) as loop, unnest($salts::varchar[]) as salt, "
            "unnest($below::varchar[]) as below, unnest($reach::integer[]) as reach, "
            "unnest($graces::double[]) as grace_s",
            {
                "loops": [loop.name for loop in named],
                "salts": [f"{holdout_salt(loop.name)}:" for loop in named],
                "below": [held_out_below(loop.delivery.holdout) for loop in named],
                "reach": [window.reach(loop) for loop in named],
                "graces": [loop.delivery.grace.total_seconds() for loop in named],
            },
        ),
        (
            "create temp table signals as "
            "select unnest($loops::varchar[]) as loop, unnest($types::varchar[]) as event_type",
            {"loops": [loop for loop, _ in signals], "types": [name for _, name in signals]},
        ),
    ]


SUBJECTS_BY_PSEUDONYM = """
    create temp view arrived as
    select a.* replace (coalesce(n.pseudonym, a.subject_id) as subject_id)
    from arrived_as_sent as a left join subject_names as n on n.loop = a.loop and n.subject_id = a.subject_id
"""


def subject_names(loops: Mapping[str, Loop], pseudonym: str, parameters: Mapping[str, Any]) -> Statement:
    """`subject_names`: every subject that arrived of a loop whose key is personal, with its pseudonym.

    `pseudonym` is that of the column `subject_id` as SQL, which needs `parameters`. What is too long to be an
    identifier, or empty, has none.
    """
    return (
        f"""
        create temp table subject_names as
        select loop, subject_id, {pseudonym} as pseudonym
        from (select distinct loop, subject_id from arrived
            where loop in (select unnest($personal::varchar[]))
                and trim(subject_id) <> '' and length(subject_id) <= {LONGEST_ID})""",
        {"personal": [loop.name for loop in loops.values() if loop.subjects.key_is_personal], **parameters},
    )


def needed(turns: Sequence[date], window: Window, loops: Mapping[str, Loop]) -> list[Slice]:
    """What the statements read of the warehouse."""
    if not turns:
        return []
    back, ahead = timedelta(_back(window, loops)), timedelta(window.days)
    kept = ("turn", "loop", "subject_id", "variant_id")
    also = {"releases": ("release_id", "graced_until"), "decisions": ("decision_id",), "deliveries": ("decision_id",)}
    return [
        *(
            (
                table,
                (*kept, *others),
                "turn between $first and $last",
                {"first": min(turns) - back, "last": max(turns) + ahead},
            )
            for table, others in also.items()
        ),
        ("events", repeats.COMPARED, f"turn in {dates_in(turns)}", {}),
    ]


def released(turns: Sequence[date], window: Window, loops: Mapping[str, Loop]) -> Statement:
    """What an event of `turns` may speak of: `known`, one row per turn, loop, subject and variant, released or decided.

    An exposure needs a variant that is `in_force` in its turn, or was until `graced_until`, in the release before: an
    application switches some time after a turn has begun. An outcome may follow an exposure of an earlier turn that is
    `in_reach` of its loop's outcomes, or was `until` that one was graced, and need not name a variant: those have the
    variant ''.
    """
    return (
        f"""
        create temp table known as
        with switched as (
            select loop, turn, max(graced_until) as graced_until,
                lag(turn) over (partition by loop order by turn) as before
            from flywheel.releases where turn between $first::date - $back::integer and $last::date group by loop, turn
        ),
        reachable as (
            select t.turn, r.loop, r.subject_id, r.variant_id, r.turn = t.turn as in_force, s.graced_until,
                r.turn >= t.turn - l.reach as in_reach, t.turn + to_seconds(l.grace_s) as until
            from (select unnest({_dates(turns)}) as turn) as t
            join (
                select turn, loop, subject_id, variant_id from flywheel.releases
                where turn between $first::date - $back::integer and $last::date
                union all
                select turn, loop, subject_id, variant_id from flywheel.decisions
                where turn between $first::date - $back::integer and $last::date
                union all
                select turn, loop, subject_id, variant_id from flywheel.deliveries
                where turn between $first::date - $back::integer and $last::date
            ) as r on r.turn <= t.turn
            join loops as l on l.loop = r.loop and r.turn >= t.turn - l.reach - {window.days}
            left join switched as s on s.loop = r.loop and s.turn = t.turn and s.before = r.turn
        )
        select turn, loop, subject_id, variant_id, bool_or(in_force) as in_force, max(graced_until) as graced_until,
            bool_or(in_reach) as in_reach, max(until) as until
        from reachable group by all
        union all
        select turn, loop, subject_id, '', true, null, bool_or(in_reach), max(until) from reachable group by all""",
        {
            "first": min(turns, default=date.max),
            "last": max(turns, default=date.max),
            "back": _back(window, loops),
        },
    )


def served(turns: Sequence[date], window: Window) -> Statement:
    """`served`: releases and decisions that an event of `turns` may say it met, a row a variant, and one without.

    A release may be served before its turn begins, by a clock that is ahead or behind, and for some time after it.
    """
    return (
        """
        create temp table served as
        with of_variants as (
            select loop, release_id, subject_id, variant_id from flywheel.releases
            where turn between $first::date - $back::integer and $last::date + $ahead::integer
            union
            select loop, decision_id, subject_id, variant_id from flywheel.decisions
            where turn between $first::date - $back::integer and $last::date + $ahead::integer
            union
            select loop, decision_id, subject_id, variant_id from flywheel.deliveries
            where turn between $first::date - $back::integer and $last::date + $ahead::integer
        )
        select loop, release_id, subject_id, variant_id from of_variants
        union select loop, release_id, subject_id, '' from of_variants""",
        {
            "first": min(turns, default=date.max),
            "last": max(turns, default=date.min),
            "back": window.served_for,
            "ahead": window.days,
        },
    )


def refused(window: Window, any_nobody: bool, any_served: bool) -> list[Statement]:
    """`refused`: the rows of `arrived` that are not stored, each with the first problem found.

    `any_nobody` says whether a unit of `units` is nobody, `any_served` whether a row says which release was served.
    """
    empty = " ".join(f"when {is_blank(f'a.{name}')} then 'missing:{name}'" for name in NEEDED if name != "occurred_at")
    long = " ".join(f"when length(a.{name}) > {LONGEST_ID} then 'too_long:{name}'" for name in MEASURED)
    nobody = "left join units as u on u.is_nobody and u.loop = a.loop and u.unit_id = a.unit_id" if any_nobody else ""
    unknown = f"""k.in_force is null
        or case when a.event_type = '{EXPOSURE}' then not (k.in_force or coalesce(occurred_at < k.graced_until, false))
            else not (k.in_reach or occurred_at < k.until) end"""
    was_served, also = "", ""
    if any_served:
        was_served = f"""left join served as v on v.loop = a.loop and v.release_id = {SERVED.format("a.")}
            and v.subject_id = a.subject_id and v.variant_id = coalesce(a.variant_id, '')"""
        also = f"when {SERVED.format('a.')} is not null then case when v.loop is null then 'unknown_release' end"
    return [
        (
            f"""
            create temp table refused as
            select _line, turn, loop, subject_id, variant_id, release_id, problem from (
                select a._line, a.turn, a.loop, a.subject_id, a.variant_id, {SERVED.format("a.")} as release_id,
                    coalesce(a._problem, case
                    {empty}
                    when occurred_at is null then 'missing:occurred_at'
                    {long}
                    when l.loop is null then 'unknown_loop'
                    when s.loop is null then 'unknown_event_type'
                    {"when u.is_nobody then 'junk_unit'" if any_nobody else ""}
                    when occurred_at < date '{window.first_turn}' then 'before_first_turn'
                    when a.turn is null then 'future_timestamp:occurred_at'
                    when a.event_type = '{EXPOSURE}' and {is_blank("a.variant_id")} then 'missing_variant'
                    when value < 0 then 'negative_value'
                    when value > {LARGEST_AMOUNT:.0f} then 'absurd_amount'
                    when not (propensity >= {LEAST_PROPENSITY} and propensity <= 1) then 'bad_propensity'
                    {also}
                    when {unknown} then 'unknown_variant'
                end) as problem
                from (select *, {window.turn} as turn from arrived) as a
                left join loops as l on l.loop = a.loop
                left join signals as s on s.loop = a.loop and s.event_type = a.event_type
                {nobody}
                {was_served}
                left join known as k
                    on k.turn = a.turn and k.loop = a.loop and k.subject_id = a.subject_id
                    and k.variant_id = coalesce(a.variant_id, '')
            ) where problem is not null""",
            {},
        ),
        (
            """
            update refused as r set problem = 'unknown_subject' where problem = 'unknown_variant' and not exists (
                from known as k
                where k.turn = r.turn and k.loop = r.loop and k.subject_id = r.subject_id and k.in_reach)""",
            {},
        ),
        (
            """
            update refused as r set problem = 'variant_of_another_subject'
            where problem in ('unknown_variant', 'unknown_subject') and exists (
                from known as k where k.turn = r.turn and k.loop = r.loop and k.variant_id = r.variant_id
                and k.subject_id <> r.subject_id)""",
            {},
        ),
        *(_of_releases() if any_served else []),
    ]


def _of_releases() -> list[Statement]:
    """What is wrong with a release that is known, but not for what the event says."""
    known = "exists (from served as v where v.release_id = r.release_id and {0})"
    same = "v.loop = r.loop and v.subject_id = r.subject_id"
    return [
        (f"update refused as r set problem = {told} where problem = 'unknown_release' and {known.format(where)}", {})
        for told, where in (
            ("'variant_not_in_release'", same),
            ("'release_of_another_subject'", "v.loop = r.loop"),
            ("'release_of_another_loop'", "true"),
        )
    ]


def units(pseudonym: str, parameters: Mapping[str, Any]) -> Statement:
    """`units`: every unit that arrived, once a loop, with its pseudonym, whether it is held out, and whether it names
    nobody."""
    return (
        f"""
        create temp table units as
        select loop, unit_id, {pseudonym} as pseudonym, sha256(salt || unit_id) < below as in_holdout,
            {is_nobody("unit_id")} as is_nobody
        from (select distinct loop, unit_id from arrived where unit_id is not null) join loops using (loop)""",
        dict(parameters),
    )


def stored(window: Window, any_left_out: bool, file_hash: str, now: datetime) -> Statement:
    """The rows of `arrived` that are neither refused nor repeated, put into the events."""
    left_out = "anti join (select _line from refused union all from repeated) using (_line)" if any_left_out else ""
    return (
        f"""
        insert into flywheel.events (
            turn, event_id, event_type, loop, subject_id, variant_id, unit_id, segment, occurred_at, value, propensity,
            in_holdout, simulated, ingested_at, file_hash, release_id)
        select
            {window.turn}, event_id, event_type, a.loop, subject_id, nullif(variant_id, ''), pseudonym,
            nullif(segment, ''), occurred_at, value, propensity, in_holdout, coalesce(simulated, false),
            $now::timestamp, $file_hash, {SERVED.format("")}
        from arrived as a join units as u on u.unit_id = a.unit_id and u.loop = a.loop
        {left_out}""",
        {"now": now, "file_hash": file_hash},
    )


def stored_by_turn(turns: Sequence[date], file_hash: str) -> Statement:
    """How many events of the file each turn holds."""
    return (
        f"select turn::varchar, count(*) from flywheel.events where turn in {dates_in(turns)} "
        "and file_hash = $file_hash group by turn order by turn",
        {"file_hash": file_hash},
    )


def held_out_below(share: float) -> str:
    """The hexadecimal text under which a SHA-256 digest lies exactly when `assignment.point` lies under `share`.

    The point is the digest's first 13 digits over 16^13, exact in a double, so that comparing texts compares points.
    """
    edge = math.ceil(share * 16**POINT_DIGITS)
    return format(edge, f"0{POINT_DIGITS}x") if edge < 16**POINT_DIGITS else "g"


def _dates(turns: Sequence[date]) -> str:
    return "[" + ", ".join(f"date '{turn}'" for turn in turns) + "]::date[]"


def dates_in(turns: Sequence[date]) -> str:
    """`turns` as what follows `in`."""
    return "(" + ", ".join(f"date '{turn}'" for turn in turns) + ")" if turns else "(null::date)"
