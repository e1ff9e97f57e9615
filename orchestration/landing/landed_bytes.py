"""What a landed file is, by its name and its first bytes, and its text as lines of UTF-8 whatever it was written in.

Here: gzip, UTF-16 and Windows-1252, the one array of a .json file, and refusing what is none of all this.
Not here: lines (landing.landed_text), rows (landing.landed_rows).

A plain file of UTF-8 is read where it lies. Any other is written anew into a scratch folder first.
"""

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from orchestration.landing.rules.rows import SUBSTITUTE

Form = Literal["ndjson", "csv", "parquet"]

FORMS: dict[str, Form] = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
PACKED = (".gz", ".gzip")
SUFFIXES = tuple(FORMS)
LARGEST_ARRAY = 1 << 30
_PART = 4 << 20
_SAMPLE = 1 << 20
_MAGIC: dict[bytes, str] = {
    b"PK\x03\x04": "is a zip archive or a workbook of Excel. Unpack it, or save it as CSV in UTF-8",
    b"\xd0\xcf\x11\xe0": "is a workbook of an old Excel. Save it as CSV in UTF-8",
    b"%PDF": "is a PDF. Export the data as CSV",
    b"BZh": "is packed by bzip2. Unpack it, or pack it by gzip",
    b"\xfd7zXZ": "is packed by xz. Unpack it, or pack it by gzip",
    b"\x28\xb5\x2f\xfd": "is packed by zstd. Unpack it, or pack it by gzip",
    b"Obj\x01": "is an Avro file. Convert it to Parquet",
    b"ORC": "is an ORC file. Convert it to Parquet",
    b"SQLite format 3\0": "is a database of SQLite. Export the table as CSV",
}
# Letters and signs of Western texts. What is left out stands in no text and starts many a binary file.
_WESTERN = frozenset(range(0xA0, 0xFE)) - {0xD7, 0xDE, 0xF7} | set(b"\x80\x82\x84\x85\x91\x92\x93\x94\x95\x96\x97\x99")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NEXT_OBJECT = re.compile(r"\}\s*,\s*(?=\{)")


class FileRefusedError(ValueError):
    """A landed file cannot be taken in as a whole; the message says why and what to do."""


@dataclass(frozen=True)
class Landed:
    """A file as it can be read: its form, where that stands, and what had to be `told` about it."""

    path: Path
    form: Form
    told: str = ""


