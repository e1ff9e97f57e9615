"""What was paid for: every reply kept by the content of its request, so that nothing is paid for twice.

Here: the SQLite file of replies with who paid for them, and what is known about endpoints.
Not here: what a reply means (replies) and whether another may be bought (budget).

A reply is committed as soon as it arrives. The write-ahead log survives the death of the process at any moment;
it is not synced to disk on each commit, so a power cut may lose the last moments.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration.model.completions import ending_of

_TABLES = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT NOT NULL, turn TEXT NOT NULL, loop TEXT NOT NULL, brief_id TEXT NOT NULL, attempt INTEGER NOT NULL,
    prompt_name TEXT NOT NULL, prompt_version INTEGER NOT NULL, model TEXT NOT NULL, seed INTEGER NOT NULL,
    text TEXT NOT NULL, refusal TEXT, finish_reason TEXT NOT NULL, bytes_read INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost_usd REAL NOT NULL, latency_s REAL NOT NULL,
    called_at TEXT NOT NULL, PRIMARY KEY (key, turn, loop)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS replies_by_turn ON replies (turn, loop);
CREATE TABLE IF NOT EXISTS endpoints (
    address TEXT NOT NULL, topic TEXT NOT NULL, known TEXT NOT NULL, learned_at TEXT NOT NULL,
    PRIMARY KEY (address, topic)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (
    batch_id TEXT NOT NULL, address TEXT NOT NULL, turn TEXT NOT NULL, loop TEXT NOT NULL, orders TEXT NOT NULL,
    submitted_at TEXT NOT NULL, PRIMARY KEY (batch_id)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Order:
    """What is known of a reply before it is bought: `key` is the hash of what is sent, `brief_id` is who asks."""

    key: str
    brief_id: str
    attempt: int
    prompt_name: str
    prompt_version: int
    model: str
    seed: int
    bytes_read: int


@dataclass(frozen=True)
class Paid:
    """A reply as it was bought: `key` is the hash of what was sent, `turn`, `loop` and `brief_id` are who paid."""

    key: str
    turn: str
    loop: str
    brief_id: str
    attempt: int
    prompt_name: str
    prompt_version: int
    model: str
    seed: int
    text: str
    refusal: str | None
    finish_reason: str
    bytes_read: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    latency_s: float
    called_at: datetime


_COLUMNS = tuple(field.name for field in fields(Paid))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM replies"
# Two processes that pay for the same request at once have paid twice: the ledger must say so.
_INSERT = f"""
INSERT INTO replies ({", ".join(_COLUMNS)}) VALUES ({", ".join("?" * len(_COLUMNS))})
ON CONFLICT (key, turn, loop) DO UPDATE SET
    input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    cost_usd = cost_usd + excluded.cost_usd
