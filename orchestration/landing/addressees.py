"""Whom to answer: the sender's own identifiers of subjects that everything else knows as pseudonyms.

Here: the private file that maps a pseudonym back, who may write it (ingestion) and when it is read (an outbox).
Not here: the pseudonyms (landing.pseudonyms), which loops have personal keys (loops), what an outbox says.

The file lies in the home, readable by its owner alone, and nowhere else: no identifier in it ever reaches the
warehouse, a log or what Dagster shows. Deleting it breaks no turn; only nobody can be answered then until the subjects
land again.
"""

import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_AT_ONCE = 500  # pseudonyms asked for in one statement
_TABLES = """
    create table if not exists addressees (pseudonym text primary key, identifier text not null) without rowid;
    create table if not exists forgotten (pseudonym text primary key) without rowid;
"""


@dataclass(frozen=True)
class Addressees:
    """The file at `path`, made when something is first remembered. Two processes may write at once."""

    path: Path
    lock_timeout_s: float = 60.0

    def remember(self, known: Iterable[tuple[str, str]]) -> None:
        """Keep pairs of a pseudonym and who it stands for, durably before this returns; who is known stays so.

        Whoever was forgotten is not remembered again: a file that lands every day brings nobody back.
        """
        with self._opened() as connection:
            connection.executemany(
                "insert or ignore into addressees select ?1, ?2 where ?1 not in (select pseudonym from forgotten)",
                known,
            )

    def identifiers(self, pseudonyms: Collection[str]) -> dict[str, str]:
        """Who stands behind each of `pseudonyms`; those of nobody, or of somebody forgotten, are left out."""
        if not self.path.exists():
            return {}
        asked = list(pseudonyms)
        found: dict[str, str] = {}
        with self._opened() as connection:
            for start in range(0, len(asked), _AT_ONCE):
                some = asked[start : start + _AT_ONCE]
                marks = ", ".join("?" for _ in some)
                found.update(
                    connection.execute(
                        f"select pseudonym, identifier from addressees where pseudonym in ({marks})", some
                    ).fetchall()
                )
        return found

    def forget(self, identifier: str) -> bool:
        """Erase `identifier`, for ever; whether it was known.

        What the warehouse holds of its pseudonym then speaks of nobody. The files in landing/ and outbox/ are the
        operator's to delete.
        """
        if not self.path.exists():
            return False
        with self._opened() as connection:
            connection.execute(
                "insert or ignore into forgotten select pseudonym from addressees where identifier = ?", [identifier]
            )
            erased = connection.execute("delete from addressees where identifier = ?", [identifier])
            return erased.rowcount > 0

    def addressed(self, items: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """The items of an outbox with the sender's own identifier as their `subject_id`, in their order.

        An item for somebody forgotten is left out: there is nobody to answer.
        """
        known = list(items)
        who = self.identifiers([item["subject_id"] for item in known])
        for item in known:
            if item["subject_id"] in who:
                yield {**item, "subject_id": who[item["subject_id"]]}

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite's own files inherit what it may show
        with closing(sqlite3.connect(self.path, timeout=self.lock_timeout_s)) as connection:
            connection.execute("pragma secure_delete = on")  # erased is overwritten
            connection.execute("pragma synchronous = full")
            connection.executescript(_TABLES)
            with connection:
                yield connection
