"""Kills at random moments over everything that writes, on the terminal and in the daemon: nothing lost, nothing stuck.

Here: `kill -9` of produce, ingest, learn, review and rollback at moments drawn over their whole duration, then the same
once more to its end, every row compared with a home that nobody disturbed; and kills of runs that Dagster's daemon
launched or waits behind, with the seconds until its queue goes on.
Not here: kills at chosen stages (crash).

`python -m benchmarks.killed KILLS KILLS_IN_DAEMON` runs with fewer.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from benchmarks.crash import IN_FLIGHT, Shop, differing, rows_of
from benchmarks.report import FOLDER, Row, measured, write
from orchestration.commands.reviewing import waiting
from orchestration.home import prepare_home
from orchestration.testing.loopback import Behaviour, serve
from orchestration.testing.shop import copywriter
from orchestration.turns import Turn
from orchestration.warehouse.engines import open_warehouse
from orchestration.worlds.simulated.sandbox import Sandbox

KILLS, KILLS_IN_DAEMON = 200, 10
SUBJECTS, EXPOSURES = 12, 2_000
TURNS = ("2026-01-05", "2026-01-12")
SEED = 7
PATIENCE_S = 300.0
LEFT_OUT = ("flywheel.landed_reviews", "flywheel.landed_files", "flywheel.home_settings")
COUNTED = ("flywheel.rollbacks",)
"""What a person's commands leave names its moment in its identity: not compared, or only counted."""


