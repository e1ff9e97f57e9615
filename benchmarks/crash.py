"""A wheel killed with SIGKILL, and what running it again makes of it.

Here: kills in the middle of generation, of ingestion and of the warehouse's write, and the comparison of every row with
a wheel left alone. Not here: every stage of ingestion (ingestion_crash).

`python -m benchmarks.crash HALF TURN STAGE` is the process that is killed; it prints `reached` when it has come to
the stage, and waits. The endpoint lives in the process that kills, so it goes on when its client is gone, and counts
what it has answered by content.

Killed in generation: the endpoint falls silent in the middle of the turn, and the kill comes when every answer that was
delivered is kept. A kill at any other moment may lose what is just then on its way, which the endpoint has billed and
nobody has seen; how many calls that are is a row of its own, bounded by the requests in flight.
"""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from benchmarks.report import FOLDER, Row, measured, write
from orchestration.graph.driver import Flywheel
from orchestration.settings import Settings
from orchestration.testing.loopback import Behaviour, Loopback, serve
from orchestration.testing.shop import copywriter
from orchestration.turns import Turn
from orchestration.warehouse.engines import open_warehouse
from orchestration.warehouse.protocol import Query, Warehouse
from orchestration.warehouse.turn_tables import TurnTables, table_of
from orchestration.worlds.simulated.catalogue import land_catalogue
from orchestration.worlds.simulated.sandbox import Sandbox

if TYPE_CHECKING:
    import polars as pl

TURN = "2026-01-05"
SUBJECTS, EXPOSURES = 48, 20_000
IN_FLIGHT = 8
INGESTION = ("events decided on", "events written")
"""What ingestion tells on its way, up to the moment before the transaction is kept."""
TABLES = ("exposures", "promotions")
"""Tables whose write is broken off when all rows are written and nothing is kept."""
MODELS = "variant_readouts"
"""A mart after which dbt's build is broken off."""
MOMENTS = {
    "ingested_at", "run_id", "modified_ns", "mlflow_run_id", "decided_at", "released_at", "called_at", "latency_s",
    "seconds", "changed_ns", "recorded_at",
}  # fmt: skip
"""Columns that say when, how fast or in which run, not what."""
OF_THE_HOME = "home_settings"


@dataclass(frozen=True)
class Shop:
    """A home whose flywheel asks the endpoint at `url`."""

    home: Path
    url: str
    subjects: int = SUBJECTS
    exposures: int = EXPOSURES

    @property
    def settings(self) -> Settings:
        return Settings(**self._options)

    @property
    def environment(self) -> dict[str, str]:
        """The same settings, for another process."""
        names = {"openai_base_url": "OPENAI_BASE_URL", "openai_api_key": "OPENAI_API_KEY"}
        return {
            names.get(name, f"FLYWHEEL_{name.upper()}"): str(value)
            for name, value in self._options.items()
            if value is not None
        }

    @property
    def _options(self) -> dict[str, object]:
        return {
            "home": self.home,
            "openai_base_url": self.url,
            "openai_api_key": "a key for benchmarks only",
            "model": "loopback",
            "max_concurrency": IN_FLIGHT,
            "subjects_per_turn": self.subjects,
            "pseudonym_key": "a key for benchmarks only",
        }

    def opened(self) -> "Shop":
        land_catalogue(self.settings.landing, self.subjects)
        return self

    def run(self, half: str) -> None:
        """Run a half of the turn, or `ingest`, to its end, in another process. Raises RuntimeError when it fails."""
        with _process(self, half) as (process, said):
            if process.wait() != 0:
                raise RuntimeError(f"{half} failed: {said()}")

    def play(self) -> None:
        """Let a simulated audience meet what was released."""
        sandbox = Sandbox(seed=7, visitors=8_000, exposures_per_turn=self.exposures)
        outbox = self.settings.outbox / "content" / f"{TURN}.ndjson"
        sandbox.play(outbox, self.settings.landing, Turn.of(TURN, self.settings))

    def kept_replies(self) -> int:
        """Replies of the endpoint that are kept, as another process sees them."""
        path = self.settings.responses_path
        if not path.exists():
            return 0
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            try:
                return int(connection.execute("select count(*) from replies").fetchone()[0])
            except sqlite3.OperationalError:  # the table is not there yet
                return 0