def form_of(path: Path) -> Form:
    """The form that the name says. Raises FileRefusedError for any other."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    if not suffixes or suffixes[-1] not in FORMS:
        raise FileRefusedError(f"is none of {', '.join(SUFFIXES)}. Convert it, or take it out of the folder.")
    return FORMS[suffixes[-1]]


def as_text(path: Path, scratch: Path, most: int | None = None) -> Landed:
    """`path` as Parquet or as lines of UTF-8, in `scratch` where it has to be written anew.

    With `most`, only about that many bytes of it: enough for a sample. Raises FileRefusedError in a sentence.
    """
    form, told = form_of(path), []
    file = path
    with file.open("rb") as opened:
        start = opened.read(8)
    if start.startswith(b"\x1f\x8b"):
        file = _unpacked(file, scratch / "unpacked", most if form != "parquet" else None)
        told.append("unpacked")
    elif path.suffix.lower() in PACKED:
        raise FileRefusedError("is not packed by gzip, as its name says. Take .gz off its name, or pack it again.")
    with file.open("rb") as opened:
        start = opened.read(16)
    for magic, said in _MAGIC.items():
        if start.startswith(magic):
            raise FileRefusedError(f"{said}, and land that.")
    if form == "parquet" or start.startswith(b"PAR1"):
        return Landed(file, "parquet", ", ".join(told))
    encoding = _encoding(file)
    if encoding is not None:
        file = _as_utf8(file, encoding, scratch / "utf-8", most)
        told.append(f"read as {encoding.upper()}: save it as UTF-8 if letters come out wrong")
    if _ends_lines_with_cr(file):
        file = _with_newlines(file, scratch / "newlines", most)
    if ".json" in [suffix.lower() for suffix in path.suffixes] and not _is_a_line_each(file):
        file = _a_line_each(file, scratch / "a-line-each")
    return Landed(file, form, ", ".join(told))


def _unpacked(file: Path, target: Path, most: int | None) -> Path:
    try:
        with gzip.open(file) as packed, target.open("wb") as plain:
            _copy(packed, plain, most)
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:  # a full disk is no fault of the file
            raise
        raise FileRefusedError("is damaged: gzip cannot unpack it to its end. Pack it again, and land that.") from error
    return target


def _copy(source: IO[bytes] | gzip.GzipFile, target: IO[bytes], most: int | None) -> None:
    written = 0
    while (most is None or written < most) and (part := source.read(_PART)):
        written += target.write(part)


def _encoding(file: Path) -> str | None:
    """None for UTF-8, with single bytes that are none too; else the name of what the file is written in."""
    with file.open("rb") as opened:
        start = opened.read(_SAMPLE)
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    pairs = len(start) // 2
    if pairs and start[1 : 2 * pairs : 2].count(0) > 0.7 * pairs and start[0 : 2 * pairs : 2].count(0) < 0.1 * pairs:
        return "utf-16-le"
    if pairs and start[0 : 2 * pairs : 2].count(0) > 0.7 * pairs and start[1 : 2 * pairs : 2].count(0) < 0.1 * pairs:
        return "utf-16-be"
    return "windows-1252" if _is_western(file) else None


def _is_western(file: Path) -> bool:
    """Whether every byte beyond ASCII is a letter or a sign of Windows-1252, and none is part of UTF-8."""
    beyond = False
    with file.open("rb") as opened:
        while part := opened.read(_PART):
            if part.isascii():
                if beyond and _CONTROL.search(part):
                    return False
                continue
            if _CONTROL.search(part) or not {byte for byte in set(part) if byte > 0x7F} <= _WESTERN:
                return False
            if len(part) == _PART:
                part += opened.readline()  # so that no letter of UTF-8 is cut in two
            text = part.decode("utf-8", "surrogateescape")
            if not all(character < "\x80" or "\udc80" <= character <= "\udcff" for character in set(text)):
                return False
            beyond = True
    return beyond


def _as_utf8(file: Path, encoding: str, target: Path, most: int | None) -> Path:
    """What cannot be decoded becomes SUBSTITUTE, as in a file of UTF-8."""
    done = 0
    with file.open(encoding=encoding, errors="replace", newline="") as decoded, target.open("wb") as written:
        while (most is None or done < most) and (part := decoded.read(_PART)):
            done += written.write(part.replace("\ufffd", SUBSTITUTE).encode("utf-8", "replace"))
    return target


def _ends_lines_with_cr(file: Path) -> bool:
    with file.open("rb") as opened:
        start = opened.read(_SAMPLE)
    return b"\r" in start and b"\n" not in start


def _with_newlines(file: Path, target: Path, most: int | None) -> Path:
    with file.open("rb") as opened, target.open("wb") as written:
        done = 0
        while (most is None or done < most) and (part := opened.read(_PART)):
            done += written.write(part.replace(b"\r", b"\n"))
    return target


def _is_a_line_each(file: Path) -> bool:
    """Whether the first line that holds anything is an object as a whole, as in NDJSON."""
    with file.open("rb") as opened:
        for line in opened:
            text = line.decode("utf-8", "replace").lstrip("\ufeff").strip()
            if text:
                try:
                    return isinstance(_DECODER.decode(text), dict)
                except (ValueError, RecursionError):
                    return False
    return True


def _a_line_each(file: Path, target: Path) -> Path:
    """The elements of an array, or objects over several lines, each on a line of its own, as they were written."""
    if file.stat().st_size > LARGEST_ARRAY:
        raise FileRefusedError("is one JSON value above 1 GB. Write a line for each object, as .ndjson, and land that.")
    text = file.read_bytes().decode("utf-8", "replace").lstrip("\ufeff")
    with target.open("w", encoding="utf-8", newline="\n") as written:
        for value in _values(text):
            written.write(value.replace("\n", " ").replace("\r", " ") + "\n")
    return target


def _values(text: str) -> Iterator[str]:
    """Each value of the array that `text` is, or of the values that follow one another in it.

    From one that is broken on to the next object that follows a closing bracket and a comma is one value.
    """
    place = _past(text, 0, " \t\r\n")
    in_array = text[place : place + 1] == "["
    if in_array:
        place = _past(text, place + 1, " \t\r\n")
    while place < len(text):
        if in_array and text[place] == "]":
            if rest := text[place + 1 :].strip():
                yield rest
            return
        try:
            _, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            found = _NEXT_OBJECT.search(text, place)
            end = found.start() + 1 if found else len(text)
        yield text[place:end]
        place = _past(text, end, " \t\r\n,")


def _past(text: str, place: int, skipped: str) -> int:
    while place < len(text) and text[place] in skipped:
        place += 1
    return place


_DECODER = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=len)  # only where values end is asked
