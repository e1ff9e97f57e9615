"""Fixtures of an endpoint on loopback, for test modules that name this one in `pytest_plugins`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestration.settings import Settings
from orchestration.testing.asking import KEY
from orchestration.testing.loopback import Behaviour, Loopback, serve


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serve(Behaviour(key=KEY)) as running:
        yield running


@pytest.fixture
def settings(server: Loopback, tmp_path: Path) -> Callable[..., Settings]:
    """Settings for the loopback endpoint; retries wait for nothing."""
    server.behaviour.retry_after_s = 0.001

    def of(**options: object) -> Settings:
        defaults = {"home": tmp_path, "openai_base_url": server.url, "openai_api_key": KEY, "max_retries": 0}
        return Settings(**(defaults | options))

    return of
