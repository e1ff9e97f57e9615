"""A DuckDB file that a run keeps open between two statements, and lets go of as soon as another process wants it.

Here: who holds the file, and how a process that waits says so.
Not here: opening the file and what is done with it (duckdb_file).

Opening a file, reading its catalogue and writing its journal back at the end costs more than most statements of a
run, and a turn has a hundred of them. So within `kept_open` connections of this process share one that stays. Another
process may still come in between two statements: while it waits it touches a mark beside the file, and whoever holds
the file idle lets go when it sees a fresh one, for as long as two looks of the other take. Nothing is held that has
not been used for IDLE_S seconds, such as while a language model is waited for.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

LOOK_S = 0.05
"""How often a process that waits tries again, and one that holds the file looks for its mark."""
IDLE_S = 1.0


class _Held:
    """One file of this process, its connection that stays, and how many others use it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.scopes = 0
        self.using = 0
        self.connection: duckdb.DuckDBPyConnection | None = None
        self.used_at = 0.0
        self.watching = False

    def cursor(self, opened: Callable[[], "duckdb.DuckDBPyConnection"]) -> "duckdb.DuckDBPyConnection":
        with self.lock:
            if self.connection is not None and not self.using and is_wanted(self.path):
                self._let_go()
                time.sleep(2 * LOOK_S)
            if self.connection is None:
                self.connection = opened()
                self._watch()
            self.using += 1
            return self.connection.cursor()

    def given_back(self, cursor: "duckdb.DuckDBPyConnection") -> None:
        with self.lock:
            cursor.close()
            self.using -= 1
            self.used_at = time.monotonic()
            if not self.scopes and not self.using:
                self._let_go()

    def left(self) -> None:
        with self.lock:
            self.scopes -= 1
            if not self.scopes and not self.using:
                self._let_go()

    def _let_go(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _watch(self) -> None:
        self.used_at = time.monotonic()
        if not self.watching:
            self.watching = True
            threading.Thread(target=self._watched, name=f"watches {self.path.name}", daemon=True).start()

    def _watched(self) -> None:
        """Let go of a file that lies idle, or that another process waits for; ends once nothing is held."""
        while True:
            time.sleep(LOOK_S)
            with self.lock:
                idle = not self.using and (time.monotonic() - self.used_at > IDLE_S or is_wanted(self.path))
                if idle:
                    self._let_go()
                if self.connection is None:
                    self.watching = False
                    return


_HELD: dict[Path, _Held] = {}
_LOST: list[dict[Path, _Held]] = []
_LOCK = threading.Lock()


@contextmanager
def kept_open(path: Path) -> Iterator[None]:
    """While the block runs, `connected` shares one connection to the file; it is closed at the end."""
    with _LOCK:
        held = _HELD.setdefault(path.absolute(), _Held(path.absolute()))
        held.scopes += 1
    try:
        yield
    finally:
        held.left()


@contextmanager
def connected(path: Path, opened: Callable[[], "duckdb.DuckDBPyConnection"]) -> Iterator["duckdb.DuckDBPyConnection"]:
    """A connection of its own: on the one that is kept, else a new one from `opened`, closed at the end."""
    held = _HELD.get(path.absolute())
    if held is None or not held.scopes:
        connection = opened()
        try:
            yield connection
        finally:
            connection.close()
        return
    cursor = held.cursor(opened)
    try:
        yield cursor
    finally:
        held.given_back(cursor)


def want(path: Path) -> None:
    """Say that this process waits for the file; to be said again at every look."""
    mark(path).touch()


def no_longer_want(path: Path) -> None:
    """Take the mark away; whoever else waits makes it again at its next look."""
    mark(path).unlink(missing_ok=True)


def is_wanted(path: Path) -> bool:
    """Whether another process has said within its last looks that it waits for the file."""
    try:
        return time.time() - mark(path).stat().st_mtime < 4 * LOOK_S
    except FileNotFoundError:
        return False


def mark(path: Path) -> Path:
    """The file that is touched by who waits for `path`."""
    return path.with_name(f"{path.name}.wanted")


def _forget() -> None:
    """A forked process holds nothing. What its parent held is neither used nor closed: its threads are not there."""
    global _LOCK
    _LOCK = threading.Lock()
    _LOST.append(dict(_HELD))
    _HELD.clear()


with suppress(AttributeError):  # a system without fork
    os.register_at_fork(after_in_child=_forget)
