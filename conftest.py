"""What tests share: where the real data lies, a Postgres of one's own, and which files begin first."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.testing.postgres import PostgresServer, postgres_programs, serve_postgres

ROOT = Path(__file__).resolve().parent
LONGEST = ("test_crash.py", "test_live.py", "test_postgres.py", "test_replay.py", "test_turn.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files begin first, so that no worker is left with one of them when the others have ended."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets; absence skips locally and fails in CI."""
    folder = Path(os.environ.get("FLYWHEEL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        reason = f"No data sets in {folder}: set FLYWHEEL_DATA."
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests of a process; absence skips locally and fails in CI."""
    if postgres_programs() is None:
        reason = "No Postgres server is installed: `apt-get install postgresql` brings one."
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with serve_postgres() as server:
        yield server
