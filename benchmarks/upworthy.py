"""The Upworthy headline tests as the benchmarks use them: comparable arms, their texts as numbers, their parts.

Here: reading the file, leaving out what cannot be compared, and splits that keep stories whole.
Not here: what is measured (learning, reward).
"""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from orchestration.learning.proof.leakage import groups_of_near_identical
from orchestration.learning.proof.sample_ratio import sample_ratio_p_value
from orchestration.learning.texts.text_features import text_features
from orchestration.model.text_embedding import embed_texts

SOUND = datetime(2014, 1, 11)  # before, a cache served one arm to everybody, by the publisher's own account
SRM_P = 0.001
FEWEST_IMPRESSIONS = 300


def upworthy_file() -> Path | None:
    """The data, or None where there is none. Raises FileNotFoundError where CI demands it."""
    folder = Path(os.environ.get("FLYWHEEL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    file = folder / "upworthy" / "headline_tests.parquet"
    if file.is_file():
        return file
    if os.environ.get("CI") == "true":
        raise FileNotFoundError(f"No data sets in {folder}: set FLYWHEEL_DATA.")
    return None


@dataclass(frozen=True)
class Arms:
    """One row per headline of a group (same test, same image), in order of time.

    `group` and `story` are codes: a story holds all groups whose tests or near-identical headlines are shared, so that
    a split by stories leaks nothing. `week` counts from the first.
    """

    headline: tuple[str, ...]
    test: np.ndarray
    group: np.ndarray
    story: np.ndarray
    week: np.ndarray
    created_at: np.ndarray
    impressions: np.ndarray
    clicks: np.ndarray
    embeddings: np.ndarray
    features: np.ndarray

    def take(self, rows: np.ndarray) -> "Arms":
        """The arms of a mask or of indices; codes stay as they are."""
        index = np.flatnonzero(rows) if rows.dtype == bool else rows
        arrays = {name: getattr(self, name)[index] for name in self.__dataclass_fields__ if name != "headline"}
        return Arms(headline=tuple(self.headline[i] for i in index), **arrays)


def read_arms(file: Path, since: datetime = SOUND) -> Arms:
    """Arms of groups with two different headlines or more, each met 300 times or more, in tests of a sane sample ratio.

    Arms of a group with the same headline (they differ in excerpts only) are one arm with their sum.
    """
    raw = pl.read_parquet(file).filter(pl.col("created_at") >= since)
    tests = raw.group_by("test_id", maintain_order=True).agg("impressions")
    sane = [
        test
        for test, counts in tests.iter_rows()
        if len(counts) > 1 and sum(counts) > 0 and sample_ratio_p_value(counts, [1.0] * len(counts)) >= SRM_P
    ]
    arms = (
        raw.filter(pl.col("test_id").is_in(sane))
        .with_columns(group=pl.concat_str("test_id", pl.col("eyecatcher_id").fill_null(""), separator="|"))
        .group_by("test_id", "group", "headline")
        .agg(pl.col("impressions", "clicks").sum(), pl.col("created_at").min())
        .filter(pl.col("impressions") >= FEWEST_IMPRESSIONS)
        .filter(pl.len().over("group") > 1)
        .sort("created_at", "group", "headline")
    )
    headlines = arms["headline"].to_list()
    moments = arms["created_at"].to_numpy()
    return Arms(
        headline=tuple(headlines),
        test=np.unique(arms["test_id"].to_numpy().astype(str), return_inverse=True)[1],
        group=np.unique(arms["group"].to_numpy().astype(str), return_inverse=True)[1],
        story=np.unique(groups_of_near_identical(arms["test_id"].to_list(), headlines), return_inverse=True)[1],
        week=((moments - moments.min()) // np.timedelta64(7, "D")).astype(int),
        created_at=moments,
        impressions=arms["impressions"].to_numpy(),
        clicks=arms["clicks"].to_numpy(),
        embeddings=embed_texts(headlines),
        features=text_features(headlines),
    )


def folds_of(codes: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Fold (n,) of each row: codes are shuffled and dealt, so that rows of one code stay together."""
    dealt = np.random.default_rng(seed).permutation(int(codes.max()) + 1) % folds
    return dealt[codes]
