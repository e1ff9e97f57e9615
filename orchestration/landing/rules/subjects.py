"""Subjects: which landed rows are refused, which say nothing new, and which become the version in force.

Here: the statements over `arrived` for one loop, from its declaration.
Not here: reading files (rows) and which subjects a turn takes (graph.assets.subjects).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestration.assignment import POINT_DIGITS, holdout_salt
from orchestration.landing.rules import Slice, Statement, versions
from orchestration.landing.rules.blanks import is_blank, is_no_value
from orchestration.landing.rules.columns import Column, Kind, literal, quoted
from orchestration.landing.rules.problems import LONGEST_ID, LONGEST_TEXT
from orchestration.loops.as_landed import undeclared_facts
from orchestration.loops.declaration import Subjects

DEFAULT_FORMAT = "description"
WITHDRAWN = "withdrawn"
"""The column by which a file takes subjects out; it may be missing, or declared among the facts."""
TABLE, SCOPE, KEY = "landed_subjects", "loop", "subject_id"
STORED = ("subject_id", "version", "format", "category", "original", "facts", "holdout_point", "withdrawn", "language")


def columns(subjects: Subjects, loop: str = "") -> tuple[Column, ...]:
    """The columns that a file of subjects must have, those of facts that it may lack, and those of the language and of
    what is withdrawn, under the names that the file gives them."""
    hint = f"map it under [loops.{loop}.subjects] in flywheel.toml" if loop else ""
    kinds: dict[str, Column] = {}
    loose = set(subjects.facts) if subjects.brings_facts or subjects.landed.by_user else set()
    loose -= {subjects.key, subjects.original, subjects.pool, subjects.format}
    for name in (*subjects.columns, *([subjects.language] if subjects.language else [])):
        found = subjects.landed.of(name)
        needed = name in subjects.needed or (found in kinds and kinds[found].required)
        kind: Kind = "fact" if name in loose else "scalar"
        kinds[found] = Column(found, kinds[found].kind if found in kinds else kind, required=needed, mapped_by=hint)
    taken = subjects.landed.of(WITHDRAWN)
    return (*kinds.values(), *(() if taken in kinds else (Column(taken, "flag"),)))


def read_of(subjects: Subjects, loop: str, found: Sequence[str]) -> tuple[Column, ...]:
    """The columns that are read of a file which has the columns `found`: where the facts are what it brings, no fact
    that it lacks and every further one."""
    declared = columns(subjects, loop)
    if not subjects.brings_facts:
        return declared
    known = tuple(each for each in declared if each.name in found or each.kind != "fact")
    names = {each.name for each in known}
    names |= {name for name in (*subjects.columns, subjects.language) if name and subjects.landed.of(name) in names}
    return (*known, *(Column(name, "fact") for name in undeclared_facts(found, names)))


def needed(loop: str) -> list[Slice]:
    """What the statements read of the warehouse."""
    return versions.needed(TABLE, SCOPE, loop, KEY)


def decided(
    loop: str,
    subjects: Subjects,
    formats: Sequence[str],
    pseudonym: Callable[[str], str],
    parameters: Mapping[str, Any],
    read: Sequence[Column],
) -> list[Statement]:
    """Temporary tables: `listed` (every row as it would be stored), then `refused` and `repeated`.

    `read` are the columns that `arrived` has.
    """
    as_landed = subjects.landed.of

    def value(name: str) -> str:
        column = quoted(as_landed(name))
        if name not in subjects.personal:
            return column
        return f"case when {column} is not null then {pseudonym(column)} end"

    named = [subjects.key, subjects.original, subjects.pool]
    form = literal(subjects.landed.format or DEFAULT_FORMAT)
    if subjects.format and subjects.landed.format:
        form = f"case when {is_blank(value(subjects.format))} then {form} else {value(subjects.format)} end"
    elif subjects.format:
        named, form = [*named, subjects.format], value(subjects.format)
    empty = " ".join(
        f"when {is_blank(quoted(as_landed(name)))} then {literal(f'missing:{as_landed(name)}')}" for name in named
    )
    key = as_landed(subjects.key)
    junk = f"when {is_no_value(quoted(key))} then {literal(f'junk_key:{key}')}"
    unknown = ""
    if subjects.format and formats:
        known = ", ".join(literal(name) for name in formats)
        unknown = f"when {form} not in ({known}) then "
        unknown += literal(f"unknown_format:{', '.join(formats)}")
    long = " ".join(
        f"when length({quoted(as_landed(name))}) > {LONGEST_TEXT if name == subjects.original else LONGEST_ID} "
        f"then {literal(f'too_long:{as_landed(name)}')}"
        for name in named
    )
    arrived = [column.name for column in read]
    declared = {column.name for column in columns(subjects)}
    brought = {name: value(name) for name in subjects.facts if as_landed(name) in arrived}
    brought |= {name: quoted(name) for name in arrived if name not in declared}
    facts = ", ".join(f"{literal(name)}, coalesce({found}, '')" for name, found in brought.items())
    spoken, unspoken = language(subjects)
    return [
        (
            f"""
            create temp table listed as
            select *, left(sha256((case when language is null
                then json_array(subject_id, format, category, original, facts)
                else json_array(subject_id, format, category, original, facts, language) end)::varchar
                || case when withdrawn then '{WITHDRAWN}' else '' end), 32) as version
            from (
                select _line, coalesce(_problem, case {empty} {long} {junk} {unknown} {unspoken} end) as problem,
                    {spoken} as language,
                    {value(subjects.key)} as subject_id, {form} as format, {value(subjects.pool)} as category,
                    {value(subjects.original)} as original, json_object({facts})::varchar as facts,
                    {point("$salt || " + value(subjects.key))} as holdout_point,
                    coalesce(try_cast({quoted(as_landed(WITHDRAWN))} as boolean), false) as withdrawn
                from arrived
            )""",
            {"salt": f"{holdout_salt(loop)}:", **(parameters if subjects.personal else {})},
        ),
        versions.REFUSED,
        versions.repeated(TABLE, SCOPE, loop, KEY),
    ]


def language(subjects: Subjects) -> tuple[str, str]:
    """A subject's language as SQL, and the branches of a CASE that refuse what is none."""
    if subjects.language is None:
        return "null::varchar", ""
    named = subjects.landed.of(subjects.language)
    column = f"trim({quoted(named)})"
    given = f"coalesce({column}, '') <> ''"
    if subjects.languages:
        each = " ".join(f"when {literal(value)} then {literal(code)}" for value, code in subjects.languages.items())
        known = ", ".join(map(literal, subjects.languages))
        return (
            f"case {column} {each} end",
            f"when {given} and {column} not in ({known}) then {literal(f'unknown_language:{named}')}",
        )
    form = f"regexp_full_match(lower({column}), '[a-z]{{2,3}}([-_][a-z0-9]+)*')"
    return (
        f"case when {given} then lower(regexp_extract({column}, '^[A-Za-z]+')) end",
        f"when {given} and not {form} then {literal(f'unknown_language:{named}')}",
    )


def addressees(subjects: Subjects) -> str:
    """Pseudonym and identifier, as it was sent, of every subject that is not refused; where the key is personal."""
    return f"""
        select distinct l.subject_id, a.{quoted(subjects.landed.of(subjects.key))}
        from listed as l join arrived as a using (_line) where l.problem is null"""


def point(text: str) -> str:
    """`assignment.point` of salt and unit, joined by a colon in `text`, as SQL. Exact: 52 bits fit a double."""
    return f"('0x' || left(sha256({text}), {POINT_DIGITS}))::ubigint / {16**POINT_DIGITS}.0::double"


def stored(loop: str, file_hash: str) -> list[Statement]:
    """The rows that are neither refused nor repeated, as versions in force; the last statement inserts."""
    return versions.stored(TABLE, SCOPE, loop, KEY, STORED, file_hash)
