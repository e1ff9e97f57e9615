"""What tests share: where the real data lies, and a Postgres of one's own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.testing.postgres import PostgresServer, postgres_programs, serve_postgres

ROOT = Path(__file__).resolve().parent


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