"""


@dataclass(frozen=True)
class Pending:
    """A batch that was submitted and not collected yet, with what it asks by key."""

    batch_id: str
    orders: Mapping[str, Order]
    submitted_at: datetime


class Responses:
    """The file, opened. Use it in one thread and close it; several processes may have it open at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, timeout=60, isolation_level=None)
        _with_patience(self._connection, "PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")

    def __enter__(self) -> "Responses":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def keep(self, reply: Paid) -> None:
        """Commit a reply. What is kept when this returns is found by every later run."""
        self._connection.execute(_INSERT, _row(reply))

    def known(self, keys: Iterable[str], turn: str, loop: str) -> dict[str, Paid]:
        """Replies by key: the one that this turn and loop paid for where there is one, else the first one paid."""
        found: dict[str, Paid] = {}
        for some in _chunks(list(keys), 500):
            marks = ", ".join("?" * len(some))
            rows = self._connection.execute(f"{_SELECT} WHERE key IN ({marks}) ORDER BY called_at DESC", some)
            for paid in map(_paid, rows):
                if ending_of(paid.finish_reason) == "failed":  # kept as an answer by an earlier release
                    continue
                before = found.get(paid.key)
                if before is None or (before.turn, before.loop) != (turn, loop):
                    found[paid.key] = paid
        return found

    def paid_by(self, turn: str, loop: str) -> list[Paid]:
        """Everything that a turn of a loop paid for, in order of time."""
        rows = self._connection.execute(f"{_SELECT} WHERE turn = ? AND loop = ? ORDER BY called_at, key", (turn, loop))
        return [_paid(row) for row in rows]

    def spent(self, turn: str, loop: str) -> tuple[float, int]:
        """Dollars and tokens that a turn of a loop has spent, over all its runs."""
        usd, tokens = self._connection.execute(
            "SELECT sum(cost_usd), sum(input_tokens + output_tokens) FROM replies WHERE turn = ? AND loop = ?",
            (turn, loop),
        ).fetchone()
        return usd or 0.0, tokens or 0

    def typical(self, model: str) -> tuple[float, float] | None:
        """Input tokens per byte read and output tokens per call of a model so far; None before its first call."""
        size, read, written, calls = self._connection.execute(
            "SELECT sum(bytes_read), sum(input_tokens), sum(output_tokens), count(*) FROM replies WHERE model = ?",
            (model,),
        ).fetchone()
        return (read / size, written / calls) if calls and size else None

    def submit(self, address: str, turn: str, loop: str, batch: Pending) -> None:
        """Note that a batch is on its way, so that the next run collects it instead of asking again."""
        orders = json.dumps([vars(order) for order in batch.orders.values()])
        self._connection.execute(
            "INSERT OR IGNORE INTO batches VALUES (?, ?, ?, ?, ?, ?)",
            (batch.batch_id, address, turn, loop, orders, batch.submitted_at.isoformat()),
        )

    def pending(self, address: str, turn: str, loop: str) -> list[Pending]:
        """Batches on their way, oldest first."""
        rows = self._connection.execute(
            "SELECT batch_id, orders, submitted_at FROM batches WHERE address = ? AND turn = ? AND loop = ? "
            "ORDER BY submitted_at, batch_id",
            (address, turn, loop),
        )
        return [
            Pending(batch, {one["key"]: Order(**one) for one in json.loads(orders)}, datetime.fromisoformat(at))
            for batch, orders, at in rows
        ]

    def collect(self, batch_id: str, replies: Sequence[Paid]) -> None:
        """Keep what a batch brought, and note that it has come: both or neither, or its cost would count twice."""
        self._connection.execute("BEGIN IMMEDIATE")
        if self._connection.execute("DELETE FROM batches WHERE batch_id = ?", (batch_id,)).rowcount:
            self._connection.executemany(_INSERT, map(_row, replies))
        self._connection.execute("COMMIT")

    def recall(self, address: str, topic: str) -> dict[str, Any] | None:
        """What was learned about an endpoint under that topic."""
        row = self._connection.execute(
            "SELECT known FROM endpoints WHERE address = ? AND topic = ?", (address, topic)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def remember(self, address: str, topic: str, known: Mapping[str, Any]) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO endpoints VALUES (?, ?, ?, ?)",
            (address, topic, json.dumps(known), datetime.now(UTC).isoformat()),
        )

    def forget(self, address: str) -> None:
        """Learn about an endpoint anew, for instance after its server was replaced."""
        self._connection.execute("DELETE FROM endpoints WHERE address = ?", (address,))


def _row(reply: Paid) -> tuple[Any, ...]:
    values = (vars(reply)[name] for name in _COLUMNS)
    return tuple(value.isoformat() if isinstance(value, datetime) else value for value in values)


def _paid(row: Sequence[Any]) -> Paid:
    return Paid(**{**dict(zip(_COLUMNS, row, strict=True)), "called_at": datetime.fromisoformat(row[-1])})


def _chunks(items: list[str], size: int) -> Iterable[list[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _with_patience(connection: sqlite3.Connection, statement: str, seconds: float = 10.0) -> None:
    """Run a statement that SQLite refuses at once, without its own waiting, while another process opens the file."""
    until = time.monotonic() + seconds
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)
