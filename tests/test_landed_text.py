"""Bytes to lines: nothing is lost or moved, whatever the bytes and wherever the chunks end."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.landing import landed_text
from orchestration.landing.landed_text import first_lines, slabs
from orchestration.landing.rules.rows import END_OF_MEDIUM, SUBSTITUTE


def lines(path: Path, chunk: int = 7, chunks: int = 2) -> list[tuple[int, str]]:
    return [(row["line"], row["text"]) for slab in slabs(path, chunk=chunk, chunks=chunks) for row in slab.to_pylist()]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("texts") / "text"


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), chunk=st.integers(1, 20))
@settings(deadline=None)
def test_text_comes_back_line_by_line(path: Path, text: str, chunk: int) -> None:
    text = text.lstrip("\ufeff")
    path.write_bytes(text.encode())

    found = lines(path, chunk)

    whole = text if text.endswith("\n") or not text else text + "\n"
    assert "".join(line for _, line in found) == whole
    assert [number for number, _ in found] == list(range(1, whole.count("\n") + 1))


@given(body=st.binary(), chunk=st.integers(1, 20))
@settings(deadline=None)
def test_bytes_that_are_no_text_are_marked_and_stay_in_their_line(path: Path, body: bytes, chunk: int) -> None:
    path.write_bytes(body)

    found = [text for _, text in lines(path, chunk)]

    body = body.removeprefix(b"\xef\xbb\xbf")
    expected = body.removesuffix(b"\n").split(b"\n") if body else []
    assert len(found) == len(expected)
    for text, raw in zip(found, expected, strict=True):
        try:
            clean = raw.decode()
        except UnicodeDecodeError:
            assert SUBSTITUTE in text
        else:
            assert text == clean.replace("\0", SUBSTITUTE) + "\n"


def test_a_mark_at_the_start_is_no_part_of_the_text(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbfa,b\r\n1,2\r\n")

    assert lines(path) == [(1, "a,b\r\n"), (2, "1,2\r\n")]
    assert first_lines(path, 1) == ["a,b\r\n"]


def test_a_line_too_long_is_marked_and_takes_no_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landed_text, "LONGEST_LINE", 30)
    path.write_bytes(b"one\n" + b"x" * 100 + b"\ntwo\n" + b"y" * 100)

    assert [text for _, text in lines(path)] == ["one\n", END_OF_MEDIUM + "\n", "two\n", END_OF_MEDIUM + "\n"]
