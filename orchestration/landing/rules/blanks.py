"""Identifiers that identify nobody: texts that show nothing, and what programs write where they have no value.

Here: the conditions as SQL, over a text column. Not here: which columns they are asked of (events, subjects, documents,
reviews).
"""

_UNSEEN = r"\p{Z}\p{C}\p{M}\x{115F}\x{1160}\x{2800}\x{3164}\x{FFA0}"
"""For brackets of a regular expression: spaces, control and format characters, marks, letters without a shape."""
_QUOTES = r""""'`´‘’‚“”„«»‹›"""
_AROUND = r"[^\p{L}\p{N}]*"

_NO_VALUE = ("undefined", "null", "none", "nan", "nil", "nat", "void", "missing")
_NO_VALUE_EITHER = (
    *("na", "n/a", "inf", "infinity", "true", "false", "not[ _-]?set", "not[ _-]?provided", "not[ _-]?available"),
    *("unset", "unknown", "empty", "blank", "invalid", "function", "object"),
)
_NOBODY = (
    *("anon", "anonymous", "anonymous[ _-]?(id|user|visitor)", "guest", "guest[ _-]?user", "nobody", "noone"),
    *("not[ _-]?authenticated", "logged[ _-]?out", "default", "test", "string", "id", "email", "user", "visitor"),
    *("(distinct|user|unit|visitor|client|customer|device|session)[ _-]?id",),
)
"""What stands for a person whom the sender does not know; the first of these are those of PostHog's own list."""
_PLACEHOLDERS = (r"\{\{.*\}\}", r"\$\{.*\}", r"\[\[.*\]\]", r"%[a-z_ ]+%", r"<%.*%>", r"__[a-z_]+__", r"\\n")
"""What a template leaves that nobody filled."""


def is_blank(name: str) -> str:
    """Whether nothing in `name` can be seen; null is blank."""
    # Only what starts below the first visible character or above the last one of ASCII is looked at closely.
    unsure = f"{name} < '!' or {name} > '~'"
    return f"({name} is null or case when {unsure} then regexp_full_match({name}, '[{_UNSEEN}]*') else false end)"


def is_no_value(name: str) -> str:
    """Whether `name` is what a program writes for a value that it does not have: null, NaN, [object Object]."""
    return _is_any_of(name, _NO_VALUE_EITHER)


def is_nobody(name: str) -> str:
    """Whether `name` is no value, or stands for whomever the sender does not know: anonymous, the UUID of zeros."""
    return _is_any_of(name, (*_NO_VALUE_EITHER, *_NOBODY, "0+", "-1"))


def _is_any_of(name: str, words: tuple[str, ...]) -> str:
    """In any case, between quotation marks, brackets or spaces, repeated or not; `name` is not null."""
    bare = f"regexp_replace(lower({name}), '[{_UNSEEN}{_quoted(_QUOTES)}]+', ' ', 'g')"
    word = f"({'|'.join(_NO_VALUE)})([^a-z0-9]*({'|'.join(_NO_VALUE)}))*|{'|'.join(words)}"
    uuids = r"(0{8}-?(0{4}-?){3}0{12})|(f{8}-?(f{4}-?){3}f{12})"
    whole = rf"{_AROUND}({word}|{uuids})?{_AROUND}|\s*\[object.*\]\s*|{'|'.join(_PLACEHOLDERS)}"
    return f"case when length({name}) <= 64 then regexp_full_match({bare}, '{_quoted(whole)}') else false end"


def _quoted(pattern: str) -> str:
    return pattern.replace("'", "''")
