"""From lines or Parquet columns to typed rows, each with the problem that reading it met.

Here: SELECTs that give `_line`, `_problem` and the columns, over a Parquet file or the lines of a text file: a
relation `lines` (line BIGINT, text VARCHAR with its line end).
Not here: how bytes become lines (landing.landed_text) and what rows must mean (events, subjects, reviews).
"""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestration.landing.rules.columns import TYPES, Column, Reading, literal, quoted

SUBSTITUTE = "\x1a"
"""What stands for bytes that are not text; never valid in JSON, and the control character made for this."""
END_OF_MEDIUM = "\x19"
"""What stands for a line too long to be one."""

LONGEST_NAME, MOST_NAMES = 40, 40
"""How much a message says of the columns that a file has."""
_UNREADABLE = f"""
        when contains(text, '{SUBSTITUTE}') then 'bad_encoding'
        when starts_with(text, '{END_OF_MEDIUM}') then 'too_long'"""
# DuckDB's parser tolerates a comma before a closing bracket; strings are blanked before it is looked for in earnest.
_TRAILING_COMMA = r",\s*[}\]]"
_JSON_STRING = r'"(?:\\.|[^"\\])*"'
_SEPARATORS = ",;\t|"
_EXCEL_SAYS = re.compile(r"^\ufeff?\"?sep=(.)\"?\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """What the first lines of a CSV file say: the names of its columns, what separates fields, and on which `line` the
    names stand, from 1. Numbers of a file whose fields are not separated by commas may have decimal commas."""

    names: tuple[str, ...]
    separator: str = ","
    line: int = 1

    @property
    def field(self) -> str:
        """One field as a regular expression."""
        apart = _escaped(self.separator)
        return rf'"(?:[^"]|"")*"|[^"{apart}\n][^{apart}\n]*|'

    @property
    def record(self) -> str:
        """Fields, each with what separates it from the next, as a regular expression."""
        return f"(?:{self.field}){_escaped(self.separator)}"


def none(columns: Sequence[Column]) -> str:
    """The table `arrived` of a text file without a row."""
    typed = ", ".join(f"{quoted(column.name)} {column.stored_as}" for column in columns)
    return f"create temp table arrived (_line bigint, _problem varchar, {typed})"


def of_ndjson(columns: Sequence[Column]) -> str:
    """Rows of `lines`, one JSON object each. Keys that no column names are ignored."""
    shape = literal(json.dumps({column.name: "JSON" for column in columns}))
    raw = ", ".join(f"(object.{quoted(column.name)})::varchar as r{index}" for index, column in enumerate(columns))
    bare = f"regexp_replace(text, '{_JSON_STRING}?', '', 'g')"  # the last string may be open
    values, wrong = _both([(column, column.from_json(f"r{index}")) for index, column in enumerate(columns)])
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


def of_csv(columns: Sequence[Column], header: Header, lines: str = "lines") -> str:
    """Rows of `lines`, each a record of CSV with the fields of `header`, which ends on its `line`."""
    apart = literal(header.separator)
    fields = f"""
        case when contains(text, '"') then list_transform(
            regexp_extract_all(text || {apart}, '({header.field}){_escaped(header.separator)}', 1),
            lambda field: case when starts_with(field, '"') then replace(field[2:-2], '""', '"') else field end)
        else string_split(text, {apart}) end"""
    place = {name: index + 1 for index, name in enumerate(header.names)}
    raw = [
        f"fields[{place[column.name]}] as r{index}" if column.name in place else f"null::varchar as r{index}"
        for index, column in enumerate(columns)
    ]
    comma = header.separator != ","
    values, wrong = _both(
        [(column, column.from_text(f"r{index}", comma=comma)) for index, column in enumerate(columns)]
    )
    return f"""
    with judged as (
        select line, text, case {_UNREADABLE}
        when text = '' then 'empty_line'
        when case when contains(text, '"') then not regexp_full_match(text || {apart}, '(?:{header.record})+') end
            then 'broken_quotes'
        end as unread from (select line, rtrim(text, '\r\n') as text from {lines} where line > {header.line})
    ), split as (
        select line, unread, case when unread is null then {fields} end as fields from judged
    ), counted as (
        select line, coalesce(
            unread, case when len(fields) <> {len(header.names)} then 'wrong_number_of_fields' end
        ) as unread, fields from split
    ), fields as (
        select line, unread, {", ".join(raw)} from (
            select line, unread, case when unread is null then fields end as fields from counted
        )
    )
    select line as _line, coalesce(unread, {wrong}) as _problem, {values} from fields"""


def csv_records(header: Header, lines: str) -> str:
    """The records of `lines`, quoted line breaks mended: each is known by the number of its first line.

    A quotation mark opens a record that ends where the marks balance. Where what comes out is no record of as many
    fields as the header has, its lines stand for themselves, so that a stray mark spoils its own line and not those
    that follow.
    """
    apart = literal(header.separator)
    whole = f"""regexp_full_match(text || {apart}, '(?:{header.record})+')
            and len(regexp_extract_all(text || {apart}, '{header.record}')) = {len(header.names)}"""
    return f"""
    with counted as (
        select line, text, length(text) - length(replace(text, '"', '')) as marks
        from (select line, rtrim(text, '\r\n') as text from {lines} where line > {header.line})
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
            column.from_typed(f"file.{quoted(column.name)}", base_type(types[column.name]))
            if column.name in types
            else Reading(f"null::{column.stored_as}", "false", "null"),
        )
        for column in columns
    ]
    values, wrong = _both(read)
    return f"""
    select file_row_number + 1 as _line, {wrong} as _problem, {values}
    from read_parquet({literal(path)}, file_row_number = true) as file"""


