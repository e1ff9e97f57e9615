"""Who works in a home: one run at a time, whatever process it is in, and nobody once that process is dead.

Here: the lock of a home, and the sign of life of a run, both held by the kernel for a process and let go at its death.
Not here: what runs under the lock (graph.beginning) and what becomes of dead runs (graph.launcher).

The locks are advisory locks on open files (flock(2)). A child that is started afterwards does not inherit them.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

LOCK = "turning.lock"
ALIVE = "alive"
LOOK_S = 0.2
SAY_AGAIN_S = 60.0


@contextmanager
def home_locked(home: Path, what: str, tell: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, no other run works in `home`. Waits for the one that does, and tells whom it waits for."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("a+") as file:
        _wait_for(file, home, tell)
        _sign(file, {"what": what, "pid": os.getpid(), "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"})
        yield


def _wait_for(file: IO[str], home: Path, tell: Callable[[str], None]) -> None:
    said_at = float("-inf")
    while not _taken(file):
        if time.monotonic() - said_at > SAY_AGAIN_S:
            said_at = time.monotonic()
            tell(f"Waiting: {_signed(file)} works in {home}. This goes on as soon as that has ended.")
        time.sleep(LOOK_S)


@contextmanager
def sign_of_life(home: Path, run_id: str) -> Iterator[None]:
    """While the block runs, `is_alive` says of the run that a process works on it or waits to."""
    path = home / ALIVE / run_id
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def is_alive(home: Path, run_id: str) -> bool:
    """Whether a process works on the run. A file that a dead one left behind is removed."""
    path = home / ALIVE / run_id
    try:
        with path.open() as file:
            if not _taken(file):
                return True
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        pass
    return False


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(file: IO[str], holder: dict[str, object]) -> None:
    """Say who holds the lock; a disk that is too full to say it takes nothing from the lock."""
    try:
        file.truncate(0)
        file.write(json.dumps(holder))
        file.flush()
    except OSError:
        return


def _signed(file: IO[str]) -> str:
    try:
        file.seek(0)
        holder = json.loads(file.read())
        return f"{holder['what']} (process {holder['pid']}, since {holder['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run"
