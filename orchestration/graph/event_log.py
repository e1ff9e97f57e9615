"""Dagster's event log in SQLite, with connections that are kept open.

Here: how the log's files are opened. Not here: what is logged (Dagster) and that this log is used (home).

Dagster opens a file anew for each of the thousand writes of a turn, and closing it writes its journal back: a third
of a turn went there. In write-ahead mode a commit need not wait for the disk either: a killed process loses nothing, a
computer that loses its power may lose its last events, never the file. Source: sqlite.org, PRAGMA synchronous.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage

from orchestration.home import POOL

if TYPE_CHECKING:
    from dagster import EventLogEntry
    from sqlalchemy.engine import Connection, Engine

_MOST_OPEN = 4  # the index of all runs, and the runs that are being written or looked at


class KeptOpenEventLog(SqliteEventLogStorage):
    """For `event_log_storage` in dagster.yaml, without configuration: it lies where Dagster's own would, so that a
    home may move from one to the other."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        is_new = not Path(base_dir, f"{INDEX_SHARD_NAME}.db").exists()
        super().__init__(base_dir, inst_data)
        if is_new:
            # Dagster's daemon limits a pool from the second time on that it meets it: two first runs would overlap.
            self.set_concurrency_slots(POOL, 1)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> "KeptOpenEventLog":  # noqa: ARG003
        return cls(str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data)

    def store_event(self, event: "EventLogEntry") -> None:
        super().store_event(event)
        with suppress(FileNotFoundError):
            os.utime(self.path_for_shard(event.run_id))  # a page that shows the run watches its file, not the journal

    def dispose(self) -> None:
        super().dispose()  # ends whoever watches a run first: a connection must not be closed while it is read
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()

    @contextmanager
    def _connect(self, shard: str) -> "Iterator[Connection]":
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _engine(self, shard: str) -> "Engine":
        """The shard's engine with its one connection, which threads take in turns under the lock."""
        from sqlalchemy import create_engine, event
        from sqlalchemy.pool import StaticPool

        engine = self._engines.pop(shard, None)
        if engine is None:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=StaticPool,
                connect_args={"timeout": 60, "check_same_thread": False},
            )
            event.listen(engine, "connect", _without_waiting_for_the_disk)
        self._engines[shard] = engine
        while len(self._engines) > _MOST_OPEN:
            self._engines.popitem(last=False)[1].dispose()
        return engine


def _without_waiting_for_the_disk(connection: Any, record: Any) -> None:  # noqa: ARG001
    connection.execute("PRAGMA synchronous=NORMAL")