def header_of(lines: Sequence[str], columns: Sequence[Column], separator: str | None = None) -> Header:
    """The header of a CSV file that starts with `lines`: of the separators in use, the one that finds most `columns`.

    A `separator` that is declared decides, and a first line of the form `sep=;`, which Excel writes.
    """
    first, *others = lines or [""]
    if separator is not None and not _EXCEL_SAYS.match(first):
        return Header(_names(first, separator), separator)
    said = _EXCEL_SAYS.match(first)
    if said:
        return Header(_names(others[0] if others else "", said[1]), said[1], 2)
    declared = {column.name for column in columns}
    found = {separator: _names(first, separator) for separator in _SEPARATORS}
    best = max(_SEPARATORS, key=lambda separator: (len(declared & set(found[separator])), len(found[separator])))
    return Header(found[best], best)


def _names(line: str, separator: str) -> tuple[str, ...]:
    read = csv.reader([line.lstrip("\ufeff").rstrip("\r\n")], delimiter=separator)
    return tuple(name.strip() for name in next(read, []))


def _escaped(separator: str) -> str:
    return {"\t": r"\t"}.get(separator, re.escape(separator))


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
        shown = ", ".join(name[:LONGEST_NAME] for name in found[:MOST_NAMES])
        mapped = next((each.mapped_by for each in columns if each.name == missing[0] and each.mapped_by), "")
        remedy = f"Add {them}, or {mapped}" if mapped else f"Add or rename {them}, and land the file again"
        return (
            f"misses the {column} {_listed(missing)} (found: {shown or 'none'}). "
            f"{remedy.replace('map it', f'map {them}')}; `flywheel doctor` checks all files."
        )
    wrong = [
        f"{column.name!r} is {types[column.name]}, not {column.kind}"
        for column in columns
        if types and column.name in types and _is_another(base_type(types[column.name]), column)
    ]
    if wrong:
        return f"has columns of another type: {'; '.join(wrong)}. Convert them, and land the file again."
    return None


def _is_another(kind: str, column: Column) -> bool:
    readable = TYPES[column.kind]
    return readable is not None and kind not in readable


def base_type(kind: str) -> str:
    """A DuckDB type without its parameters: DECIMAL(18,3) is a DECIMAL, and a list is a LIST."""
    return "LIST" if kind.endswith("]") else kind.partition("(")[0]


def _both(read: Sequence[tuple[Column, Reading]]) -> tuple[str, str]:
    values = ", ".join(f"{reading.value} as {quoted(column.name)}" for column, reading in read)
    wrong = " ".join(f"when {reading.wrong} then {reading.problem}" for _, reading in read)
    return values, f"case {wrong} end"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
