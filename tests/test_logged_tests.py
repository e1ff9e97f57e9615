"""Logs of past tests: what a file must say, and every row that is refused with its reason."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from orchestration.worlds.replayed.logged_tests import LoggedTests, read_logged_tests

SOUND = [
    ("a", "2026-01-05", "Milk for the whole week", 1000, 40),
    ("a", "2026-01-05", "Why milk?", 1010, 55),
    ("b", "2026-01-06", "Fresh bread", 900, 30),
    ("b", "2026-01-06", "Bread that you will miss", 905, 31),
]
AMBIGUOUS = "when the test started may name the day or the month first: write it as 2026-01-05"
COLUMNS = ("test", "started_at", "text", "units", "rewards")


def written(folder: Path, rows: list[tuple[object, ...]], suffix: str = ".csv") -> Path:
    table = pl.DataFrame([dict(zip(COLUMNS, map(str, row), strict=True)) for row in rows])
    path = folder / f"log{suffix}"
    if suffix.startswith(".csv"):
        text = table.write_csv().encode()
        path.write_bytes(gzip.compress(text) if suffix == ".csv.gz" else text)
    elif suffix == ".ndjson":
        table.write_ndjson(path)
    else:
        table.write_parquet(path)
    return path


def read(folder: Path, rows: list[tuple[object, ...]]) -> LoggedTests:
    return read_logged_tests(written(folder, rows), "tests")


@pytest.mark.parametrize("suffix", [".csv", ".ndjson", ".parquet"])
def test_a_log_is_read_from_any_of_three_kinds_of_file(tmp_path: Path, suffix: str) -> None:
    log = read_logged_tests(written(tmp_path, SOUND, suffix), "tests")
    assert log.refusals == ()
    assert log.tests == 2
    assert log.arms.select("test", "text", "units", "rewards").rows() == [
        (test, text, units, rewards) for test, _, text, units, rewards in SOUND
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("", "2026-01-05", "Eggs", 10, 1), "no test is named"),
        (("c", "2026-01-05", " ", 10, 1), "the text is missing"),
        (("c", "some day", "Eggs", 10, 1), "when the test started is missing or no date"),
        (("c", "2026-01-05", "Eggs", "many", 1), "a count is missing or no whole number"),
        (("c", "2026-01-05", "Eggs", 10.5, 1), "a count is missing or no whole number"),
        (
            ("c", "05/01/2026", "Eggs", 10, 1),
            "when the test started may name the day or the month first: write it as 2026-01-05",
        ),
        (("c", "2026-01-05", "Eggs", "nan", 1), "a count is missing or no whole number"),
        (("c", "2026-01-05", "Eggs", 10, "inf"), "a count is missing or no whole number"),
        (("c", "2026-01-05", "Eggs", 1e300, 1), "more units than any test can have had"),
        (("c", "2026-01-05", "Eggs", -10, 1), "a count is negative"),
        (("c", "2026-01-05", "Eggs", 10, -1), "a count is negative"),
        (("c", "2026-01-05", "Eggs", 10, 11), "more responses than units that could respond"),
        (("c", "2026-01-05", "Eggs", 10, 1), "the test's other arms are missing"),
    ],
)
def test_a_broken_row_is_refused_with_its_number_and_its_reason(
    tmp_path: Path, row: tuple[object, ...], reason: str
) -> None:
    log = read(tmp_path, [*SOUND, row])
    assert [(refusal.row, refusal.test, refusal.reason) for refusal in log.refusals] == [(5, row[0], reason)]
    assert set(log.arms["test"]) == {"a", "b"}


@pytest.mark.parametrize("suffix", [".csv", ".ndjson", ".parquet", ".csv.gz"])
def test_moments_and_counts_are_read_as_declared_and_not_as_the_rows_before(tmp_path: Path, suffix: str) -> None:
    """Epoch seconds, Z beside an offset, and 3.0 after a hundred integers name the same test."""
    usual = [(str(n // 2), "2026-01-05T10:00:00Z", f"text {n}", 1000 + n, 40) for n in range(100)]
    odd = [("z", "2026-01-05T10:00:00Z", "one", 10, 3), ("z", "2026-01-05T12:00:00+02:00", "two", "11.0", "3.0")]
    path = written(tmp_path, [*usual, *odd, ("z", "1767607200", "three", "12", 3)], suffix)
    log = read_logged_tests(path, "tests")
    assert log.refusals == ()
    assert log.arms.filter(pl.col("test") == "z").select("text", "units", "rewards").rows() == [
        ("one", 10, 3), ("two", 11, 3), ("three", 12, 3),
    ]  # fmt: skip


def test_a_test_with_one_broken_arm_is_left_out_whole(tmp_path: Path) -> None:
    log = read(tmp_path, [*SOUND, ("b", "2026-01-06", "Bread, again", 10, 11)])
    assert [refusal.row for refusal in log.refusals] == [5]
    assert set(log.arms["test"]) == {"a"}


def test_a_row_that_stands_twice_is_refused_the_second_time(tmp_path: Path) -> None:
    log = read(tmp_path, [*SOUND, SOUND[1]])
    assert [(refusal.row, refusal.reason) for refusal in log.refusals] == [(5, "the same row stands further up")]


def test_a_test_that_comes_again_under_another_name_is_refused_in_all_its_rows(tmp_path: Path) -> None:
    log = read(tmp_path, [*SOUND, *(("z", *row[1:]) for row in SOUND[:2])])
    assert [(refusal.row, refusal.reason) for refusal in log.refusals] == [
        (5, "the whole test is that of a"),
        (6, "the whole test is that of a"),
    ]
    assert set(log.arms["test"]) == {"a", "b"}


def test_two_tests_under_one_name_are_refused(tmp_path: Path) -> None:
    log = read(tmp_path, [*SOUND, ("a", "2026-02-02", "Milk in February", 1000, 50)])
    assert {refusal.row for refusal in log.refusals} == {1, 2, 5}
    assert "different times" in log.refusals[0].reason


def test_arms_with_the_same_text_are_one_arm(tmp_path: Path) -> None:
    log = read(tmp_path, [*SOUND, ("a", "2026-01-05", "Why milk?", 500, 10)])
    assert log.refusals == ()
    assert log.arms.filter(pl.col("text") == "Why milk?").select("units", "rewards").row(0) == (1510, 65)


def test_only_arms_that_may_be_compared_are(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    rows = [(*row, image) for row, image in zip(SOUND, ("cow", "field", "loaf", "loaf"), strict=True)]
    pl.DataFrame(rows, schema=[*COLUMNS, "comparable"], orient="row").write_csv(path)
    log = read_logged_tests(path, "tests")
    assert set(log.arms["group"]) == {"b|loaf"}
    assert log.alone == 2


def test_a_file_that_cannot_be_used_at_all_says_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("test,text\na,Milk\n")
    with pytest.raises(ValueError, match=r"lacks the columns started_at, units, rewards"):
        read_logged_tests(path, "tests")
    with pytest.raises(FileNotFoundError, match="--data"):
        read_logged_tests(tmp_path / "none.csv", "tests")
    with pytest.raises(ValueError, match="tests, upworthy"):
        read_logged_tests(path, "else")
    path.with_suffix(".parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(ValueError, match="cannot be read as Parquet"):
        read_logged_tests(path.with_suffix(".parquet"), "tests")


def test_the_published_log_is_read_and_hardly_a_row_refused(shared_data: Path) -> None:
    log = read_logged_tests(shared_data / "upworthy" / "headline_tests.parquet", "upworthy")
    assert log.tests > 3000
    assert len(log.refusals) < 0.001 * log.arms.height
    assert log.arms.group_by("group").len()["len"].min() >= 2
    assert (log.arms["rewards"] <= log.arms["units"]).all()
