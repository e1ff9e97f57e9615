"""From lines or Parquet columns to typed rows, each with the problem that reading it met.

Here: SELECTs that give `_line`, `_problem` and the columns, over a Parquet file or the lines of a text file: a
relation `lines` (line BIGINT, text VARCHAR with its line end).
Not here: how bytes become lines (landing.landed_text) and what rows must mean (events, subjects, reviews).
"""

import csv
import json
from collections.abc import Mapping, Sequence

from orchestration.landing.rules.columns import TYPES, Column, literal, quoted

SUBSTITUTE = "\x1a"
"""What stands for bytes that are not text; never valid in JSON, and the control character made for this."""
END_OF_MEDIUM = "\x19"
"""What stands for a line too long to be one."""

_UNREADABLE = f"""
        when contains(text, '{SUBSTITUTE}') then 'bad_encoding'
        when starts_with(text, '{END_OF_MEDIUM}') then 'too_long'"""
# DuckDB's parser tolerates a comma before a closing bracket; strings are blanked before it is looked for in earnest.
_TRAILING_COMMA = r",\s*[}\]]"
_JSON_STRING = r'"(?:\\.|[^"\\])*"'
_CSV_FIELD = r'"(?:[^"]|"")*"|[^",\n][^,\n]*|'


def none(columns: Sequence[Column]) -> str:
    """The table `arrived` of a text file without a row."""
    typed = ", ".join(f"{quoted(column.name)} {column.stored_as}" for column in columns)
    return f"create temp table arrived (_line bigint, _problem varchar, {typed})"


def of_ndjson(columns: Sequence[Column]) -> str:
    """Rows of `lines`, one JSON object each. Keys that no column names are ignored."""
    shape = literal(json.dumps({column.name: "JSON" for column in columns}))
    raw = ", ".join(f"(object.{quoted(column.name)})::varchar as r{index}" for index, column in enumerate(columns))
    bare = f"regexp_replace(text, '{_JSON_STRING}?', '', 'g')"  # the last string may be open
    values, wrong = _both([(column, *column.from_json(f"r{index}")) for index, column in enumerate(columns)])
    return f"""
    with judged as (
        select line, text, case when json_valid(text) then case
            when case when regexp_matches(text, '{_TRAILING_COMMA}') then
                regexp_matches(regexp_replace(text, '{_JSON_STRING}', '""', 'g'), '{_TRAILING_COMMA}') end
                then 'not_json'
            when case when starts_with(text, '{{') then false else ltrim(text, ' \t')[1] <> '{{' end
                then 'not_an_object'
            end
        else case {_UNREADABLE}
            when trim(text, ' \t\r\n') = '' then 'empty_line'
            when ltrim(text, ' \t')[1] = '{{'
                and length(replace({bare}, '}}', '')) > length(replace({bare}, '{{', '')) then 'truncated_json'
            else 'not_json' end
        end as unread from lines
    ), opened as (
        select line, unread, case when unread is null then from_json(text, {shape}) end as object from judged
    ), fields as (
        select line, unread, {raw} from opened
    )
    select line as _line, coalesce(unread, {wrong}) as _problem, {values} from fields"""


def of_csv(columns: Sequence[Column], header: Sequence[str], lines: str = "lines") -> str:
    """Rows of `lines`, each a record of CSV with the fields of `header`; line 1 is the header."""
    fields = f"""
        case when contains(text, '"') then list_transform(
            regexp_extract_all(text || ',', '({_CSV_FIELD}),', 1),
            lambda field: case when starts_with(field, '"') then replace(field[2:-2], '""', '"') else field end)
        else string_split(text, ',') end"""
    place = {name: index + 1 for index, name in enumerate(header)}
    raw = [
        f"fields[{place[column.name]}] as r{index}" if column.name in place else f"null::varchar as r{index}"
        for index, column in enumerate(columns)
    ]
    values, wrong = _both([(column, *column.from_text(f"r{index}")) for index, column in enumerate(columns)])
    return f"""
    with judged as (
        select line, text, case {_UNREADABLE}
        when text = '' then 'empty_line'
        when case when contains(text, '"') then not regexp_full_match(text || ',', '(?:(?:{_CSV_FIELD}),)+') end
            then 'broken_quotes'
        end as unread from (select line, rtrim(text, '\r\n') as text from {lines} where line > 1)
    ), split as (
        select line, unread, case when unread is null then {fields} end as fields from judged
    ), counted as (
        select line, coalesce(
            unread, case when len(fields) <> {len(header)} then 'wrong_number_of_fields' end
        ) as unread, fields from split
    ), fields as (
        select line, unread, {", ".join(raw)} from (
            select line, unread, case when unread is null then fields end as fields from counted
        )
    )
    select line as _line, coalesce(unread, {wrong}) as _problem, {values} from fields"""