def rows_of(shop: Shop) -> dict[str, list[tuple]]:
    """Every row of every fact and mart, without MOMENTS and without the home's own identity."""
    with open_warehouse(shop.settings).held_open() as warehouse:
        columns: dict[str, list[str]] = {}
        for schema, table, column in warehouse.read(
            "select table_schema, table_name, column_name from information_schema.columns "
            "where table_schema in ('flywheel', 'marts') order by all"
        ).iter_rows():
            if column not in MOMENTS and table != OF_THE_HOME:
                columns.setdefault(f"{schema}.{table}", []).append(f'"{column}"')
        return {
            table: warehouse.read(f"select {', '.join(names)} from {table} order by all").rows()
            for table, names in columns.items()
        }


def differing(one: dict[str, list[tuple]], other: dict[str, list[tuple]]) -> list[str]:
    """Rows that only one of the two has, each with its table."""
    found = []
    for table in sorted({*one, *other}):
        mine, theirs = one.get(table, []), other.get(table, [])
        if mine != theirs:
            only = [row for row in mine if row not in theirs] + [row for row in theirs if row not in mine]
            found += [f"{table}: {row}" for row in only or [(len(mine), len(theirs))]]
    return found


def killed(shop: Shop, half: str, stage: str = "", when: Callable[[], bool] | None = None) -> None:
    """Run a half in another process and kill it: when it tells that it came to `stage`, or as soon as `when` holds.

    Raises RuntimeError with what the process said when it ends by itself.
    """
    with _process(shop, half, stage) as (process, said):
        assert process.stdout is not None
        reached = process.stdout.readline().strip() == "reached" if when is None else _awaited(process, when)
        process.kill()
        if not reached or process.wait() != -signal.SIGKILL:
            raise RuntimeError(f"{half} ended before it came to {stage or 'the moment'}: {said()}")


