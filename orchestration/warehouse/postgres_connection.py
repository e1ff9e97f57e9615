"""Connections to a Postgres database: its address, connections kept for the next call, and errors in plain words.

Here: what is known of the address, and that its password comes into no message.
Not here: what is asked over a connection (postgres), the tables (postgres_tables).
"""

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from orchestration.warehouse.protocol import StatementError, WarehouseBusyError, WarehouseUnreachableError

if TYPE_CHECKING:
    import psycopg

KEPT_IDLE = 4
"""Connections that a process keeps for the next call: opening one takes a hundred times as long as asking over it."""
_DEFAULTS = {"host": "localhost", "port": "5432", "user": "postgres", "password": ""}
_LOCK = threading.Lock()
_IDLE: dict[tuple[int, str, float], list["psycopg.Connection[Any]"]] = {}


@dataclass(frozen=True)
class Address:
    """Where a database is and who asks, `postgresql://USER:PASSWORD@HOST/DATABASE`."""

    url: SecretStr

    @property
    def name(self) -> str:
        """The database in words, without the password."""
        return f"database {self.parts['dbname']} of {self.parts['user']} at {self.parts['host']}"

    @cached_property
    def parts(self) -> dict[str, str]:
        """Its parts, with libpq's defaults. Raises WarehouseUnreachableError, without the address, when it is none."""
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        if not self.url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise WarehouseUnreachableError(
                "FLYWHEEL_WAREHOUSE must start with postgresql://; leave it unset for a DuckDB file in the home."
            )
        try:
            given = {name: str(value) for name, value in conninfo_to_dict(self.url.get_secret_value()).items()}
        except (psycopg.Error, UnicodeDecodeError):
            given = {"host": "@"}
        # Of a password that is not encoded, half would be taken for the host, the port or the database.
        if any("@" in given.get(name, "") for name in ("host", "port", "dbname")):
            raise WarehouseUnreachableError(
                "FLYWHEEL_WAREHOUSE is no address of a database: write postgresql://USER:PASSWORD@HOST/DATABASE, "
                "special characters in it percent-encoded."
            )
        parts = {**_DEFAULTS, **given}
        return {"dbname": parts["user"], **parts}

    @contextmanager
    def connected(self, lock_timeout_s: float, *, kept: bool = True) -> Iterator["psycopg.Connection[Any]"]:
        """A connection in UTC whose statements are each a transaction. Unless `kept`, it is closed at the end.

        Raises WarehouseUnreachableError naming the database, without the password.
        """
        key = (os.getpid(), self.url.get_secret_value(), lock_timeout_s)
        connection = (_idle(key) if kept else None) or self._opened(lock_timeout_s)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with _LOCK:
            idle = _IDLE.setdefault(key, [])
            if kept and len(idle) < KEPT_IDLE:
                idle.append(connection)
                return
        connection.close()

    def _opened(self, lock_timeout_s: float) -> "psycopg.Connection[Any]":
        import psycopg

        parts = self.parts
        waits = {"lock_timeout": f"{lock_timeout_s:.3f}s", "timezone": "UTC"}
        settings = " ".join(f"-c {name}={value}" for name, value in waits.items())
        try:
            return psycopg.connect(
                self.url.get_secret_value(),
                autocommit=True,
                cursor_factory=psycopg.RawCursor,
                options=f"{parts.get('options', '')} {settings}".strip(),
                application_name="flywheel",
                client_encoding="utf8",
            )
        except psycopg.Error as error:
            why = " ".join(str(error).split())
            if parts["password"]:
                why = why.replace(parts["password"], "***")
            raise WarehouseUnreachableError(f"The {self.name} cannot be reached: {why}") from None


@contextmanager
def told() -> Iterator[None]:
    """Errors of the driver as those of the protocol."""
    import psycopg
    from psycopg import errors

    try:
        yield
    except errors.LockNotAvailable as error:
        raise WarehouseBusyError(
            "Another process changed the same rows for longer than FLYWHEEL_LOCK_TIMEOUT_S: wait for its run to end."
        ) from error
    except (errors.OperationalError, errors.InterfaceError) as error:
        raise WarehouseUnreachableError(f"The warehouse broke off: {' '.join(str(error).split())}") from error
    except psycopg.Error as error:
        raise StatementError(str(error)) from error


def _idle(key: tuple[int, str, float]) -> "psycopg.Connection[Any] | None":
    """A kept connection that still answers; those that do not are forgotten."""
    import psycopg

    while True:
        with _LOCK:
            kept = _IDLE.get(key)
            if not kept:
                return None
            connection = kept.pop()
        try:
            connection.execute("select 1")
        except psycopg.Error:
            connection.close()
        else:
            return connection


@atexit.register
def _close_idle() -> None:
    for (process, *_), connections in _IDLE.items():
        for connection in connections if process == os.getpid() else ():
            with suppress(Exception):  # at the end of the process there is nobody to tell
                connection.close()
