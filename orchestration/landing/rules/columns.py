"""Columns of a landed file: what each must hold, and how it is read from JSON, CSV and Parquet.

Here: one column's value and the condition under which it cannot be read, as SQL expressions.
Not here: a line as a whole (rows), and what a value must be to make sense (events, subjects, reviews).
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "scalar", "object", "number", "flag", "moment"]

STORED_AS: dict[Kind, str] = {
    "text": "VARCHAR",
    "scalar": "VARCHAR",
    "object": "VARCHAR",
    "number": "DOUBLE",
    "flag": "BOOLEAN",
    "moment": "TIMESTAMP",
}
_PROBLEM: dict[Kind, str] = {
    "text": "wrong_type",
    "scalar": "wrong_type",
    "object": "wrong_type",
    "number": "not_a_number",
    "flag": "wrong_type",
    "moment": "bad_timestamp",
}
_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
_FRACTION = {"FLOAT", "DOUBLE", "DECIMAL"}
_MOMENT = {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"}
_TEXT = {"VARCHAR", "ENUM", "UUID"}
_ISO_8601 = r"\d{4,}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?([+-](0\d|1[0-4])(:?\d\d)?)?"
# INTEGER is what a column without any value is read as.
TYPES: dict[Kind, set[str]] = {
    "text": _TEXT | _WHOLE,
    "scalar": _TEXT | _WHOLE | _FRACTION | _MOMENT | {"BOOLEAN", "DATE"},
    "object": {"VARCHAR", "JSON", "INTEGER"},
    "number": _WHOLE | _FRACTION | {"VARCHAR"},
    "flag": {"BOOLEAN", "VARCHAR", "INTEGER"},
    "moment": _MOMENT | {"VARCHAR"},
}
"""Types of a Parquet column that each kind is read from; any other is a changed schema."""


@dataclass(frozen=True)
class Column:
    """One column of a landed file. `required` means that a file without it is refused as a whole.

    `text` is text (in JSON, a string), `scalar` anything printable, `object` a JSON object, in JSON also as a string,
    `number` a finite double, `flag` a boolean, `moment` a point in time, as a naive UTC timestamp. `problem` overrides
    the reason code of an unreadable value.
    """

    name: str
    kind: Kind = "text"
    required: bool = False
    problem: str | None = None

    @property
    def stored_as(self) -> str:
        return STORED_AS[self.kind]

    @property
    def code(self) -> str:
        """The problem of a value that cannot be read."""
        return f"{self.problem or _PROBLEM[self.kind]}:{self.name}"

    def from_json(self, raw: str) -> tuple[str, str]:
        """Value, and whether it is wrong, of `raw`: JSON as text, null where the object has none."""
        text = f"case when contains({raw}, '\\') then json_extract_string({raw}, '$') else ({raw})[2:-2] end"
        is_text = f"starts_with({raw}, '\"')"
        match self.kind:
            case "text":
                return f"case when {is_text} then {text} end", f"not {is_text}"
            case "scalar":
                return f"case when {is_text} then {text} else {raw} end", f"({raw} >= '{{' or starts_with({raw}, '['))"
            case "object":
                value = f"case when {is_text} then {text} else {raw} end"
                return value, _no_object(value)
            case "flag":
                return (
                    f"case {raw} when 'true' then true when 'false' then false end",
                    f"{raw} not in ('true', 'false')",
                )
            case "number":
                value = f"try_cast({raw} as double)"
                return value, f"{raw} is not null and not coalesce(isfinite({value}), false)"
            case "moment":
                value = f"case when {is_text} then {_moment(text)} end"
                return value, f"{raw} is not null and {value} is null"

    def from_text(self, text: str) -> tuple[str, str]:
        """Value, and whether it is wrong, of `text`: a field of CSV; an empty one is no value."""
        match self.kind:
            case "text" | "scalar":
                return f"nullif({text}, '')", "false"
            case "object":
                return f"nullif({text}, '')", f"{text} <> '' and {_no_object(text)}"
            case "flag":
                value = f"try_cast({text} as boolean)"
                return value, f"{text} <> '' and {value} is null"
            case "number":
                value = f"try_cast({text} as double)"
                return value, f"{text} <> '' and not coalesce(isfinite({value}), false)"
            case "moment":
                return _moment(text), f"{text} <> '' and {_moment(text)} is null"

    def from_typed(self, value: str, kind: str) -> tuple[str, str]:
        """Value, and whether it is wrong, of `value`: a Parquet column of DuckDB type `kind`, one of `TYPES`."""
        if kind in ("VARCHAR", "JSON"):
            return self.from_text(f"{value}::varchar" if kind == "JSON" else value)
        if kind == "TIMESTAMP WITH TIME ZONE" and self.kind == "moment":
            return f"make_timestamp(epoch_us({value}))", "false"
        cast = f"try_cast({value} as {self.stored_as})"
        if self.kind == "number":
            return cast, f"{value} is not null and not coalesce(isfinite({cast}), false)"
        return cast, f"{value} is not null and {cast} is null"


def _no_object(text: str) -> str:
    # The type of what is no JSON cannot be asked for.
    return f"case when json_valid({text}) then json_type({text}) <> 'OBJECT' else {text} is not null end"


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _moment(text: str) -> str:
    # A cast to TIMESTAMP ignores an offset, and one to TIMESTAMPTZ knows more than ISO 8601: only what does not end in
    # Z goes there, and is looked at closely before. The first comparison keeps out `infinity` and `epoch`, the length
    # dates without a time.
    return f"""case when {text} >= '0' and {text} < ':' and length({text}) >= 16 then
        case when ends_with({text}, 'Z') then try_cast({text} as timestamp)
        when regexp_full_match({text}, '{_ISO_8601}') then make_timestamp(epoch_us(try_cast({text} as timestamptz)))
        end end"""
