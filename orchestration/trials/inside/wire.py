"""What crosses between a program and its judge: lines of JSON that can hold plain data and nothing else.

Here: `Wire`, `encode` and `decode`. What is decoded is of exactly the built-in types, whatever was sent: an object that
claims to equal everything arrives as a refusal.
Not here: what is asked and answered (program, judge).
"""

import json
import os
from itertools import islice
from typing import Any

LONGEST_LINE = 4 * 2**20
LONGEST_ITERATION = 100_000
_PLAIN_INTEGER = 2**53


class NotPlainData(TypeError):
    """A value that cannot cross: it is not made of the built-in data types."""


class Wire:
    """Two pipes, one message a line. Reading ends at `LONGEST_LINE`, so that neither side can fill the other."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming, self._outgoing, self._buffer = incoming, outgoing, bytearray()

    def send(self, message: object) -> None:
        line = memoryview(json.dumps(message).encode() + b"\n")
        while line:
            line = line[os.write(self._outgoing, line) :]

    def receive(self) -> Any:
        """The next message. Raises EOFError where the other side has gone or sends more than may be sent."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LONGEST_LINE:
                raise EOFError("more was sent at once than may be")
            if not (more := os.read(self._incoming, 65_536)):
                raise EOFError("the other side has gone")
            self._buffer += more
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return json.loads(line)


def encode(value: Any) -> Any:
    """`value` as JSON, with a tag for each type that JSON lacks. Raises NotPlainData.

    Subclasses cross as the type they extend (a Counter as a dict); an iterator as the items it has yet to give.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < _PLAIN_INTEGER else {"int": hex(value)}
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    for kind in (tuple, set, frozenset):
        if isinstance(value, kind):
            return {kind.__name__: [encode(item) for item in value]}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, range):
        return {"range": [value.start, value.stop, value.step]}
    if hasattr(value, "__next__") or isinstance(value, (type({}.keys()), type({}.values()), type({}.items()))):
        items = [encode(item) for item in islice(iter(value), LONGEST_ITERATION + 1)]
        if len(items) > LONGEST_ITERATION:
            raise NotPlainData(f"an iterator of more than {LONGEST_ITERATION:,} items, which cannot be handed over")
        return {"iterator": items}
    raise NotPlainData(f"a {type(value).__name__}, which is not plain data")


def decode(sent: Any) -> Any:
    """The value that `encode` was given. Raises ValueError or TypeError where nothing like it was sent."""
    if isinstance(sent, list):
        return [decode(item) for item in sent]
    if not isinstance(sent, dict):
        return sent
    ((tag, content),) = sent.items()
    if tag == "int":
        return int(content, 16)
    if tag == "bytes":
        return bytes.fromhex(content)
    if tag == "complex":
        return complex(*content)
    if tag == "range":
        return range(*content)
    if tag == "dict":
        return {decode(key): decode(item) for key, item in content}
    items = [decode(item) for item in content]
    if tag == "iterator":
        return iter(items)
    return {"tuple": tuple, "set": set, "frozenset": frozenset}[tag](items)
