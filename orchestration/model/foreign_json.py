"""JSON that somebody else wrote: read without trust in its shape.

Here: parsing with one kind of error, strings that any store takes, and a walk over all strings with their places. Pure.
Not here: what a document means (completions, refusals, replies).
"""

import json
import math
from collections.abc import Iterator
from typing import Any

DEEPEST = 64
"""Most levels of nesting. A deeper document has no meaning here, and would end every recursive function after us."""
_LONGEST_INTEGER = 30  # digits up to which an integer is kept exact: beyond 64 bits, so that a bound can be told


def parsed(content: bytes | str, *, strict: bool = True) -> Any:
    """The document in `content`. Raises ValueError, and nothing else, with a sentence without the content.

    `strict` forbids control characters inside of strings. NaN and the infinities are read as Python reads them; an
    integer of very many digits becomes a float, which may be infinite.
    """
    try:
        document = json.loads(content, strict=strict, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos}") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels") from None
    if _deeper_than(document, DEEPEST):
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    return document


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _deeper_than(document: Any, levels: int) -> bool:
    """Level by level and not by recursion, which is what a deep document ends."""
    level = [document]
    for _ in range(levels + 1):
        level = [
            part
            for holder in level
            if isinstance(holder, dict | list)
            for part in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(part, dict | list)
        ]
        if not level:
            return False
    return True


def whole(text: str) -> str:
    """The text without halves of surrogate pairs, which no encoding has; two halves that belong together are joined."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


def with_strings(document: Any, change: Any) -> Any:
    """The document with every string, names of fields too, replaced by what `change` makes of it."""
    if isinstance(document, str):
        return change(document)
    if isinstance(document, list):
        return [with_strings(part, change) for part in document]
    if isinstance(document, dict):
        return {change(name): with_strings(part, change) for name, part in document.items()}
    return document


def not_storable(document: Any) -> str | None:
    """What no database takes of a document whose strings are whole: a number that is none or too large, or a NUL."""
    if isinstance(document, str):
        return "a NUL character" if "\x00" in document else None
    if isinstance(document, bool) or document is None:
        return None
    if isinstance(document, int):
        return None if -(2**63) <= document < 2**63 else "a number of more than 64 bits"
    if isinstance(document, float):
        return None if math.isfinite(document) else "a number that is not finite"
    parts = [*document, *document.values()] if isinstance(document, dict) else document
    return next((problem for part in parts if (problem := not_storable(part))), None)


Place = tuple[str, ...]


def strings(document: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every string in a document with the names of the fields that lead to it, in the order of the document."""
    if isinstance(document, str):
        yield place, document
    elif isinstance(document, dict):
        for name, part in document.items():
            yield from strings(part, (*place, name))
    elif isinstance(document, list):
        for part in document:
            yield from strings(part, place)


def printable(text: str, at_most: int) -> str:
    """One line of a foreign text: visible characters and single spaces, cut at `at_most` characters."""
    line = " ".join(text.split())
    if not line.isprintable():
        line = "".join(character for character in line if character.isprintable())
    return line if len(line) <= at_most else f"{line[: at_most - 1].rstrip()}…"
