"""What tests share: where the real data lies, and a flywheel of one's own to turn."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


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
