"""Versions of landed things: which rows say nothing new, and which become the version in force.

Here: the statements that subjects and documents share, over `listed` (_line, problem, version, the thing's key) and
`refused`. Not here: what makes a row's version, and when it is refused (subjects, documents).

A row repeats when its thing already has that version in force, from an earlier file or a line above, and when the same
version comes again further down: then that one counts. A version that was in force once and returns after another one
is news: what was undone must be in force again.
"""

from collections.abc import Sequence

from orchestration.landing.rules import Slice, Statement


def needed(table: str, scope: str, owner: str, key: str) -> list[Slice]:
    """What the statements read of the warehouse; of other owners only the last row that landed."""
    return [
        (
            table,
            (scope, key, "version", "landed_order"),
            f"{scope} = $owner or landed_order = (select max(landed_order) from flywheel.{table})",
            {"owner": owner},
        )
    ]


REFUSED: Statement = ("create temp table refused as select _line, problem from listed where problem is not null", {})


def repeated(table: str, scope: str, owner: str, key: str) -> Statement:
    """`repeated`: the rows of `listed` that bring no new version. Versions of `owner` stand in `table`, where the
    column `scope` names it and `key` names the thing."""
    return (
        f"""
        create temp table repeated as
        with in_force as (
            select {key}, arg_max(version, landed_order) as version
            from flywheel.{table} where {scope} = $owner group by {key}
        ), ordered as (
            select l._line, l.{key}, l.version, coalesce(
                lag(l.version) over (partition by l.{key} order by l._line), f.version) as previous
            from listed as l left join in_force as f using ({key}) where l.problem is null
        ), changed as (
            select *, row_number() over (partition by {key}, version order by _line desc) as from_last
            from ordered where version is distinct from previous
        )
        select _line from listed where problem is null and _line not in (
            select _line from changed where from_last = 1)""",
        {"owner": owner},
    )


def stored(table: str, scope: str, owner: str, key: str, columns: Sequence[str], file_hash: str) -> list[Statement]:
    """The rows of `listed` that are neither refused nor repeated, as versions in force; the last statement inserts.

    `columns` are those that `listed` and `table` share, `key` and `version` among them.
    """
    taken = "select * from listed anti join repeated using (_line) where problem is null"
    named = ", ".join(columns)
    return [
        (
            f"""
            delete from flywheel.{table} as old where {scope} = $owner and exists (
                from ({taken}) as new where new.{key} = old.{key} and new.version = old.version)""",
            {"owner": owner},
        ),
        (
            f"""
            insert into flywheel.{table} ({scope}, {named}, landed_order, file_hash)
            select $owner, {named},
                (select coalesce(max(landed_order), 0) from flywheel.{table}) + row_number() over (order by _line),
                $file_hash
            from ({taken}) order by _line""",
            {"owner": owner, "file_hash": file_hash},
        ),
    ]
