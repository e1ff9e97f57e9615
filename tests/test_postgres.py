"""Whole turns on a Postgres: the same rows as in a DuckDB file, killed in the middle, and by several processes at once.

Not here: statement by statement (test_warehouse_conformance), and what turns mean (test_turn).
"""

import ast
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pydantic import SecretStr

from orchestration.commands.lineage import leaves, trace
from orchestration.commands.report import turn_lines
from orchestration.home import start_over
from orchestration.settings import Settings
from orchestration.testing.postgres import PASSWORD, PostgresServer
from orchestration.testing.shop import FIRST, SECOND, THIRD, Wheel
from orchestration.warehouse.dbt_project import target_path
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from orchestration.warehouse.engines import open_warehouse
from orchestration.warehouse.protocol import Warehouse, WarehouseError, WarehouseUnreachableError
from tests.wheel_process import killed, turning

pytestmark = pytest.mark.timeout(300)

PRODUCTS, EXPOSURES = 6, 800
WHEN = {
    "ingested_at", "run_id", "modified_ns", "mlflow_run_id", "decided_at", "released_at", "called_at", "latency_s",
    "seconds", "changed_ns", "recorded_at",
}  # fmt: skip
"""Columns that say when, how fast or in which run, not what."""
OF_THE_HOME = "home_settings"
BEFORE_AUDIENCE = ("subjects", "briefs", "candidates", "verdicts", "reviews")
"""Tables of a turn that do not depend on what another turn taught, while nothing was promoted."""
Rows = dict[str, pl.DataFrame]


@dataclass
class Turned:
    """A wheel, and every row that it had after its first turn and at the end."""

    wheel: Wheel
    first: Rows = field(default_factory=dict)
    last: Rows = field(default_factory=dict)
    seen: list[list[dict[str, Any]]] = field(default_factory=list)


def rows_of(warehouse: Warehouse) -> Rows:
    """Every row of every fact and mart, without WHEN and without the home's own identity."""
    found = {}
    with warehouse.held_open() as statements:
        for schema in ("flywheel", "marts"):
            for name in sorted(set(warehouse.relations(schema)) - {OF_THE_HOME}):
                rows = statements.read(f"select * from {schema}.{name} order by all")
                rows = rows.select(column for column in rows.columns if column not in WHEN)
                found[f"{schema}.{name}"] = rows.sort(rows.columns, nulls_last=True)
    return found


def assert_same(one: Rows, other: Rows, *, but_of: str | None = None) -> None:
    """Equal in names, types and values, numbers but for what the order of a sum can change; `but_of` is left out."""
    assert list(one) == list(other)
    for name in one:
        mine, theirs = (rows[name] for rows in (one, other))
        if but_of and "turn" in mine.columns:
            mine, theirs = (rows.filter(pl.col("turn").cast(pl.String) != but_of) for rows in (mine, theirs))
        try:
            assert_frame_equal(mine, theirs, rel_tol=1e-9, abs_tol=1e-9)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


def wheel(home: Path, url: SecretStr | None) -> Wheel:
    return Wheel(home, exposures=EXPOSURES, products=PRODUCTS, options={"warehouse": url})


@pytest.fixture(scope="module")
def in_file(tmp_path_factory: pytest.TempPathFactory) -> Turned:
    """Two turns in a file, and a third one produced."""
    turned = Turned(wheel(tmp_path_factory.mktemp("file"), None))
    turned.wheel.turn(FIRST)
    turned.first = rows_of(turned.wheel.warehouse)
    turned.wheel.turn(SECOND)
    turned.wheel.produce(THIRD)
    turned.last = rows_of(turned.wheel.warehouse)
    return turned


