"""A warehouse file that a run keeps open: shared inside the process, given up to another one, closed at the end."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestration.warehouse import kept_open
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from orchestration.warehouse.protocol import WarehouseBusyError

ANOTHER = """
import sys
from pathlib import Path
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
print(DuckDBWarehouse(Path(sys.argv[1]), float(sys.argv[2])).read("select count(*) as n from flywheel.releases").item())
"""


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(tmp_path / "warehouse.duckdb", 5.0)


def another_reads(warehouse: DuckDBWarehouse, patience_s: float) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", ANOTHER, str(warehouse.path), str(patience_s)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def openings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    import duckdb

    opened, connect = [], duckdb.connect

    def counted(path: str) -> "duckdb.DuckDBPyConnection":
        opened.append(path)
        return connect(path)

    monkeypatch.setattr(duckdb, "connect", counted)
    return opened


def test_a_run_opens_the_file_once(warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = openings(monkeypatch)
    with warehouse.kept():
        for _ in range(5):
            assert warehouse.read("select 1 as one").item() == 1
        with warehouse.kept(), warehouse.transaction() as statements:
            statements.read("select 1 as one")
    assert len(opened) == 1
    warehouse.read("select 1 as one")
    assert len(opened) == 2


def test_after_a_run_nothing_is_left_in_the_journal(warehouse: DuckDBWarehouse) -> None:
    with warehouse.kept():
        with warehouse.connect() as connection:
            connection.execute("create table kept as select 1 as one")
        assert warehouse.path.with_name("warehouse.duckdb.wal").exists()
    assert not warehouse.path.with_name("warehouse.duckdb.wal").exists()
    assert another_reads(warehouse, 0.2).stdout == "0\n"


def test_another_process_comes_in_between_two_statements(warehouse: DuckDBWarehouse) -> None:
    with warehouse.kept():
        warehouse.read("select 1 as one")
        ended = threading.Event()

        def busy() -> None:
            while not ended.is_set():
                warehouse.read("select 1 as one")
                time.sleep(0.001)

        thread = threading.Thread(target=busy)
        thread.start()
        found = another_reads(warehouse, 20)
        ended.set()
        thread.join()
        assert found.stdout == "0\n", found.stderr
        assert warehouse.read("select 1 as one").item() == 1
    assert not kept_open.mark(warehouse.path).exists()


def test_another_process_waits_for_a_transaction_to_end(warehouse: DuckDBWarehouse) -> None:
    with warehouse.kept(), warehouse.transaction():
        refused = another_reads(warehouse, 0.3)
    assert refused.returncode != 0
    assert WarehouseBusyError.__name__ in refused.stderr


def test_a_file_that_lies_idle_is_let_go(warehouse: DuckDBWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_open, "IDLE_S", 0.1)
    opened = openings(monkeypatch)
    with warehouse.kept():
        warehouse.read("select 1 as one")
        time.sleep(0.5)
        assert another_reads(warehouse, 0.1).stdout == "0\n"
        warehouse.read("select 1 as one")
    assert len(opened) == 2


def test_what_dbt_sets_for_the_file_ends_with_its_build(warehouse: DuckDBWarehouse) -> None:
    settings = "select current_setting('preserve_insertion_order') as kept, current_setting('memory_limit') as most"
    with warehouse.kept():
        before = warehouse.read(settings).row(0)
        with warehouse.held_alone(), warehouse.connect() as connection:
            connection.execute("set preserve_insertion_order = false")
            connection.execute("set memory_limit = '1GB'")
            assert connection.execute(settings).fetchone() != before
        assert warehouse.read(settings).row(0) == before
