"""Points in time: what a landed text may look like to be one, and the moment that it then is, as SQL.

Here: ISO 8601 in the forms that senders use, and seconds, or parts of them, since 1970.
Not here: which columns hold moments (columns) and when a moment is too early or too late (events, reviews).

A moment is a naive TIMESTAMP in UTC; a text without an offset is taken for UTC.
"""

AMBIGUOUS = r"^\s*\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}\b"
"""A date whose first number may be the day or the month."""

_ZONE = r"(Z|UTC|GMT|[+-](0\d|1[0-4])(:?\d\d)?)"
_ISO_8601 = rf"\d{{4,}}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)? ?{_ZONE}?"
_DATE = r"\d{4}-\d\d-\d\d"
_COMPACT = r"^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)?"
_WITHOUT_SECONDS = r"^(\d{4,}-\d\d-\d\d[T ]\d\d:\d\d)($|[^:\d])"
_SINCE_1970 = r"\d{9,19}(\.\d+)?|\d(\.\d+)?E\+?(0?9|1\d)"
_US_PER_SECOND = 1_000_000


def moment(text: str) -> str:
    """The moment that `text` names; null where it names none, such as a date without a time."""
    # What ends in Z and has seconds is the usual form, and cast at once. The comparisons keep out `infinity` and
    # `epoch`, the length dates without a time.
    usual = f"""case when {text} >= '0' and {text} < ':' and length({text}) >= 16 and ends_with({text}, 'Z')
        then try_cast({text} as timestamp) end"""
    return f"coalesce({usual}, {_other(text)})"


def day(text: str) -> str:
    """The same, or the first moment of the date that `text` names."""
    bare = f"trim({text})"
    date = f"case when regexp_full_match({bare}, '{_DATE}') then try_cast({bare} as timestamp) end"
    return f"coalesce({moment(text)}, {date})"


def _other(text: str) -> str:
    # A cast to TIMESTAMP ignores an offset, and one to TIMESTAMPTZ knows more than ISO 8601: it is looked at before.
    bare = f"regexp_replace(upper(trim({text})), '{_COMPACT}', '\\1-\\2-\\3T\\4:\\5:\\6')"
    whole = f"regexp_replace({bare}, '{_WITHOUT_SECONDS}', '\\1:00\\2')"
    zoned = f"replace(regexp_replace({whole}, ' ?(Z|UTC|GMT)$', '+00:00'), ',', '.')"
    zoned = f"regexp_replace({zoned}, ' ([+-])', '\\1')"
    return f"""case when regexp_full_match({bare}, '{_ISO_8601}')
        then make_timestamp(epoch_us(try_cast({zoned} as timestamptz)))
        when regexp_full_match({bare}, '{_SINCE_1970}') then {_since_1970(f"try_cast({bare} as double)")} end"""


def _since_1970(number: str) -> str:
    """Seconds, or thousandths, millionths or thousand millionths of them: they lie far apart for any date of today."""
    us = f"""case when {number} < 1e11 then {number} * {_US_PER_SECOND} when {number} < 1e14 then {number} * 1000
        when {number} < 1e17 then {number} when {number} < 1e20 then {number} / 1000 end"""
    return f"make_timestamp(try_cast(round({us}) as bigint))"