@contextmanager
def _process(shop: Shop, half: str, stage: str = "") -> Iterator[tuple["subprocess.Popen[str]", Callable[[], str]]]:
    """A process that runs a half, bound to the shop's home and endpoint, and the end of what it says of errors."""
    command = [sys.executable, "-m", "benchmarks.crash", half, TURN, stage]
    with tempfile.TemporaryFile("w+") as errors:

        def said() -> str:
            errors.seek(0)
            return errors.read()[-2_000:]

        process = subprocess.Popen(
            command,
            cwd=FOLDER.parent,
            env={**os.environ, **shop.environment},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        with process:
            try:
                yield process, said
            finally:
                process.kill()


def _awaited(process: "subprocess.Popen[str]", when: Callable[[], bool]) -> bool:
    while process.poll() is None:
        if when():
            return True
        time.sleep(0.002)
    return False


def killed_in_generation(shop: Shop, server: Loopback, answers: int) -> None:
    """Kill `produce` when the endpoint has fallen silent after `answers` and all of them are kept."""
    server.behaviour.holds_after = server.counts.answered.total() + answers

    since = [time.monotonic(), server.counts.answered.total()]

    def silent_and_kept() -> bool:
        if server.counts.answered.total() != since[1]:
            since[:] = time.monotonic(), server.counts.answered.total()
        waiting = since[1] >= (server.behaviour.holds_after or 0) and server.counts.in_flight == IN_FLIGHT
        silent = time.monotonic() - since[0] > 10 * server.behaviour.latency_s
        return waiting and silent and shop.kept_replies() == len(server.counts.answered)

    killed(shop, "produce", when=silent_and_kept)
    server.behaviour.holds_after = None


def generation(folder: Path) -> list[Row]:
    """Kills while the endpoint is silent, and at any moment; then the turn once more, and every row compared."""
    with serve(_behaviour()) as server:
        shop = Shop(folder / "silent", server.url).opened()
        for _ in range(2):
            killed_in_generation(shop, server, SUBJECTS // 2)
        shop.run("produce")
        paid_twice = len(server.counts.paid_twice)
        answered = server.counts.answered.total()
    with serve(_behaviour()) as server:
        calm = Shop(folder / "calm", server.url).opened()
        calm.run("produce")
        if server.counts.answered.total() != answered:
            paid_twice += abs(server.counts.answered.total() - answered)
    with serve(_behaviour()) as server:
        sudden = Shop(folder / "sudden", server.url).opened()
        for share in (0.2, 0.5, 0.8):
            until = int(share * answered)
            killed(sudden, "produce", when=lambda until=until: server.counts.answered.total() >= until)  # type: ignore[misc]
        sudden.run("produce")
        on_their_way = len(server.counts.paid_twice)
    expected = rows_of(calm)
    different = [*differing(rows_of(shop), expected), *differing(rows_of(sudden), expected)]
    _tell("generation", different)
    what = f"killed in generation, {2 * SUBJECTS} briefs"
    return [
        measured(f"{what}: rows that differ from an undisturbed run", len(different), "rows", goal=0),
        measured(f"{what}: calls paid for twice", paid_twice, "calls", goal=0),
        measured(
            f"{what}, 3 times just when answers arrive: calls on their way that were asked again",
            on_their_way,
            "calls",
            goal=3 * IN_FLIGHT,
        ),
    ]


def storage(folder: Path) -> list[Row]:
    """Kills in ingestion and in the warehouse's writes; then the turn once more, and every row compared."""
    with serve(_behaviour()) as server:
        shop, calm = (Shop(folder / name, server.url).opened() for name in ("killed", "undisturbed"))
        for one in (shop, calm):
            one.run("produce")
            one.play()
        for stage in INGESTION:
            killed(shop, "ingest", stage)
        shop.run("ingest")
        calm.run("ingest")
        in_ingestion = differing(rows_of(shop), rows_of(calm))
        for stage in (*TABLES, MODELS):
            killed(shop, "learn", stage)
        shop.run("learn")
        calm.run("learn")
        in_writes = differing(rows_of(shop), rows_of(calm))
    _tell("ingestion", in_ingestion)
    _tell("writes", in_writes)
    return [
        measured("killed in ingestion: rows that differ", len(in_ingestion), "rows", goal=0),
        measured("killed in writes of stages and of dbt: rows that differ", len(in_writes), "rows", goal=0),
        measured("rows compared", sum(map(len, rows_of(calm).values())), "rows"),
    ]


def _behaviour() -> Behaviour:
    return Behaviour(text=copywriter, latency_s=0.02)


def _tell(what: str, different: list[str]) -> None:
    for row in different[:5]:
        print(f"  {what}: {row[:300]}")


def main() -> None:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        rows = [*generation(Path(folder)), *storage(Path(folder))]
    write("crash", rows, time.perf_counter() - started)


class _StoppingTables(TurnTables):
    """Writes as ever, but for one table: all of its rows are written, and none of them kept, when it stops."""

    def __init__(self, warehouse: Warehouse, table: str) -> None:
        super().__init__(warehouse)
        self.table = table

    def handle_output(self, context: dg.OutputContext, obj: "pl.DataFrame | Query | None") -> None:
        metadata = context.definition_metadata
        if metadata["table"] == self.table and obj is not None:
            with self.warehouse.transaction() as statements:
                statements.replace(table_of(metadata), obj, turn=context.partition_key, loop=metadata.get("loop"))
                _stop()
        super().handle_output(context, obj)


def _stop() -> None:
    print("reached", flush=True)
    time.sleep(3_600)


def run_until(half: str, turn: str, stage: str) -> None:
    """Run a half; stop at a stage, if one is named: when a line told holds it, or in the write of that table."""

    def told(line: str) -> None:
        if stage and stage not in TABLES and stage in line:
            _stop()

    settings = Settings(_env_file=None)
    tables = _StoppingTables(open_warehouse(settings), stage)
    wheel = Flywheel(settings, resources={"turn_tables": tables} if stage in TABLES else {}, tell=told)
    if half == "ingest":
        wheel.ingest()
    else:
        getattr(wheel, half)(turn)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        run_until(*sys.argv[1:])
