"""A Postgres of one's own for tests and benchmarks: on a Unix socket in a folder of its own, gone at the end.

Here: finding Debian's server, starting it without network, making databases. Not here: what is tested on it.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr

USER, PASSWORD = "flywheel", "a password: only for tests/benchmarks"
PATIENCE_S = 60.0
_FASTER = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}  # nothing here outlives its test
_NUMBERS = count(1)


def postgres_programs() -> Path | None:
    """The folder of Postgres' own programs; None where no server is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: path.parts[-3])
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    return Path(elsewhere).parent if elsewhere else None


@dataclass(frozen=True)
class PostgresServer:
    """A server that listens on a socket in `folder`, and nowhere else."""

    folder: Path

    def url(self, database: str) -> SecretStr:
        address = quote(str(self.folder), safe="")
        return SecretStr(f"postgresql://{USER}:{quote(PASSWORD, safe='')}@{address}/{database}")

    def new_database(self) -> SecretStr:
        """The address of a database that nobody has used."""
        import psycopg

        name = f"flywheel_{next(_NUMBERS)}"
        with psycopg.connect(self.url("postgres").get_secret_value(), autocommit=True) as connection:
            connection.execute(f"create database {name}")
        return self.url(name)


@contextmanager
def serve_postgres() -> Iterator[PostgresServer]:
    """A fresh server for as long as the block runs; it also ends when this process is killed.

    Raises FileNotFoundError, naming the remedy, where Postgres is not installed.
    """
    programs = postgres_programs()
    if programs is None:
        raise FileNotFoundError("No Postgres server here: `apt-get install postgresql` brings one.")
    with tempfile.TemporaryDirectory(prefix="flywheel-postgres-") as name:
        folder = Path(name)
        data, log, password = folder / "data", folder / "log", folder / "password"
        password.write_text(PASSWORD)
        unprivileged = _unprivileged(folder)
        making = [str(programs / "initdb"), "-D", str(data), "-U", USER, "-A", "scram-sha-256", f"--pwfile={password}"]
        form = ["-E", "UTF8", "--lc-collate=C", "--lc-ctype=C.UTF-8", "--no-sync", "--no-instructions"]
        subprocess.run([*unprivileged, *making, *form], check=True, capture_output=True, cwd=folder)
        options = [
            part
            for option, value in {"listen_addresses": "", "unix_socket_directories": folder, **_FASTER}.items()
            for part in ("-c", f"{option}={value}")
        ]
        ending = unprivileged or ["setpriv", "--pdeathsig", "INT"]
        with log.open("wb") as said:
            server = subprocess.Popen(
                [*ending, programs / "postgres", "-D", data, *options], cwd=folder, stdout=said, stderr=said
            )
        try:
            running = PostgresServer(folder)
            _await(running, server, log)
            yield running
        finally:
            server.send_signal(2)  # ends all sessions, and then itself
            server.wait(PATIENCE_S)


def _unprivileged(folder: Path) -> list[str]:
    """What to start programs with: Postgres refuses to run as root, so another user gets the folder then."""
    if os.geteuid() != 0:
        return []
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    for path in (folder, *folder.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    identity = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return ["setpriv", *identity, "--pdeathsig", "INT"]


def _await(server: PostgresServer, process: "subprocess.Popen[bytes]", log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            psycopg.connect(server.url("postgres").get_secret_value()).close()
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Postgres did not start: {log.read_text(errors='replace')[-2_000:]}") from error
            time.sleep(0.05)