def csv_records(fields: int, lines: str) -> str:
    """The records of `lines`, quoted line breaks mended: each is known by the number of its first line.

    A quotation mark opens a record that ends where the marks balance. Where what comes out is no record of `fields`
    fields, its lines stand for themselves, so that a stray mark spoils its own line and not those that follow.
    """
    whole = f"""regexp_full_match(text || ',', '(?:(?:{_CSV_FIELD}),)+')
            and len(regexp_extract_all(text || ',', '(?:{_CSV_FIELD}),')) = {fields}"""
    return f"""
    with counted as (
        select line, text, length(text) - length(replace(text, '"', '')) as marks
        from (select line, rtrim(text, '\r\n') as text from {lines} where line > 1)
    ), placed as (
        select line, text, 1 - coalesce(sum(marks) over (
            order by line rows between unbounded preceding and 1 preceding), 0) % 2 as starts from counted
    ), grouped as (
        select line, text, sum(starts) over (order by line rows unbounded preceding) as record from placed
    ), joined as (
        select record, min(line) as line, count(*) as lines, string_agg(text, chr(10) order by line) as text
        from grouped group by record
    ), judged as (
        select *, lines = 1 or ({whole}) as is_record from joined
    )
    select line, text from judged where is_record
    union all
    select line, text from grouped semi join (select record from judged where not is_record) using (record)"""


def of_parquet(path: str, columns: Sequence[Column], types: Mapping[str, str]) -> str:
    """Rows of a Parquet file whose columns have the DuckDB types `types`; columns it lacks are null."""
    read = [
        (
            column,
            *(
                column.from_typed(f"file.{quoted(column.name)}", base_type(types[column.name]))
                if column.name in types
                else (f"null::{column.stored_as}", "false")
            ),
        )
        for column in columns
    ]
    values, wrong = _both(read)
    return f"""
    select file_row_number + 1 as _line, {wrong} as _problem, {values}
    from read_parquet({literal(path)}, file_row_number = true) as file"""


def header_of(line: str) -> list[str]:
    """Names of the columns in the first line of a CSV file."""
    return [name.strip() for name in next(csv.reader([line.lstrip("\ufeff").rstrip("\r\n")]), [])]


def changed_schema(
    columns: Sequence[Column], found: Sequence[str], types: Mapping[str, str] | None = None
) -> str | None:
    """What is wrong with a file that has the columns `found`, in a sentence with the remedy; None when nothing is."""
    twice = sorted({name for name in found if list(found).count(name) > 1})
    if twice:
        return f"names the column {_listed(twice)} twice. Keep one of each, and land the file again."
    missing = [column.name for column in columns if column.required and column.name not in found]
    if missing:
        column, them = ("column", "it") if len(missing) == 1 else ("columns", "them")
        return (
            f"misses the {column} {_listed(missing)} (found: {', '.join(found) or 'none'}). "
            f"Add or rename {them}, and land the file again; `flywheel doctor` checks all files."
        )
    wrong = [
        f"{column.name!r} is {types[column.name]}, not {column.kind}"
        for column in columns
        if types and column.name in types and base_type(types[column.name]) not in TYPES[column.kind]
    ]
    if wrong:
        return f"has columns of another type: {'; '.join(wrong)}. Convert them, and land the file again."
    return None


def base_type(kind: str) -> str:
    """A DuckDB type without its parameters: DECIMAL(18,3) is a DECIMAL, and a list is a LIST."""
    return "LIST" if kind.endswith("]") else kind.partition("(")[0]


def _both(read: Sequence[tuple[Column, str, str]]) -> tuple[str, str]:
    values = ", ".join(f"{value} as {quoted(column.name)}" for column, value, _ in read)
    wrong = " ".join(f"when {condition} then {literal(column.code)}" for column, _, condition in read)
    return values, f"case {wrong} end"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
