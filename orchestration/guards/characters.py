"""Does it hold characters that nobody sees and that no publication may hold?

Here: control and format characters, byte orders, bidi overrides, zero-width and tag characters, surrogates, private and
unassigned code points, in every field of an answer.
Not here: look-alike letters (readings) and markup (form).
"""

import unicodedata
from collections.abc import Iterator

from orchestration.guards.verdict import Draft, Verdict

NAME = "characters"
_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_JOINER = "\u200d"


def unprintable(text: str) -> list[str]:
    """The characters of a text that may not be published, in the form U+202E; each once.

    Line breaks and tabs are fine, and so are the joiner between two emoji and one variation selector after a sign.
    """
    return list(dict.fromkeys(f"U+{ord(each):04X}" for at, each in enumerate(text) if _is_unseen(text, at, each)))


def without_unprintable(text: str) -> str:
    """A text without the characters that may not be published."""
    return "".join(each for at, each in enumerate(text) if not _is_unseen(text, at, each))


def unpublishable(draft: Draft) -> Verdict | None:
    """A block naming the characters, or None where the text and every field of the answer are clean."""
    found = list(dict.fromkeys(each for text in (draft.text, *_texts(draft.answer)) for each in unprintable(text)))
    if not found:
        return None
    return Verdict(NAME, "block", f"It contains characters that cannot be seen: {', '.join(found[:5])}.")


def _is_unseen(text: str, at: int, each: str) -> bool:
    if each.isascii():
        return not (each.isprintable() or each in "\n\t" or text[at : at + 2] == "\r\n")
    if each == _JOINER:
        return not (at and _ends_emoji(text, at - 1) and text[at + 1 : at + 2] and _is_sign(text[at + 1]))
    if "\ufe00" <= each <= "\ufe0f" or "\U000e0100" <= each <= "\U000e01ef":
        return not (each in "\ufe0e\ufe0f" and at and _takes_variation(text[at - 1]))
    return each in _BLANK or unicodedata.category(each) in _UNSEEN


def _is_sign(character: str) -> bool:
    return unicodedata.category(character) in ("So", "Sm")


def _ends_emoji(text: str, at: int) -> bool:
    character = text[at]
    skin = "\U0001f3fb" <= character <= "\U0001f3ff"
    return _is_sign(character) or skin or (character == "\ufe0f" and at > 0 and _takes_variation(text[at - 1]))


def _takes_variation(character: str) -> bool:
    return unicodedata.category(character) in ("So", "Sm", "Po", "Pd", "Nd")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield str(name)
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