@dataclass
class Terminal:
    """A home whose commands are killed `kills` times each before they may end. Durations are learned on the way."""

    shop: Shop
    chance: random.Random
    kills: int = 0
    killed: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def run(self, *command: str) -> None:
        """Run a command of `flywheel` to its end, after having killed it at random moments."""
        name = command[0] if command[0] != "turn" else command[-1]
        for _ in range(self.kills):
            with self.process(command) as process:
                try:
                    process.wait(self.chance.uniform(0.0, self.seconds.get(name, 8.0)))
                except subprocess.TimeoutExpired:
                    self.killed += 1
        started = time.perf_counter()
        with self.process(command) as process:
            said = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"flywheel {' '.join(command)} failed: {said[-2_000:]}")
        self.seconds[name] = time.perf_counter() - started

    @contextmanager
    def process(self, command: Sequence[str]) -> "Iterator[subprocess.Popen[str]]":
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestration", *command],
            cwd=FOLDER.parent,
            env={**os.environ, **self.shop.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                yield process
            finally:
                _kill_group(process.pid)


def lived(terminal: Terminal) -> None:
    """Two turns with all that a person does in between."""
    shop = terminal.shop
    for turn in TURNS:
        terminal.run("turn", turn, "--produce")
        sandbox = Sandbox(seed=SEED, visitors=1_000, exposures_per_turn=EXPOSURES)
        released = shop.settings.outbox / "content" / f"{turn}.ndjson"
        sandbox.play(released, shop.settings.landing, Turn.of(turn, shop.settings))
        terminal.run("ingest")
        terminal.run("turn", turn, "--learn")
        for candidate in [row["candidate_id"] for row in waiting(open_warehouse(shop.settings))][:1]:
            _reviewed(terminal, candidate)
    terminal.run("rollback", "content", "--to", "1", "--reason", "a benchmark")


def _reviewed(terminal: Terminal, candidate: str) -> None:
    """Approve a candidate; a decision that has landed before the kill is not made again."""
    folder = terminal.shop.settings.landing / "content" / "reviews"
    for _ in range(terminal.kills):
        once = Terminal(terminal.shop, terminal.chance, 1, seconds={"review": 4.0})
        if not list(folder.glob("*.ndjson")):
            once.run("review", "approve", candidate, "--reviewer", "r")
            terminal.killed += once.killed
    if not list(folder.glob("*.ndjson")):
        Terminal(terminal.shop, terminal.chance).run("review", "approve", candidate, "--reviewer", "r")


def on_the_terminal(folder: Path, kills: int) -> list[Row]:
    """Every command killed again and again, until there were `kills` of them; then every row compared."""
    chance = random.Random(SEED)
    homes = max(1, kills // 40)
    each = max(1, round(kills / homes / 8))  # of the eight commands of a home
    different, paid_twice, killed = 0, 0, 0
    with serve(Behaviour(text=copywriter, latency_s=0.02)) as server:
        calm = Terminal(Shop(folder / "calm", server.url, SUBJECTS, EXPOSURES).opened(), chance)
        lived(calm)
        expected = _compared(calm.shop)
    for number in range(homes):
        with serve(Behaviour(text=copywriter, latency_s=0.02)) as server:
            shop = Shop(folder / f"home {number}", server.url, SUBJECTS, EXPOSURES).opened()
            terminal = Terminal(shop, chance, each, seconds=dict(calm.seconds))
            lived(terminal)
            killed += terminal.killed
            paid_twice += max(0, len(server.counts.paid_twice) - IN_FLIGHT * each * len(TURNS))
            found = differing(_compared(shop), expected)
            different += len(found)
            for row in found[:5]:
                print(f"  differs: {row[:300]}")
            print(f"  home {number + 1}/{homes}: {terminal.killed} kills", flush=True)
    what = f"{killed} kills at random moments over produce, ingest, learn, review and rollback"
    return [
        measured(f"{what}: rows that differ from an undisturbed home", different, "rows", goal=0),
        measured(f"{what}: calls paid twice beyond those in flight at a kill", paid_twice, "calls", goal=0),
        measured("rows compared", sum(map(len, expected.values())), "rows"),
    ]


def _compared(shop: Shop) -> dict[str, list[tuple]]:
    rows = {name: kept for name, kept in rows_of(shop).items() if name not in LEFT_OUT}
    return {name: [(len(kept),)] if name in COUNTED else kept for name, kept in rows.items()}


@dataclass
class Daemon:
    """Dagster's daemon over a home, without pages, and the runs that it is asked for."""

    shop: Shop
    instance: dg.DagsterInstance

    def ask(self, job: str, turn: str) -> str:
        """Put a run into the queue; its identity."""
        before = {run.run_id for run in self.instance.get_runs()}
        subprocess.run(
            [
                sys.executable, "-m", "dagster", "job", "launch", "-w", "workspace.yaml", "-j", job,
                "--tags", json.dumps({"dagster/partition": turn, "flywheel/half": job}),
            ],
            cwd=FOLDER.parent, env=self.environment, check=True, capture_output=True,
        )  # fmt: skip
        (asked,) = {run.run_id for run in self.instance.get_runs()} - before
        return asked

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.shop.environment, "DAGSTER_HOME": str(self.shop.settings.dagster_home)}

    def status(self, run_id: str) -> str:
        run = self.instance.get_run_by_id(run_id)
        return run.status.value if run else "GONE"

    def pid(self, run_id: str) -> int | None:
        """The process that works on a run, by what it says at its beginning."""
        for entry in self.instance.all_logs(run_id):
            for word in (entry.user_message or entry.message or "").split("pid: ")[1:]:
                return int(word.partition(")")[0])
        return None


def in_the_daemon(folder: Path, kills: int) -> list[Row]:
    """Runs killed in the daemon and on the terminal before it: seconds until the run queued behind has ended well."""
    chance, waited, stuck = random.Random(SEED), [], 0
    with serve(Behaviour(text=copywriter, latency_s=0.02)) as server:
        shop = Shop(folder / "daemon", server.url, SUBJECTS, EXPOSURES).opened()
        prepare_home(shop.settings)
        with dg.DagsterInstance.get() as instance:
            daemon = Daemon(shop, instance)
            command = [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"]
            with _quietly(command, daemon.environment):
                for number in range(kills):
                    victim = daemon.ask("produce", TURNS[0])
                    behind = daemon.ask("produce", TURNS[0])
                    _wait(lambda run=victim: daemon.pid(run) is not None)  # type: ignore[misc]
                    time.sleep(chance.uniform(0.0, 2.0))
                    pid = daemon.pid(victim)
                    if pid and daemon.status(victim) == "STARTED":
                        os.kill(pid, signal.SIGKILL)
                    started = time.monotonic()
                    ended = _wait(lambda run=behind: daemon.status(run) in ("SUCCESS", "FAILURE"))  # type: ignore[misc]
                    waited.append(time.monotonic() - started)
                    stuck += not ended or daemon.status(behind) != "SUCCESS"
                    print(f"  daemon {number + 1}/{kills}: the queue went on after {waited[-1]:.0f} s", flush=True)
                given_up = _given_up_after_the_terminal_died(daemon)
                stuck += given_up is None
        rows = len(open_warehouse(shop.settings).read("select * from flywheel.releases"))
    return [
        measured(f"{kills} kills of runs in the daemon: runs behind that were stuck or failed", stuck, "runs", goal=0),
        measured("seconds until the run behind had ended", waited or 0.0, "s", goal=PATIENCE_S),
        measured("seconds until a run was given up whose terminal was killed", given_up or PATIENCE_S, "s", goal=180),
        measured("rows released by the runs that went on", rows, "rows"),
    ]


def _given_up_after_the_terminal_died(daemon: Daemon) -> float | None:
    """Seconds until the daemon has noticed that a run of a terminal is dead, which tells nobody; None if it has not.

    What is asked of the daemon meanwhile has to end well, too.
    """
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    command = ("turn", TURNS[1], "--produce")
    with Terminal(daemon.shop, random.Random(SEED)).process(command) as process:
        _wait(lambda: bool(daemon.instance.get_runs(started)) or process.poll() is not None)
        left = [run.run_id for run in daemon.instance.get_runs(started)]
    killed_at = time.monotonic()
    if not left:
        raise RuntimeError("The terminal's run had ended before it could be killed.")
    behind = daemon.ask("produce", TURNS[1])
    if not _wait(lambda: all(daemon.status(run) == "FAILURE" for run in left)):
        return None
    seconds = time.monotonic() - killed_at
    return seconds if _wait(lambda: daemon.status(behind) == "SUCCESS") else None


@contextmanager
def _quietly(command: Sequence[str], environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, cwd=FOLDER.parent, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield
    finally:
        _kill_group(process.pid)
        process.wait()


def _wait(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def main(kills: int = KILLS, in_daemon: int = KILLS_IN_DAEMON) -> None:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        rows = on_the_terminal(Path(folder), kills) if kills else []
        rows += in_the_daemon(Path(folder), in_daemon) if in_daemon else []
    write("killed", rows, time.perf_counter() - started)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
