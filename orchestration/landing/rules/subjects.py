"""Subjects: which landed rows are refused, which say nothing new, and which become the version in force.

Here: the statements over `arrived` for one loop, from its declaration.
Not here: reading files (rows) and which subjects a turn takes (graph.assets.subjects).
"""

from collections.abc import Callable, Mapping
from typing import Any

from orchestration.assignment import POINT_DIGITS, holdout_salt
from orchestration.landing.rules import Statement
from orchestration.landing.rules.columns import Column, literal, quoted
from orchestration.landing.rules.problems import LONGEST_ID, LONGEST_TEXT
from orchestration.loops.declaration import Subjects

DEFAULT_FORMAT = "description"


def columns(subjects: Subjects) -> tuple[Column, ...]:
    """The columns that a file of subjects must have."""
    return tuple(Column(name, "scalar", required=True) for name in subjects.columns)


def decided(
    loop: str, subjects: Subjects, pseudonym: Callable[[str], str], parameters: Mapping[str, Any]
) -> list[Statement]:
    """Temporary tables: `listed` (every row as it would be stored), then `refused` and `repeated`.

    A row repeats when its subject already has that version in force, from an earlier file or a line above, and when
    the same version comes again further down: then that one counts. A version that was in force once and returns
    after another one is news: what was undone must be in force again.
    """

    def value(name: str) -> str:
        column = quoted(name)
        if name not in subjects.personal:
            return column
        return f"case when {column} is not null then {pseudonym(column)} end"

    named = [subjects.key, subjects.original, subjects.pool, *([subjects.format] if subjects.format else [])]
    empty = " ".join(
        f"when coalesce(trim({quoted(name)}), '') = '' then {literal(f'missing:{name}')}" for name in named
    )
    long = " ".join(
        f"when length({quoted(name)}) > {LONGEST_TEXT if name == subjects.original else LONGEST_ID} "
        f"then {literal(f'too_long:{name}')}"
        for name in named
    )
    facts = ", ".join(f"{literal(name)}, coalesce({value(name)}, '')" for name in subjects.facts)
    form = value(subjects.format) if subjects.format else literal(DEFAULT_FORMAT)
    return [
        (
            f"""
            create temp table listed as
            select *, left(sha256(json_array(subject_id, format, category, original, facts)::varchar), 32) as version
            from (
                select _line, coalesce(_problem, case {empty} {long} end) as problem,
                    {value(subjects.key)} as subject_id, {form} as format, {value(subjects.pool)} as category,
                    {value(subjects.original)} as original, json_object({facts})::varchar as facts,
                    {point("$salt || " + quoted(subjects.key))} as holdout_point
                from arrived
            )""",
            {"salt": f"{holdout_salt(loop)}:", **(parameters if subjects.personal else {})},
        ),
        ("create temp table refused as select _line, problem from listed where problem is not null", {}),
        (
            """
            create temp table repeated as
            with in_force as (
                select subject_id, arg_max(version, landed_order) as version
                from flywheel.landed_subjects where loop = $loop group by subject_id
            ), ordered as (
                select l._line, l.subject_id, l.version, coalesce(
                    lag(l.version) over (partition by l.subject_id order by l._line), f.version) as previous
                from listed as l left join in_force as f using (subject_id) where l.problem is null
            ), changed as (
                select *, row_number() over (partition by subject_id, version order by _line desc) as from_last
                from ordered where version is distinct from previous
            )
            select _line from listed where problem is null and _line not in (
                select _line from changed where from_last = 1)""",
            {"loop": loop},
        ),
    ]


def addressees(subjects: Subjects) -> str:
    """Pseudonym and identifier, as it was sent, of every subject that is not refused; where the key is personal."""
    return f"""
        select distinct l.subject_id, a.{quoted(subjects.key)}
        from listed as l join arrived as a using (_line) where l.problem is null"""


def point(text: str) -> str:
    """`assignment.point` of salt and unit, joined by a colon in `text`, as SQL. Exact: 52 bits fit a double."""
    return f"('0x' || left(sha256({text}), {POINT_DIGITS}))::ubigint / {16**POINT_DIGITS}.0::double"


def stored(loop: str, file_hash: str) -> list[Statement]:
    """The rows that are neither refused nor repeated, as versions in force; the last statement inserts."""
    taken = "select * from listed anti join repeated using (_line) where problem is null"
    return [
        (
            f"""
            delete from flywheel.landed_subjects as old where loop = $loop and exists (
                from ({taken}) as new where new.subject_id = old.subject_id and new.version = old.version)""",
            {"loop": loop},
        ),
        (
            f"""
            insert into flywheel.landed_subjects (
                loop, subject_id, version, format, category, original, facts, holdout_point, landed_order, file_hash)
            select $loop, subject_id, version, format, category, original, facts, holdout_point,
                (select coalesce(max(landed_order), 0) from flywheel.landed_subjects)
                    + row_number() over (order by _line), $file_hash
            from ({taken}) order by _line""",
            {"loop": loop, "file_hash": file_hash},
        ),
    ]