@pytest.fixture(scope="module")
def in_database(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Turned:
    """The same on Postgres, but that learning the second turn is killed in the middle of dbt, when its file of events
    has been kept, and then done again while another process produces the third turn and a thread reads all the time."""
    turned = Turned(wheel(tmp_path_factory.mktemp("database"), postgres.new_database()))
    turned.wheel.turn(FIRST)
    turned.first = rows_of(turned.wheel.warehouse)
    turned.wheel.produce(SECOND)
    turned.wheel.play(SECOND)
    killed(turned.wheel, "learn", SECOND, "variant_readouts")
    with turning(turned.wheel, "produce", THIRD) as beside, reading(turned):
        turned.wheel.flywheel.learn(SECOND)
        _, said = beside.communicate(timeout=120)
        assert beside.returncode == 0, said[-2_000:]
    turned.last = rows_of(turned.wheel.warehouse)
    return turned


class reading:
    """Read the report over and over while the block runs, keeping what was seen; an error ends the block with it."""

    def __init__(self, turned: Turned) -> None:
        self.turned = turned
        self.ended = threading.Event()
        self.errors: list[BaseException] = []
        self.thread = threading.Thread(target=self._read)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()
        if self.errors:
            raise self.errors[0]

    def _read(self) -> None:
        try:
            while not self.ended.wait(0.05):
                self.turned.seen.append(turn_lines(self.turned.wheel.warehouse))
        except BaseException as error:
            self.errors.append(error)


def test_a_turn_on_postgres_gives_the_rows_of_a_turn_in_a_file(in_file: Turned, in_database: Turned) -> None:
    assert in_file.first["flywheel.exposures"].height > 0
    assert in_file.first["marts.momentum"].height == 1
    assert_same(in_file.first, in_database.first)


def test_a_turn_killed_in_the_middle_and_run_again_ends_with_the_same_rows(
    in_file: Turned, in_database: Turned
) -> None:
    assert in_file.last["flywheel.promotions"].height == 2
    assert_same(in_file.last, in_database.last, but_of=THIRD)
    for items in zip(*(one.wheel.released_items(SECOND) for one in (in_file, in_database)), strict=True):
        mine, theirs = ({name: value for name, value in item.items() if not name.endswith("_at")} for item in items)
        assert mine == theirs


def test_a_process_produces_a_turn_while_another_learns_and_a_third_reads(in_file: Turned, in_database: Turned) -> None:
    for table in BEFORE_AUDIENCE:
        mine, theirs = (
            one.last[f"flywheel.{table}"].filter(pl.col("turn").cast(pl.String) == THIRD)
            for one in (in_file, in_database)
        )
        assert mine.height > 0
        assert_frame_equal(mine, theirs)
    assert len(in_database.seen) > 10
    assert {line["turn"] for line in in_database.seen[0]} == {FIRST, SECOND}
    assert {line["turn"] for line in turn_lines(in_database.wheel.warehouse)} == {FIRST, SECOND, THIRD}


def test_a_number_is_traced_on_postgres_as_in_a_file(in_file: Turned, in_database: Turned) -> None:
    mine, theirs = (leaves(trace(one.wheel.warehouse, f"momentum/content/{FIRST}")) for one in (in_file, in_database))
    assert mine == theirs


def test_the_password_is_nowhere_in_what_a_turn_leaves(in_database: Turned) -> None:
    password = [PASSWORD.encode(), quote(PASSWORD, safe="").encode()]
    left = [*in_database.wheel.home.rglob("*"), *target_path().glob("postgres-*/**/*")]
    files = [path for path in left if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    assert any(path.name == "manifest.json" for path in files)
    assert [path for path in files if any(secret in path.read_bytes() for secret in password)] == []
    for said in (in_database.wheel.warehouse, in_database.wheel.settings, in_database.wheel.told):
        assert PASSWORD not in f"{said!r} {said}"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda url: url.replace("/flywheel_", "/nowhere_"), "nowhere_"),
        (lambda url: url.replace("%2Fflywheel-postgres", "%2Fnot-there"), "not-there"),
        (lambda url: url.replace(quote(PASSWORD, safe=""), "wrong%20secret"), "password authentication failed"),
        (lambda url: url.replace(quote(PASSWORD, safe=""), "wrong secret@/x"), "percent-encoded"),
    ],
    ids=["no such database", "no server", "another password", "not encoded"],
)
def test_what_cannot_be_reached_is_named_without_the_password(
    postgres: PostgresServer, change: Any, named: str
) -> None:
    url = change(postgres.new_database().get_secret_value())
    with pytest.raises(WarehouseUnreachableError) as raised:
        open_warehouse(Settings(warehouse=SecretStr(url))).read("select 1 as one")
    said = str(raised.value)
    assert named in said
    assert "\n" not in said
    assert not any(secret in said for secret in (PASSWORD, "wrong secret", "wrong%20secret"))


def test_an_address_of_something_else_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYWHEEL_WAREHOUSE", "mysql://user:hidden@host/database")
    warehouse = open_warehouse(Settings())
    with pytest.raises(WarehouseUnreachableError, match=r"must start with postgresql://; leave it unset") as raised:
        warehouse.read("select 1 as one")
    assert "hidden" not in f"{raised.value} {warehouse!r} {Settings()!r}"


@pytest.mark.parametrize("password", ["hid/den", "12/hidden", "hid@den", "h%iddenë", "hidde%n"])
def test_no_part_of_a_password_that_is_not_encoded_is_said(password: str) -> None:
    warehouse = open_warehouse(Settings(warehouse=SecretStr(f"postgresql://user:{password}@127.0.0.1:1/database")))
    with pytest.raises(WarehouseUnreachableError, match="percent-encoded") as raised:
        warehouse.read("select 1 as one")
    assert not any(part in str(raised.value) for part in ("hid", "den", "idd"))


def test_an_empty_address_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLYWHEEL_WAREHOUSE", "")
    assert isinstance(open_warehouse(Settings(home=tmp_path)), DuckDBWarehouse)


def test_a_demonstration_refuses_to_start_over_in_a_database(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, warehouse=SecretStr("postgresql://user:hidden@host/database"))
    with pytest.raises(ValueError, match="unset FLYWHEEL_WAREHOUSE"):
        start_over(settings, "demonstration")


def test_no_room_but_two_knows_duckdb() -> None:
    rooms = Path(__file__).resolve().parent.parent / "orchestration"
    knowing = {
        path.relative_to(rooms).parts[0]
        for path in rooms.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and any(one.name == "duckdb" for one in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "duckdb")
    }
    assert knowing == {"warehouse", "landing"}


def test_a_database_that_orders_text_by_a_language_is_refused_with_the_remedy(postgres: PostgresServer) -> None:
    import psycopg

    with psycopg.connect(postgres.url("postgres").get_secret_value(), autocommit=True) as connection:
        connection.execute("create database plain template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'")
    with pytest.raises(WarehouseError, match=r"orders text by C in SQL_ASCII.*create database NAME template template0"):
        open_warehouse(Settings(warehouse=postgres.url("plain"))).read("select 1 as one")
