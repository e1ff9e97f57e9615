"""A landed text file as lines, whatever bytes it holds.

Here: bytes to numbered lines in Arrow tables, a slab at a time, and marks for what is no text.
Not here: what a line means (landing.rules.rows).
"""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.landing.rules.rows import END_OF_MEDIUM, SUBSTITUTE

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK = 4 << 20
CHUNKS_PER_SLAB = 16  # as many batches as a slab can be shared between threads
LONGEST_LINE = 16 << 20
_BOM = codecs.BOM_UTF8


def slabs(path: Path, *, chunk: int = CHUNK, chunks: int = CHUNKS_PER_SLAB) -> Iterator["pa.Table"]:
    """Lines of `path` as tables (line BIGINT from 1, text VARCHAR) of `chunks` times `chunk` bytes, whatever its size.

    Bytes that are not UTF-8, and NUL, become SUBSTITUTE; a line above `LONGEST_LINE` bytes becomes END_OF_MEDIUM.
    A last line without an end counts. Every text keeps its end, which SQL trims: cutting it here would copy the file.
    """
    import numpy as np
    import pyarrow as pa

    batches: list[pa.RecordBatch] = []
    line = 1
    for body in _bodies(path, chunk):
        texts = _lines(body)
        numbers = pa.array(np.arange(line, line + len(texts)))
        batches.append(pa.record_batch([numbers, texts], names=["line", "text"]))
        line += len(texts)
        if len(batches) == chunks:
            yield pa.Table.from_batches(batches)
            batches = []
    if batches:
        yield pa.Table.from_batches(batches)


def first_lines(path: Path, lines: int = 2) -> list[str]:
    """The first lines of the file, such as the header of CSV."""
    with path.open("rb") as file:
        read = [file.readline(LONGEST_LINE) for _ in range(lines)]
    return [line.removeprefix(_BOM).decode("utf-8", "replace") for line in read]


def _bodies(path: Path, chunk: int) -> Iterator[bytes]:
    """The file's bytes in parts that end with a line; a line that is too long is already marked."""
    rest = b""
    skipping = False
    with path.open("rb", buffering=0) as file:
        if file.read(len(_BOM)) != _BOM:
            file.seek(0)
        while part := file.read(chunk):
            if skipping:
                end = part.find(b"\n")
                if end < 0:
                    continue
                part, skipping = END_OF_MEDIUM.encode() + part[end:], False
            part = rest + part
            cut = part.rfind(b"\n") + 1
            rest = part[cut:]
            if cut:
                yield part[:cut]
            if len(rest) > LONGEST_LINE:
                rest, skipping = b"", True
    if skipping:
        yield END_OF_MEDIUM.encode() + b"\n"
    elif rest:
        yield rest + b"\n"


def _lines(body: bytes) -> "pa.StringArray":
    """`body`, which ends with a line, split without a loop: the bytes stay where they are, between offsets."""
    import numpy as np
    import pyarrow as pa

    if b"\0" in body:
        body = body.replace(b"\0", SUBSTITUTE.encode())
    ends = np.flatnonzero(np.frombuffer(body, np.uint8) == ord("\n"))
    offsets = np.empty(len(ends) + 1, np.int32)
    offsets[0] = 0
    offsets[1:] = ends + 1
    lines = pa.StringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(body))
    try:
        lines.validate(full=True)
    except pa.ArrowInvalid:
        return _lines(body.decode("utf-8", "substitute").encode())
    return lines


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return SUBSTITUTE, error.end


codecs.register_error("substitute", _substitute)
