"""What a file may be written in: types by declaration, separators, encodings, packing, and the forms of JSON."""

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration.landing.landed_rows import FileRefusedError, read_whole, sample
from orchestration.landing.rules import events
from orchestration.landing.rules.columns import Column
from orchestration.testing.landed_events import event

COLUMNS = (
    Column("key", "text", required=True), Column("at", "moment"), Column("value", "number"),
    Column("simulated", "flag"), Column("name", "scalar"),
)  # fmt: skip
TEN = "2026-01-05 10:00:00"


def read(path: Path, columns: tuple[Column, ...] = COLUMNS) -> list[tuple[Any, ...]]:
    rows, _ = read_whole(path, columns)
    return rows.select("_problem", *(column.name for column in columns)).rows()


def one_of(folder: Path, form: str, name: str, value: Any) -> tuple[str | None, Any]:
    """The problem and the value of a column, read from the second row of a file whose first hundred look otherwise."""
    usual = {"at": "2026-01-05T10:00:00Z", "value": 3, "simulated": True, "name": "x"}[name]
    rows = [{"key": str(number), name: usual} for number in range(100)] + [{"key": "k", name: value}]
    path = folder / f"f.{form}"
    if form == "ndjson":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif form == "csv":
        path.write_text(f"key,{name}\n" + "".join(f"{row['key']},{row[name]}\n" for row in rows))
    else:
        pl.DataFrame([{"key": row["key"], name: str(row[name])} for row in rows]).write_parquet(path)
    found, _ = read_whole(path, COLUMNS)
    return found.row(-1, named=True)["_problem"], found.row(-1, named=True)[name]


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("value", "12.50", 12.5), ("value", 3.0, 3.0), ("value", "3.0", 3.0), ("value", "-0", 0.0),
        ("value", "1_000", "not_a_number:value"), ("value", "12.50 EUR", "not_a_number:value"),
        ("simulated", "false", False), ("simulated", "FALSE", False), ("simulated", 0, False),
        ("simulated", "no", False), ("simulated", "perhaps", "wrong_type:simulated"),
        ("at", "2026-01-05T10:00Z", TEN), ("at", "2026-01-05t10:00:00z", TEN), ("at", "2026-01-05 10:00:00 UTC", TEN),
        ("at", "2026-01-05T12:00:00+02:00", TEN), ("at", "2026-01-05T12:00+0200", TEN), ("at", "20260105T100000Z", TEN),
        ("at", 1767607200, TEN), ("at", 1767607200000, TEN), ("at", "1767607200000", TEN),
        ("at", 1767607200000000, TEN),
        ("at", "05/01/2026 10:00", "ambiguous_date:at"), ("at", "5-1-26", "ambiguous_date:at"),
        ("at", "2026-01-05", "bad_timestamp:at"), ("at", 20260105, "bad_timestamp:at"),
    ],
)  # fmt: skip
def test_a_value_is_read_as_declared_whatever_the_rows_before_look_like(
    tmp_path: Path, form: str, name: str, value: Any, right: Any
) -> None:
    problem, found = one_of(tmp_path, form, name, value)
    if isinstance(right, str) and ":" in right and right != TEN:
        assert (problem, found) == (right, None)
    else:
        assert problem is None
        assert (str(found) if name == "at" else found) == right


def test_parquet_columns_of_numbers_may_hold_flags_and_moments(tmp_path: Path) -> None:
    frame = pl.DataFrame({"key": ["a", "b"], "at": [1767607200000, None], "simulated": [1.0, None]})
    frame.write_parquet(tmp_path / "f.parquet")
    assert [row[2:] for row in read(tmp_path / "f.parquet")] == [
        (pl.Series([TEN]).str.to_datetime()[0], None, True, None),
        (None, None, None, None),
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1"])
@pytest.mark.parametrize("packed", [False, True])
def test_csv_of_any_separator_encoding_and_packing_is_read(
    tmp_path: Path, separator: str, encoding: str, packed: bool
) -> None:
    lines = [["key", "name", "value"], ["1", "Grüne Äpfel, süß", "2"], ["2", f'a{separator}"b"', ""]]
    text = "\r\n".join(separator.join('"' + field.replace('"', '""') + '"' for field in line) for line in lines)
    content = text.encode(encoding)
    path = tmp_path / ("f.csv.gz" if packed else "f.csv")
    path.write_bytes(gzip.compress(content) if packed else content)

    assert read(path) == [
        (None, "1", None, 2.0, None, "Grüne Äpfel, süß"),
        (None, "2", None, None, None, f'a{separator}"b"'),
    ]


def test_numbers_may_have_decimal_commas_where_commas_separate_nothing(tmp_path: Path) -> None:
    written = ["12,50", "1.234,56", "12.5", "0.125", "1.234.567", "1.234", "-0,5", "12,5,0"]
    path = tmp_path / "f.csv"
    path.write_text("sep=;\nkey;value\n" + "".join(f"k;{value}\n" for value in written))

    assert [(row[0], row[3]) for row in read(path)] == [
        (None, 12.5), (None, 1234.56), (None, 12.5), (None, 0.125), (None, 1234567.0), ("ambiguous_number:value", None),
        (None, -0.5), ("not_a_number:value", None),
    ]  # fmt: skip


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("form", ["array", "lines", "packed"])
def test_json_may_be_an_array_or_objects_one_after_the_other(tmp_path: Path, indent: int | None, form: str) -> None:
    rows = [{"key": "1", "name": "a\nb", "value": 1.5}, {"key": "2", "value": "2"}]
    text = json.dumps(rows, indent=indent) if form == "array" else "\n".join(json.dumps(r, indent=indent) for r in rows)
    path = tmp_path / ("f.json.gz" if form == "packed" else "f.json")
    path.write_bytes(gzip.compress(text.encode()) if form == "packed" else text.encode())

    assert read(path) == [(None, "1", None, 1.5, None, "a\nb"), (None, "2", None, 2.0, None, None)]


def test_a_broken_element_of_an_array_spoils_itself_alone(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text('[{"key": "1"}, {"key": oops}, {"key": "3"},\n {"key": "4"}, {"key": "5"')
    assert [(row[0], row[1]) for row in read(path)] == [
        (None, "1"), ("not_json", None), (None, "3"), (None, "4"), ("truncated_json", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("f.xlsx", b"PK\x03\x04", "is none of .ndjson"),
        ("f.csv", b"PK\x03\x04rest", "workbook of Excel"),
        ("f.csv.gz", gzip.compress(b"key\n" * 999, mtime=0)[:30], "gzip cannot unpack it"),
        ("f.csv.gz", b"key\n1\n", "is not packed by gzip, as its name says"),
        ("f.parquet", b"PAR1 no", "cannot be read as Parquet"),
        ("f.csv", b"a,b\n1,2\n", r"misses the column 'key' \(found: a, b\)"),
        ("f.json", b'{"events": [{"key": "1"}]}', r"misses the column 'key' \(found: events\)"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence_with_the_remedy(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    for look in (read_whole, sample):
        with pytest.raises(FileRefusedError, match=said) as refusal:
            look(tmp_path / name, COLUMNS)
        assert "\n" not in str(refusal.value)


def test_a_sample_says_what_rows_would_be_refused_for_and_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "f.csv.gz"
    names = list(event(1))
    lines = [
        ",".join(names),
        *(",".join(str(v or "") for v in event(n, occurred_at="soon").values()) for n in range(9)),
    ]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    found = sample(path, events.COLUMNS)
    assert (found.rows, found.problems) == (9, {"bad_timestamp:occurred_at": 9})
    assert list(tmp_path.iterdir()) == [path]
