"""Whole turns on a Postgres: the same rows as in a DuckDB file, killed in the middle, and by several processes at once.

Not here: statement by statement (test_warehouse_conformance), and what turns mean (test_turn).
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pydantic import SecretStr

from orchestration.testing.postgres import PostgresServer
from orchestration.warehouse.protocol import Warehouse
from tests.wheel import FIRST, SECOND, Wheel

pytestmark = pytest.mark.timeout(300)

PRODUCTS, EXPOSURES = 6, 800
WHEN = {
    "ingested_at", "run_id", "modified_ns", "mlflow_run_id", "decided_at", "released_at", "called_at", "latency_s",
    "seconds",
}  # fmt: skip
"""Columns that say when, how fast or in which run, not what."""


def rows_of(warehouse: Warehouse) -> dict[str, pl.DataFrame]:
    """Every row of every fact and mart, without WHEN."""
    with warehouse.held_open() as statements:
        found = {}
        for schema in ("flywheel", "marts"):
            for name in sorted(warehouse.relations(schema)):
                rows = statements.read(f"select * from {schema}.{name} order by all")
                rows = rows.select(column for column in rows.columns if column not in WHEN)
                found[f"{schema}.{name}"] = rows.sort(rows.columns, nulls_last=True)
    return found


def assert_same(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> None:
    """Equal, numbers but for what the order of a sum can change."""
    assert list(one) == list(other)
    for name, rows in one.items():
        try:
            assert_frame_equal(rows, other[name], rel_tol=1e-9, abs_tol=1e-9)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def wheel(home: Path, url: SecretStr | None) -> Wheel:
    return Wheel(home, exposures=EXPOSURES, products=PRODUCTS, options={"warehouse": url})


@dataclass(frozen=True)
class Both:
    """The same two turns in a file and in a database; `apart` is a home whose halves ran in processes of their own."""

    file: Wheel
    database: Wheel


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Both:
    wheels = Both(
        wheel(tmp_path_factory.mktemp("file"), None),
        wheel(tmp_path_factory.mktemp("database"), postgres.new_database()),
    )
    for one in (wheels.file, wheels.database):
        one.turn(FIRST)
        one.turn(SECOND)
    return wheels


def test_two_turns_on_postgres_give_the_rows_of_two_turns_in_a_file(both: Both) -> None:
    in_file = rows_of(both.file.warehouse)
    assert in_file["flywheel.exposures"].height > 0
    assert in_file["flywheel.promotions"].height == 2
    assert in_file["marts.momentum"].height == 2
    assert_same(in_file, rows_of(both.database.warehouse))
    assert both.file.outbox(SECOND).read_bytes().count(b"\n") == PRODUCTS
    assert [without_times(item) for item in both.database.released_items(SECOND)] == [
        without_times(item) for item in both.file.released_items(SECOND)
    ]


def without_times(item: dict) -> dict:
    return {name: value for name, value in item.items() if not name.endswith("_at")}
