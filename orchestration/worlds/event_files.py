"""Event files as life delivers them: repeated, late, out of order.

Here: what becomes of a turn's events on their way to landing/, and the two files that they arrive in.
Not here: what happened (visits, sandbox) and how files are taken in (the graph).
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

FileFormat = Literal["ndjson", "parquet"]
COLUMNS = (
    "event_id",
    "event_type",
    "loop",
    "subject_id",
    "variant_id",
    "unit_id",
    "segment",
    "occurred_at",
    "value",
    "propensity",
    "simulated",
    "release_id",
)


@dataclass(frozen=True)
class Delivery:
    """How events travel. `duplicated` and `delayed` are shares of events; what is delayed misses the turn's file."""

    duplicated: float = 0.015
    delayed: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.duplicated < 1 or not 0 <= self.delayed < 1:
            raise ValueError(f"Shares lie in [0, 1), not {self.duplicated} and {self.delayed}.")

    def order(
        self, draw: np.random.Generator, second: NDArray[np.int64], end: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Rows of the turn's file and of the late one, in order of arrival, and how many are repeats.

        `second` (n,) is when each event happened, `end` when the turn does: what happens later cannot be on time.
        """
        repeats = np.flatnonzero(draw.random(len(second)) < self.duplicated)
        rows = np.append(np.arange(len(second)), repeats)
        travel = draw.exponential(30.0, len(rows)) + (draw.random(len(rows)) < 0.03) * draw.exponential(
            7_200, len(rows)
        )
        late = (draw.random(len(rows)) < self.delayed) | (second[rows] >= end)
        arrival = np.argsort(second[rows] + travel, kind="stable")
        rows, late = rows[arrival], late[arrival]
        return rows[~late], rows[late], len(repeats)


class EventFile:
    """A file that is written in parts under a name that ingestion ignores, and then put in place."""

    def __init__(self, target: Path, file_format: FileFormat) -> None:
        self.target, self.rows = target, 0
        self._format = file_format
        self._partial = target.with_name(f".{target.name.lstrip('.')}.partial")
        self._partial.parent.mkdir(parents=True, exist_ok=True)
        self._partial.unlink(missing_ok=True)
        self._writer: pq.ParquetWriter | None = None

    def add(self, events: "pl.DataFrame") -> None:
        """Append rows."""
        self.rows += len(events)
        if self._format == "ndjson":
            with self._partial.open("ab") as file:
                events.write_ndjson(file)
            return
        rows = events.to_arrow()
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._partial, rows.schema, compression="zstd")
        self._writer.write_table(rows, row_group_size=100_000)

    def put_in_place(self) -> None:
        """Give the file its name, at once and complete."""
        if self._writer is not None:
            self._writer.close()
        self._partial.replace(self.target)


def as_times(start: datetime, second: NDArray[np.int64]) -> "pl.Series":
    """Moments as ISO 8601 text in UTC, to the second."""
    import polars as pl

    base = np.datetime64(start.replace(tzinfo=None), "us")
    return pl.Series(base + second.astype("timedelta64[s]")).dt.strftime("%Y-%m-%dT%H:%M:%SZ")
