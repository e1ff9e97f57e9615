"""Columns of a landed file: what each must hold, and how it is read from JSON, CSV and Parquet.

Here: one column's value, the condition under which it cannot be read and the problem to name then, as SQL expressions.
Not here: a line as a whole (rows), what a moment may look like (moments), and what a value must be to make sense
(events, subjects, reviews).

A column is read as it is declared, in every format alike: what the first rows of a file look like decides nothing.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from orchestration.landing.rules.moments import AMBIGUOUS, day, moment

Kind = Literal["text", "scalar", "fact", "object", "number", "flag", "moment", "day"]

STORED_AS: dict[Kind, str] = {
    "text": "VARCHAR",
    "scalar": "VARCHAR",
    "fact": "VARCHAR",
    "object": "VARCHAR",
    "number": "DOUBLE",
    "flag": "BOOLEAN",
    "moment": "TIMESTAMP",
    "day": "TIMESTAMP",
}
_PROBLEM: dict[Kind, str] = {
    "text": "wrong_type",
    "scalar": "wrong_type",
    "fact": "wrong_type",
    "object": "wrong_type",
    "number": "not_a_number",
    "flag": "wrong_type",
    "moment": "bad_timestamp",
    "day": "bad_timestamp",
}
_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
_FRACTION = {"FLOAT", "DOUBLE", "DECIMAL"}
_MOMENT = {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"}
_TEXT = {"VARCHAR", "ENUM", "UUID"}
_PRINTABLE = _TEXT | _WHOLE | _FRACTION | _MOMENT | {"BOOLEAN", "DATE", "JSON"}
# INTEGER is what a column without any value is read as.
TYPES: dict[Kind, set[str] | None] = {
    "text": _TEXT | _WHOLE,
    "scalar": _TEXT | _WHOLE | _FRACTION | _MOMENT | {"BOOLEAN", "DATE"},
    "fact": None,
    "object": {"VARCHAR", "JSON", "INTEGER"},
    "number": _WHOLE | _FRACTION | {"VARCHAR"},
    "flag": _WHOLE | _FRACTION | {"BOOLEAN", "VARCHAR"},
    "moment": _MOMENT | _WHOLE | _FRACTION | {"VARCHAR"},
    "day": _MOMENT | _WHOLE | _FRACTION | {"VARCHAR", "DATE"},
}
"""Types of a Parquet column that each kind is read from, None for all; any other is a changed schema."""

_IDENTITY = r"-?\d{1,40}"  # a number that is plainly a name: 17, and neither 17.0 nor 1e9
_THOUSANDS = r"[+-]?[1-9]\d{0,2}(\.\d{3}){2,}"
_ONE_DOT_OF_THREE = r"[+-]?[1-9]\d{0,2}\.\d{3}"
_WITH_COMMA = r"[+-]?(\d+|\d{1,3}(\.\d{3})+)?,\d+"


class Reading(NamedTuple):
    """SQL: the value, whether there is one that cannot be read, and the problem of it then."""

    value: str
    wrong: str
    problem: str


@dataclass(frozen=True)
class Column:
    """One column of a landed file. `required` means that a file without it is refused as a whole.

    `text` is text (in JSON also a whole number), `scalar` anything printable, `object` a JSON object, in JSON also as
    a string, `number` a finite double, `flag` a boolean (true, yes, 1 and their opposites), `moment` a point in time,
    as a naive UTC timestamp, `day` that or a date. Numbers, flags and moments may stand in quotation marks, and
    an empty text is no value of them. `problem` overrides the reason code of an unreadable value, `mapped_by` says what
    else than adding it helps where it is missing.
    """

    name: str
    kind: Kind = "text"
    required: bool = False
    problem: str | None = None
    mapped_by: str = ""

    @property
    def stored_as(self) -> str:
        return STORED_AS[self.kind]

    @property
    def code(self) -> str:
        """The problem of a value that cannot be read."""
        return f"{self.problem or _PROBLEM[self.kind]}:{self.name}"

    def from_json(self, raw: str) -> Reading:
        """`raw` is JSON as text, null where the object has none."""
        text = f"case when contains({raw}, '\\') then json_extract_string({raw}, '$') else ({raw})[2:-2] end"
        is_text = f"starts_with({raw}, '\"')"
        either = f"case when {is_text} then {text} else {raw} end"
        problem = literal(self.code)
        match self.kind:
            case "text":
                named = f"regexp_full_match({raw}, '{_IDENTITY}')"
                return Reading(
                    f"case when {is_text} then {text} when {named} then {raw} end",
                    f"case when {is_text} then false else not {named} end",
                    problem,
                )
            case "scalar":
                return Reading(
                    f"case when {is_text} then {text} else nullif({raw}, 'NaN') end",
                    f"({raw} >= '{{' or starts_with({raw}, '['))",
                    problem,
                )
            case "fact":
                listed = f"array_to_string(try_cast(try_cast({raw} as json) as varchar[]), ', ')"
                flat = f"case when json_array_length({raw}) > 0 and not contains({raw}, '{{') then {listed} end"
                nested = f"case when starts_with({raw}, '[') then {flat} end"
                plain = f"case when {is_text} then {text} else nullif({raw}, 'NaN') end"
                return Reading(
                    f"case when {raw} >= '{{' or starts_with({raw}, '[') then {nested} else {plain} end",
                    "false",
                    "null",
                )
            case "object":
                return Reading(either, _no_object(either), problem)
            case "flag":
                slow = _flag(either)
                value = f"case {raw} when 'true' then true when 'false' then false else {slow} end"
                return Reading(value, f"trim({either}) <> '' and {value} is null", problem)
            case "number":
                value = f"case when {is_text} then {_number(text)} else try_cast({raw} as double) end"
                given = f"case when {is_text} then trim({text}) <> '' else {raw} is not null end"
                return Reading(value, f"{given} and not coalesce(isfinite({value}), false)", problem)
            case "moment" | "day":
                return self._moment(either)

    def from_text(self, text: str, *, comma: bool = False) -> Reading:
        """`text` is a field of CSV; an empty one is no value. `comma` says that numbers may have decimal commas."""
        problem = literal(self.code)
        match self.kind:
            case "text" | "scalar" | "fact":
                return Reading(f"nullif({text}, '')", "false", problem)
            case "object":
                return Reading(f"nullif({text}, '')", f"{text} <> '' and {_no_object(text)}", problem)
            case "flag":
                value = _flag(text)
                return Reading(value, f"trim({text}) <> '' and {value} is null", problem)
            case "number":
                value = _number_with_comma(text) if comma else _number(text)
                wrong = f"trim({text}) <> '' and not coalesce(isfinite({value}), false)"
                if comma:
                    unsure = f"regexp_full_match(trim({text}), '{_ONE_DOT_OF_THREE}')"
                    problem = f"case when {unsure} then {literal(f'ambiguous_number:{self.name}')} else {problem} end"
                return Reading(value, wrong, problem)
            case "moment" | "day":
                return self._moment(text)

    def from_typed(self, value: str, kind: str) -> Reading:
        """`value` is a Parquet column of DuckDB type `kind`, one of `TYPES`."""
        if kind in ("VARCHAR", "JSON"):
            return self.from_text(f"{value}::varchar" if kind == "JSON" else value)
        if kind == "TIMESTAMP WITH TIME ZONE" and self.kind in ("moment", "day"):
            return Reading(f"make_timestamp(epoch_us({value}))", "false", literal(self.code))
        if kind in _WHOLE | _FRACTION and self.kind in ("flag", "moment", "day"):
            return self.from_text(f"{value}::varchar")
        cast = f"try_cast({value} as {self.stored_as})"
        if self.kind == "fact" and kind not in _PRINTABLE:
            flat = f"case when not regexp_matches(typeof({value}), 'STRUCT|MAP|UNION') then {value}::varchar[] end"
            return Reading(f"array_to_string({flat}, ', ')" if kind == "LIST" else "null::varchar", "false", "null")
        if kind in ("FLOAT", "DOUBLE") and self.kind in ("scalar", "fact"):
            return Reading(f"case when not isnan({value}) then {cast} end", "false", literal(self.code))
        if self.kind == "number":
            wrong = f"{value} is not null and not coalesce(isfinite({cast}), false)"
            return Reading(cast, wrong, literal(self.code))
        return Reading(cast, f"{value} is not null and {cast} is null", literal(self.code))

    def _moment(self, text: str) -> Reading:
        value = day(text) if self.kind == "day" else moment(text)
        ambiguous = f"case when regexp_matches({text}, '{AMBIGUOUS}') then {literal(f'ambiguous_date:{self.name}')}"
        return Reading(value, f"trim({text}) <> '' and {value} is null", f"{ambiguous} else {literal(self.code)} end")


def _flag(text: str) -> str:
    # 1.0 is what a flag becomes in a column of numbers that has a gap.
    return f"try_cast(regexp_replace(trim({text}), '^([01])\\.0$', '\\1') as boolean)"


def _number(text: str) -> str:
    # The cast takes 1_000 for a thousand; nobody else does.
    return f"case when not contains({text}, '_') then try_cast({text} as double) end"


def _number_with_comma(text: str) -> str:
    """A number where commas may be decimal: 1.234,5 and 1.234.567 and 12.5 are read; 1.234 could be either."""
    bare = f"trim({text})"
    return f"""case when contains({text}, ',') then case when regexp_full_match({bare}, '{_WITH_COMMA}')
            then try_cast(replace(replace({bare}, '.', ''), ',', '.') as double) end
        when regexp_full_match({bare}, '{_THOUSANDS}') then try_cast(replace({bare}, '.', '') as double)
        when not regexp_full_match({bare}, '{_ONE_DOT_OF_THREE}') then {_number(text)} end"""


def _no_object(text: str) -> str:
    # The type of what is no JSON cannot be asked for.
    return f"case when json_valid({text}) then json_type({text}) <> 'OBJECT' else {text} is not null end"


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"
