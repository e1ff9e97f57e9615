"""What is kept of a refused event beside its reason: the turn, loop and type that it belongs to, as far as can be told.

Here: the statements that say so, and those that mark refused rows whose event has been taken in since.
Not here: the reasons (problems, events), and which share of refused rows is too large (warehouse.refusals).

No text of the sender is kept: loops and types are those that are declared, also where a row misspells one.
"""

from datetime import date

from orchestration.landing.rules import Slice, Statement
from orchestration.landing.rules.problems import LONGEST_ID
from orchestration.tables import TABLES

EVENT_KEY = "left(sha256(event_id), 32)"
NEWEST_TURN = """
    select max(turn) as turn from (
        select max(turn) as turn from flywheel.releases union all select max(turn) as turn from flywheel.decisions
    ) as released"""
OPEN = "kind = 'events' and mended_by is null and event_key is not null"
_ALIKE = 0.85  # by Jaro and Winkler: `Click`, `clicks` and `clicked` are like `click`, `order` is not like `purchase`


def needed(kind: str, loop: str | None, file_hash: str) -> list[Slice]:
    """What the statements, and those of the manifest, read and change of the warehouse."""
    of_file = "kind = $kind and loop is not distinct from $loop::varchar and file_hash = $file_hash"
    parameters = {"kind": kind, "loop": loop, "file_hash": file_hash}
    return [
        (
            "quarantine",
            tuple(TABLES["quarantine"].columns),
            f"({of_file}) or ($kind = 'events' and {OPEN})",
            parameters,
        ),
        ("landed_files", tuple(TABLES["landed_files"].columns), of_file, parameters),
    ]


def about(newest: date | None) -> list[Statement]:
    """`about`: event_turn, event_loop, event_type and event_key of the rows of `refused`.

    The turn of a row whose time says none is that of most rows of the file, or else the `newest` one released.
    """
    alike = "max_by({0}, jaro_winkler_similarity(lower(said), {0}))"
    is_alike = f"max(jaro_winkler_similarity(lower(said), {{0}})) >= {_ALIKE}"
    return [
        (
            f"""
            create temp table sent as
            select r._line, r.problem, r.turn, left(a.loop, {LONGEST_ID}) as loop,
                left(a.event_type, {LONGEST_ID}) as event_type,
                case when r.problem <> 'event_id_reused' and length(a.event_id) between 1 and {LONGEST_ID}
                    then {EVENT_KEY.replace("event_id", "a.event_id")} end as event_key
            from refused as r join arrived as a using (_line)""",
            {},
        ),
        (
            f"""
            create temp table named_loops as
            select said, case when {is_alike.format("loop")} then {alike.format("loop")} end as loop
            from (select distinct loop as said from sent where loop is not null), loops group by said""",
            {},
        ),
        (
            f"""
            create temp table named_types as
            select said, loop, case when {is_alike.format("event_type")} then {alike.format("event_type")} end as type
            from (
                select distinct s.event_type as said, n.loop from sent as s join named_loops as n on n.said = s.loop
                where s.event_type is not null
            ) join signals using (loop) group by said, loop""",
            {},
        ),
        (
            """
            create temp table about as
            select s._line, coalesce(s.turn, $turn::date) as event_turn, l.loop as event_loop, t.type as event_type,
                s.event_key
            from sent as s left join named_loops as l on l.said = s.loop
            left join named_types as t on t.said = s.event_type and t.loop = l.loop""",
            {"turn": newest},
        ),
    ]


def usual_turn(turn: str) -> str:
    """The turn of most rows of the file, of those taken in where there are any; no row where no row has one."""
    return f"""
        select turn from (select {turn} as turn, _line not in (select _line from refused) as taken from arrived)
        where turn is not null group by turn order by count(*) filter (where taken) desc, count(*) desc, turn limit 1"""


def mended(file_hash: str) -> list[Statement]:
    """Mark the refused rows whose event this file brought in good order."""
    columns = ", ".join(name for name in TABLES["quarantine"].columns if name != "mended_by")
    return [
        (
            f"""
            create temp table mended as
            select {columns} from flywheel.quarantine where {OPEN} and event_key in (
                select {EVENT_KEY} from arrived where event_id is not null and _line not in (select _line from refused))
            """,
            {},
        ),
        (
            """
            delete from flywheel.quarantine as q using mended as m
            where q.kind = m.kind and q.file_hash = m.file_hash and q.line = m.line""",
            {},
        ),
        (
            f"insert into flywheel.quarantine ({columns}, mended_by) select {columns}, $file_hash from mended",
            {"file_hash": file_hash},
        ),
    ]
