"""Homes that an earlier version filled: their tables gain the columns that they lack, and their turns go on."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration.delivery.shared_traffic import _with_answers
from orchestration.loops.content import declare as content
from orchestration.tables import TABLES
from orchestration.testing.postgres import PostgresServer
from orchestration.testing.shop import FIRST, SECOND, Wheel
from orchestration.warehouse import duckdb_file
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from orchestration.warehouse.postgres import PostgresWarehouse

DECLARED_SINCE = {
    "flywheel.landed_files": ("changed_ns", "declared"),
    "flywheel.quarantine": ("event_turn", "event_loop", "event_type", "event_key", "mended_by"),
    "flywheel.landed_subjects": ("holdout_point", "withdrawn"),
    "flywheel.landed_reviews": ("edits", "override"),
    "flywheel.subjects": ("holdout_point",),
    "flywheel.briefs": ("option_id", "options", "option_parts", "context", "fields", "escalation", "sources"),
    "flywheel.candidates": ("rounds", "results"),
    "flywheel.reviews": ("answer", "overrode"),
    "flywheel.releases": ("stratum", "answer", "graced_until"),
    "flywheel.events": ("release_id",),
    "flywheel.exposures": ("met_in", "late", "left_out"),
    "flywheel.outcomes": ("decision_id", "release_id", "left_out"),
    "flywheel.outcome_definitions": ("weight", "cut_at"),
    "flywheel.evidence": ("stratum",),
    "flywheel.promotions": ("record", "because", "took_effect", "recorded_at"),
    "flywheel.promotion_conditions": ("record",),
    "marts.momentum": ("difference", "difference_low", "difference_high"),
    "marts.variant_readouts": ("stratum",),
    "marts.experiment_readouts": ("stratum", "best_arm"),
}
TABLES_SINCE = (
    "flywheel.decisions",
    "flywheel.results",
    "flywheel.deliveries",
    "flywheel.withdrawals",
    "flywheel.exclusions",
    "flywheel.landed_documents",
    "flywheel.home_settings",
    "flywheel.prunings",
    "marts.decision_readouts",
    "marts.loud_units",
    "marts.option_outcomes",
)


def as_it_was(warehouse: DuckDBWarehouse) -> None:
    """Take out of a home what an earlier version did not declare; views of it were made of other columns."""
    with warehouse.connect() as connection:
        views = connection.execute("select schema_name, view_name from duckdb_views() where not internal").fetchall()
        for schema, view in views:
            connection.execute(f"drop view {schema}.{view}")
        for table, columns in DECLARED_SINCE.items():
            for column in columns:
                connection.execute(f"alter table {table} drop column {column}")
        for table in TABLES_SINCE:
            connection.execute(f"drop table {table}")


def test_a_home_of_an_earlier_version_turns_on(tmp_path: Path) -> None:
    wheel = Wheel(tmp_path, products=6, exposures=1_500)
    wheel.turn(FIRST)
    proven = conditions(wheel)
    as_it_was(wheel.warehouse)

    wheel.flywheel.learn(FIRST)
    assert conditions(wheel) == proven, "rows without the new columns teach what they taught"
    wheel.turn(SECOND)

    assert wheel.table("momentum")["difference"].is_not_null().all()
    releases = wheel.table("releases").with_columns(pl.col("turn").cast(pl.String))
    earlier, newest = releases.filter(turn=FIRST), releases.filter(turn=SECOND)
    assert earlier["answer"].is_null().all()
    assert newest["answer"].is_not_null().all()
    carried = set(earlier.filter(~pl.col("is_control"))["variant_id"]) & set(newest["variant_id"])
    assert carried, "texts of homes that kept no answers compete on"


def conditions(wheel: Wheel) -> list[tuple[Any, ...]]:
    """What was measured to decide on the first turn's challenger, as text: nothing of it is equal to nothing."""
    kept = wheel.table("promotion_conditions").filter(pl.col("turn").cast(pl.String) == FIRST)
    return kept.select("condition", pl.col("number").round(9).cast(pl.String), "passed", "detail").rows()


def test_what_was_released_as_a_text_only_is_the_answer_that_it_makes() -> None:
    last = pl.DataFrame({"text": ["Beans", "Tea"], "answer": [None, '{"text":"Black tea"}']})
    assert _with_answers(last, content())["answer"].to_list() == ['{"text":"Beans"}', '{"text":"Black tea"}']


def test_missing_columns_are_added_once_and_rows_stay(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    with warehouse.connect() as connection:
        connection.execute("insert into flywheel.reviews (turn, loop, candidate_id) values ('2026-01-05', 'a', 'c')")
        connection.execute("alter table flywheel.reviews drop column answer")
        connection.execute("alter table flywheel.reviews drop column text")
    rows = warehouse.rows(TABLES["reviews"])
    assert rows.columns == list(TABLES["reviews"].columns)
    assert rows.select("candidate_id", "text", "answer").rows() == [("c", None, None)]


def test_opening_a_warehouse_that_lacks_nothing_asks_its_catalogue_once(tmp_path: Path) -> None:
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    with warehouse.connect() as connection:
        asked = Counting(connection)
        duckdb_file._create_tables(asked)  # type: ignore[arg-type]
        assert len(asked.statements) == 1
        connection.execute("alter table flywheel.reviews drop column answer")
        duckdb_file._create_tables(asked)  # type: ignore[arg-type]
    assert [sql for sql in asked.statements if sql.startswith("alter")] == [
        "alter table flywheel.reviews add column if not exists answer VARCHAR"
    ]


class Counting:
    """A connection that remembers what it was asked."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.statements: list[str] = []

    def execute(self, sql: str, *parameters: Any) -> Any:
        self.statements.append(sql)
        return self.connection.execute(sql, *parameters)


def test_a_database_of_an_earlier_version_gains_the_columns_too(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = PostgresWarehouse(postgres.new_database())
    warehouse.append(TABLES["reviews"], pl.DataFrame({"loop": ["a"], "candidate_id": ["c"]}))
    with warehouse.held_open() as statements:
        statements.connection.execute("alter table flywheel.reviews drop column answer")
        statements.connection.execute("drop table flywheel.decisions")
    monkeypatch.setattr("orchestration.warehouse.postgres._PREPARED", set())  # another process
    assert warehouse.rows(TABLES["reviews"]).select("candidate_id", "answer").rows() == [("c", None)]
    assert warehouse.rows(TABLES["decisions"]).is_empty()
