"""What crosses between a program and its judge: frames that can hold plain data and nothing else.

Here: `Wire`, `encode` and `decode`. What is decoded is of exactly the built-in types, whatever was sent: an object that
claims to equal everything arrives as one that equals nothing.
Not here: what is asked and answered (program, judge).

A value is a letter, a length and a colon, then as many bytes (of a number or text) or values (of a collection). This is
not JSON because loading `json` took longer than a whole small trial otherwise does, and lacks most of the types.
"""

from __future__ import annotations

import os
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LONGEST_FRAME = 16 * 2**20
LONGEST_ITERATION = 100_000
_LONGEST_HEADER = 16
_EMPTY: dict[None, None] = {}
_VIEWS = (type(_EMPTY.keys()), type(_EMPTY.values()), type(_EMPTY.items()))


class NotPlainData(TypeError):
    """A value that cannot cross."""


class Opaque:
    """An object of the program's: all that is known of it here is whether it is true. It equals only itself."""

    __slots__ = ("_name", "_true")

    def __init__(self, name: str, true: bool) -> None:
        self._name, self._true = name, true

    def __bool__(self) -> bool:
        return self._true

    def __repr__(self) -> str:
        return f"<an object of the program's, which calls it {self._name!r}>"


class Wire:
    """Two pipes. No frame is longer than `LONGEST_FRAME`, so that neither side can fill the other."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming, self._outgoing = incoming, outgoing

    def send(self, message: object) -> None:
        """Raises NotPlainData where the message is too long to cross."""
        frame = framed(message)
        if len(frame) > LONGEST_FRAME:
            raise NotPlainData(f"{len(frame):,} bytes are more than can be handed over ({LONGEST_FRAME:,})")
        left = memoryview(frame)
        while left:
            left = left[os.write(self._outgoing, left) :]

    def receive(self) -> Any:
        """The next message. Raises EOFError where the other side has gone, ValueError where it sends no frame."""
        header = bytearray()
        while (byte := self._exactly(1)) != b"\n":
            header += byte
            if len(header) > _LONGEST_HEADER:
                raise ValueError("no frame")
        length = int(header)
        if not 0 <= length <= LONGEST_FRAME:
            raise ValueError(f"a frame of {length} bytes")
        return decode(self._exactly(length))

    def _exactly(self, length: int) -> bytes:
        content = bytearray()
        while len(content) < length:
            if not (more := os.read(self._incoming, min(length - len(content), 2**20))):
                raise EOFError("the other side has gone")
            content += more
        return bytes(content)


def framed(message: object) -> bytes:
    """The message as it crosses: its length in a line, then its value."""
    content = encode(message)
    return b"%d\n%s" % (len(content), content)


def encode(value: Any) -> bytes:
    """`value` as bytes. Raises NotPlainData for an iterator that does not end, RecursionError where it holds itself.

    Subclasses cross as the type they extend (a Counter as a dict); an iterator as the items it has yet to give.
    """
    parts: list[bytes] = []
    _write(value, parts)
    return b"".join(parts)


def _write(value: Any, parts: list[bytes]) -> None:
    if value is None or value is True or value is False:
        return _scalar(b"c", repr(value).encode(), parts)
    if isinstance(value, int):
        return _scalar(b"i", b"%x" % int(value), parts)
    if isinstance(value, float):
        return _scalar(b"f", repr(float(value)).encode(), parts)
    if isinstance(value, complex):
        return _scalar(b"j", repr(complex(value)).encode(), parts)
    if isinstance(value, str):
        return _scalar(b"s", str.encode(value, "utf-8", "surrogatepass"), parts)
    if isinstance(value, (bytes, bytearray)):
        return _scalar(b"b", bytes(value), parts)
    if isinstance(value, dict):
        return _collection(b"D", [part for item in dict.items(value) for part in item], parts)
    for letter, kind in ((b"L", list), (b"T", tuple), (b"S", set), (b"F", frozenset)):
        if isinstance(value, kind):
            return _collection(letter, list(value), parts)
    if isinstance(value, range):
        return _collection(b"R", [value.start, value.stop, value.step], parts)
    if hasattr(value, "__next__") or isinstance(value, _VIEWS):
        items = list(islice(iter(value), LONGEST_ITERATION + 1))
        if len(items) > LONGEST_ITERATION:
            raise NotPlainData(f"an iterator of more than {LONGEST_ITERATION:,} items cannot be handed over")
        return _collection(b"I", items, parts)
    return _collection(b"O", [type(value).__name__[:100], bool(value)], parts)


def _scalar(letter: bytes, content: bytes, parts: list[bytes]) -> None:
    parts.append(b"%s%d:%s" % (letter, len(content), content))


def _collection(letter: bytes, items: list[Any], parts: list[bytes]) -> None:
    parts.append(b"%s%d:" % (letter, len(items)))
    for item in items:
        _write(item, parts)


def decode(content: bytes) -> Any:
    """The value that `encode` was given. Raises ValueError or TypeError where it was given none, RecursionError where
    it is nested too deeply."""
    value, end = _read(content, 0)
    if end != len(content):
        raise ValueError("there is more than a value")
    return value


def _read(content: bytes, start: int) -> tuple[Any, int]:
    colon = content.index(b":", start + 1, start + 1 + _LONGEST_HEADER)
    letter, size = content[start : start + 1], int(content[start + 1 : colon])
    at = colon + 1
    if not 0 <= size <= len(content) - at:
        raise ValueError("a value that is longer than its frame")
    if letter.islower():
        return _SCALARS[letter](content[at : at + size]), at + size
    items = []
    for _ in range(size):
        item, at = _read(content, at)
        items.append(item)
    return _COLLECTIONS[letter](items), at


def _paired(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ValueError("a key without its value")
    return dict(zip(items[::2], items[1::2], strict=True))


def _opaque(items: list[Any]) -> Opaque:
    name, true = items
    return Opaque(str(name)[:100], true is True)


_SCALARS: dict[bytes, Any] = {
    b"c": lambda content: {b"None": None, b"True": True, b"False": False}.get(content),
    b"i": lambda content: int(content, 16),
    b"f": lambda content: float(content),
    b"j": lambda content: complex(content.decode()),
    b"s": lambda content: content.decode("utf-8", "surrogatepass"),
    b"b": lambda content: content,
}
_COLLECTIONS: dict[bytes, Any] = {
    b"L": list,
    b"T": tuple,
    b"S": set,
    b"F": frozenset,
    b"I": iter,
    b"D": _paired,
    b"R": lambda items: range(*items),
    b"O": _opaque,
}
