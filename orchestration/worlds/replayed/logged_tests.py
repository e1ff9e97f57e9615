"""Logs of past randomised tests: a file with a row for each text that was tested, read and checked.

Here: the columns of the formats there are, which rows are refused and why, and the tests that remain.
Not here: how tests become a turn's subjects and outcomes (replay).

Format `tests`: CSV, NDJSON or Parquet, a row an arm.

| column | |
|---|---|
| `test` | which test the arm belongs to |
| `started_at` | when it began (ISO 8601 or a timestamp), the same for all arms of a test |
| `text` | what was shown |
| `units` | how many met it, a whole number |
| `rewards` | how many of them responded: clicks, replies, purchases |
| `comparable` | optional: only arms of a test that share it are compared, such as those with the same image |

Format `upworthy`: the same under the names of the Upworthy Research Archive (Matias and others 2021): `test_id` (there
`clickability_test_id`), `created_at`, `headline`, `impressions`, `clicks`, `eyecatcher_id`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from orchestration.landing.landed_rows import FileRefusedError, read_whole
from orchestration.landing.rules.columns import Column, Kind
from orchestration.learning.proof.sample_ratio import sample_ratio_p_value

if TYPE_CHECKING:
    import polars as pl

COLUMNS = ("test", "started_at", "text", "units", "rewards")
OPTIONAL = "comparable"
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "test": "scalar",
        "started_at": "day",
        "text": "scalar",
        "units": "number",
        "rewards": "number",
        OPTIONAL: "scalar",
    }
)
MOST_UNITS = 10**9  # numpy draws without replacement from fewer
FORMATS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "tests": {name: name for name in (*COLUMNS, OPTIONAL)},
        "upworthy": {
            "test": "test_id",
            "started_at": "created_at",
            "text": "headline",
            "units": "impressions",
            "rewards": "clicks",
            OPTIONAL: "eyecatcher_id",
        },
    }
)


@dataclass(frozen=True)
class Refusal:
    """A row that cannot be used, counted from 1 in the file; its whole test is left out with it."""

    row: int
    test: str
    reason: str


@dataclass(frozen=True)
class LoggedTests:
    """What a log holds. `arms` has a row for each different text of each comparable group of a sound test.

    Columns: group, test, started_at, place (order in the file), text, units, rewards, sample_ratio_p (of the test).
    `tests` counts those in the file, `alone` the groups left out because they hold one text only.
    """

    arms: "pl.DataFrame"
    refusals: tuple[Refusal, ...]
    tests: int
    alone: int


def read_logged_tests(file: Path, form: str) -> LoggedTests:
    """Read and check a log. Raises FileNotFoundError without a file, ValueError when it cannot be read as a whole."""
    rows = _read(file, form)
    refusals = _refusals(rows)
    refused = sorted({refusal.test for refusal in refusals})
    import polars as pl

    sound = rows.filter(~pl.col("test").is_in(refused))
    fair = {
        test: sample_ratio_p_value(units, [1.0] * len(units))
        for test, units in sound.group_by("test", maintain_order=True).agg("units").iter_rows()
    }
    group = pl.concat_str("test", pl.col(OPTIONAL).fill_null(""), separator="|")
    arms = (
        sound.with_columns(group=group, text=pl.col("text").str.strip_chars())
        .group_by("group", "text", maintain_order=True)
        .agg(pl.col("test", "started_at").first(), pl.col("row").min().alias("place"), pl.col("units", "rewards").sum())
        .with_columns(sample_ratio_p=pl.col("test").replace_strict(fair, default=None, return_dtype=pl.Float64))
        .sort("started_at", "group", "place")
    )
    alone = pl.len().over("group") == 1
    return LoggedTests(
        arms.filter(~alone), tuple(refusals), rows["test"].n_unique(), arms.filter(alone)["group"].n_unique()
    )


def _read(file: Path, form: str) -> "pl.DataFrame":
    """The file's rows under our names, with `row` from 1 and the `problem` of what cannot be read."""
    import polars as pl

    if form not in FORMATS:
        raise ValueError(f"{form!r} is no format of logged tests: {', '.join(sorted(FORMATS))}.")
    if not file.is_file():
        raise FileNotFoundError(f"{file} is no file: name the log of your tests with --data.")
    names = FORMATS[form]
    try:
        raw, arrival = read_whole(file, [Column(names[column], kind) for column, kind in KINDS.items()])
    except FileRefusedError as refusal:
        raise ValueError(f"{file.name} {refusal}") from refusal
    missing = [names[column] for column in COLUMNS if names[column] not in arrival.found]
    if missing:
        raise ValueError(
            f"{file.name} lacks the columns {', '.join(missing)}; it has {', '.join(list(arrival.found)[:20])}."
        )
    if raw.is_empty():
        raise ValueError(f"{file.name} holds no row.")
    return raw.select(
        (pl.col("_line") - arrival.before).alias("row"),
        pl.col("_problem").alias("problem"),
        **{column: pl.col(name) for column, name in names.items()},
    )


def _refusals(rows: "pl.DataFrame") -> list[Refusal]:
    """Every row that is refused, with the first reason that holds, in the order of the file."""
    import polars as pl

    units, rewards = pl.col("units"), pl.col("rewards")
    same = [*COLUMNS, OPTIONAL]
    arms = pl.len().over("test")
    counts = pl.concat_str(pl.col("text"), units.cast(pl.String), rewards.cast(pl.String), separator="\x1f")
    copy_of = pl.col("test").first().over("test_as_a_whole")
    reason = (
        pl.when(pl.col("test").str.strip_chars().fill_null("") == "")
        .then(pl.lit("no test is named"))
        .when(pl.col("text").str.strip_chars().fill_null("") == "")
        .then(pl.lit("the text is missing"))
        .when(pl.col("problem").str.starts_with("ambiguous_date"))
        .then(pl.lit("when the test started may name the day or the month first: write it as 2026-01-05"))
        .when(pl.col("started_at").is_null())
        .then(pl.lit("when the test started is missing or no date"))
        .when(units.is_null() | rewards.is_null() | (units != units.floor()) | (rewards != rewards.floor()))
        .then(pl.lit("a count is missing or no whole number"))
        .when(units.is_infinite() | rewards.is_infinite() | units.is_nan() | rewards.is_nan())
        .then(pl.lit("a count is missing or no whole number"))
        .when((units < 0) | (rewards < 0))
        .then(pl.lit("a count is negative"))
        .when(rewards > units)
        .then(pl.lit("more responses than units that could respond"))
        .when(units >= MOST_UNITS)
        .then(pl.lit("more units than any test can have had"))
        .when(pl.struct(same).is_first_distinct().not_())
        .then(pl.lit("the same row stands further up"))
        .when(pl.col("started_at").n_unique().over("test") > 1)
        .then(pl.lit("the test's arms started at different times: two tests under one name"))
        .when(arms == 1)
        .then(pl.lit("the test's other arms are missing"))
        .when(pl.col("problem").is_not_null())
        .then(pl.concat_str(pl.lit("the row cannot be read: "), pl.col("problem")))
        .when(units.sum().over("test") == 0)
        .then(pl.lit("no unit was shown any arm of the test"))
        .when(copy_of != pl.col("test"))
        .then(pl.concat_str(pl.lit("the whole test is that of "), copy_of))
    )
    found = (
        rows.with_columns(test_as_a_whole=counts.sort().str.join("\x1e").over("test"))
        .with_columns(reason=reason)
        .filter(pl.col("reason").is_not_null())
        .sort("row")
    )
    return [Refusal(row, test or "", why) for row, test, why in found.select("row", "test", "reason").iter_rows()]
