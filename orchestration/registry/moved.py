"""MLflow's database in a home that was moved, restored elsewhere, or damaged.

Here: whether the file is a database at all, and bringing the artifact addresses in it up to where the home lies now.
Not here: everything that is asked of MLflow (tracking).

MLflow writes the absolute address of every experiment's, run's and model's artifacts into its database, so that a home
that was moved would look for them where it came from, or, after a copy, write beside the original.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

ARTIFACTS = "mlartifacts"
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
    ("trace_tags", "value"),
)


class RegistryError(RuntimeError):
    """MLflow's database cannot be used; the message names the file and the remedy."""


def bring_up_to_date(database: Path, folder: Path) -> int:
    """Let artifact addresses that end in `mlartifacts/...` point below `folder`; how many were changed.

    Costs one query where nothing has moved. Raises RegistryError when the file is no database.
    """
    if not database.exists() or not database.stat().st_size:
        return 0
    try:
        with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
            known = {row[1] for row in connection.execute("pragma table_list")}
            if "experiments" not in known or not any(_moved(connection, folder, "experiments", "artifact_location")):
                return 0
            changed = 0
            for table, column in _ADDRESSES:
                if table not in known or column not in _columns(connection, table):
                    continue
                for rowid, address in list(_moved(connection, folder, table, column)):
                    connection.execute(f"update {table} set {column} = ? where rowid = ?", (address, rowid))
                    changed += 1
            return changed
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise  # a full disk, a read-only or locked file: nothing is wrong with what it holds
        raise RegistryError(
            f"{database.name} in the home is damaged ({error}): move it away, and the next turn lays a new one; which "
            "policy is in force is kept in the warehouse."
        ) from error


def _moved(connection: sqlite3.Connection, folder: Path, table: str, column: str) -> Iterator[tuple[int, str]]:
    """Rows whose address lies below another home's artifacts, each with the address below this one's."""
    own_path, own_uri = str(folder / ARTIFACTS), (folder / ARTIFACTS).as_uri()
    rows = connection.execute(f"select rowid, {column} from {table} where {column} like '%/{ARTIFACTS}%'")
    for rowid, address in rows:
        local = address.startswith(("file:", "/"))
        before, found, below = address.rpartition(f"/{ARTIFACTS}")
        own = own_uri if address.startswith("file:") else own_path
        if local and found and below[:1] in ("", "/") and f"{before}{found}" not in (own, own.replace("///", "/")):
            yield rowid, f"{own}{below}"


def _columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"pragma table_info({table})")}
