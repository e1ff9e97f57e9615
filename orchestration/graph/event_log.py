"""Dagster's event log in SQLite, with connections that are kept open.

Here: how the log's files are opened and laid, and what is written to them at once.
Not here: what is logged (Dagster) and that this log is used (home).

Dagster opens a file anew for each of the thousand writes of a turn, and closing it writes its journal back: a third
of a turn went there. In write-ahead mode a commit need not wait for the disk either: a killed process loses nothing, a
computer that loses its power may lose its last events, never the file. Source: sqlite.org, PRAGMA synchronous.
An event is committed once in each file that it belongs to, and what a run intends to do as one batch. That a table or
a column is there is asked once, for Dagster asks it with every event.
"""

import os
import shutil
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from sqlalchemy import create_engine, event
from sqlalchemy.pool import StaticPool

from orchestration.home import POOL

if TYPE_CHECKING:
    from dagster import EventLogEntry
    from sqlalchemy.engine import Connection, Engine

_MOST_OPEN = 4  # the index of all runs, and the runs that are being written or looked at
_BATCH = "DAGSTER_EVENT_BATCH_SIZE"  # how many events Dagster gathers, of those that belong together; by default none
_BATCH_EVENTS = 500


class KeptOpenEventLog(SqliteEventLogStorage):
    """For `event_log_storage` in dagster.yaml, without configuration: it lies where Dagster's own would, so that a
    home may move from one to the other."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._begun: dict[str, Connection] | None = None
        self._known_tables: set[str] = set()
        self._has_index_columns = False
        os.environ.setdefault(_BATCH, str(_BATCH_EVENTS))
        is_new = not Path(base_dir, f"{INDEX_SHARD_NAME}.db").exists()
        super().__init__(base_dir, inst_data)
        self._db_lock = threading.RLock()  # type: ignore[assignment]
        if is_new:
            # Dagster's daemon limits a pool from the second time on that it meets it: two first runs would overlap.
            self.set_concurrency_slots(POOL, 1)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> "KeptOpenEventLog":  # noqa: ARG003
        return cls(str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data)

    def delete_events(self, run_id: str) -> None:
        """Those of its checks with it, which Dagster would leave for ever; its own file is no longer kept open."""
        super().delete_events(run_id)
        with self.index_connection() as connection:
            connection.execute(AssetCheckExecutionsTable.delete().where(AssetCheckExecutionsTable.c.run_id == run_id))
        with self._db_lock:
            engine = self._engines.pop(run_id, None)
            self._initialized_dbs.discard(run_id)
            if engine is not None:
                engine.dispose()

    def store_event(self, event: "EventLogEntry") -> None:
        self.store_event_batch([event])

    def store_event_batch(self, events: "Sequence[EventLogEntry]") -> None:
        with self._committed_once():
            for event in events:
                super().store_event(event)
        for run_id in {event.run_id for event in events}:
            with suppress(FileNotFoundError):
                os.utime(self.path_for_shard(run_id))  # a page that shows the run watches its file, not the journal

    def has_table(self, table_name: str) -> bool:
        if table_name not in self._known_tables and super().has_table(table_name):
            self._known_tables.add(table_name)
        return table_name in self._known_tables

    def _has_asset_key_index_cols_on_connection(self, conn: "Connection") -> bool:
        self._has_index_columns = self._has_index_columns or super()._has_asset_key_index_cols_on_connection(conn)
        return self._has_index_columns

    def dispose(self) -> None:
        super().dispose()  # ends whoever watches a run first: a connection must not be closed while it is read
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()

    @contextmanager
    def _connect(self, shard: str) -> "Iterator[Connection]":
        with self._db_lock:
            if self._begun is not None and shard in self._begun:
                yield self._begun[shard]
                return
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._lay(shard, engine)
                self._initialized_dbs.add(shard)
            if self._begun is not None:
                self._begun[shard] = connection = engine.connect()
                yield connection
                return
            with engine.connect() as connection, connection.begin():
                yield connection

    @contextmanager
    def _committed_once(self) -> Iterator[None]:
        """What the block writes is committed once a file, in the order in which the files were first written to; when
        the block raises, none of it is."""
        with self._db_lock:
            begun: dict[str, Connection] = {}
            self._begun = begun
            try:
                yield
                for connection in begun.values():
                    connection.commit()
            finally:
                self._begun = None
                for connection in begun.values():
                    connection.close()  # which rolls back what was not committed

    def _lay(self, shard: str, engine: "Engine") -> None:
        """A new run's file is a copy of an empty one, which Dagster lays table by table once a version."""
        path = Path(self.path_for_shard(shard))
        if shard == INDEX_SHARD_NAME or path.exists():
            self._initdb(engine)
            return
        empty = Path(self._base_dir, f"empty-{dg.__version__}")
        own = Path(self._base_dir, str(uuid.uuid4()))
        if not empty.exists():
            laying = create_engine(f"sqlite:///{own}", poolclass=StaticPool)
            self._initdb(laying)
            laying.dispose()  # the last one to close a file writes its journal back
            own.replace(empty)
        shutil.copyfile(empty, own)
        try:
            os.link(own, path)  # all of it at once, and only if no other process was quicker
        except FileExistsError:
            pass
        except OSError:  # a disk without links
            self._initdb(engine)
        own.unlink()

    def _engine(self, shard: str) -> "Engine":
        """The shard's engine with its one connection, which threads take in turns under the lock."""
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
