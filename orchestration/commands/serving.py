"""The user interfaces on this machine: Dagster's, its daemon, and MLflow's.

Here: starting them together and ending them together.
Not here: what they show.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from orchestration.environment import DBT, MLFLOW, shed
from orchestration.home import prepare_home
from orchestration.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
PATIENCE_S = 120.0


def serve(settings: Settings, tell: Callable[[str], None], *, dagster_port: int = 3000, mlflow_port: int = 5000) -> int:
    """Start all three on 127.0.0.1, print their addresses, and end them all on Ctrl-C or when one dies; exit code.

    Raises ValueError when a port cannot be served at, naming the option.
    """
    if dagster_port == mlflow_port:
        raise ValueError(f"Both user interfaces cannot be at port {dagster_port}: choose another with --mlflow-port.")
    for name, port in (("--dagster-port", dagster_port), ("--mlflow-port", mlflow_port)):
        if problem := port_problem(port):
            raise ValueError(f"Port {port} {problem}, or choose another with {name}.")
    prepare_home(settings)
    surroundings = dict(os.environ)
    shed(*MLFLOW, *DBT, environment=surroundings)  # of Dagster's, prepare_home has left those that it sets
    environment = {
        **surroundings,
        "FLYWHEEL_HOME": str(settings.root),
        "FLYWHEEL_MLFLOW_UI": f"http://{HOST}:{mlflow_port}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    workspace = ["-w", str(ROOT / "workspace.yaml")]
    commands = {
        "Dagster UI": ["dagster_webserver", "-h", HOST, "-p", str(dagster_port), *workspace],
        "Dagster daemon": ["dagster._daemon", "run", *workspace],
        "MLflow UI": [
            "mlflow", "server", "--host", HOST, "--port", str(mlflow_port), "--workers", "1",
            "--backend-store-uri", settings.tracking_uri,
            "--default-artifact-root", (settings.root / "mlartifacts").as_uri(),
        ],
    }  # fmt: skip
    # Being ended from outside is Ctrl-C, too; a shell that starts this in the background has it ignored.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, signal.default_int_handler)
    running = {
        name: subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )
        for name, command in commands.items()
    }
    try:
        for name, port in (("Dagster UI", dagster_port), ("MLflow UI", mlflow_port)):
            _wait_for(name, port, running[name])
            tell(f"{name:<10}  http://{HOST}:{port}")
        tell("The daemon runs schedules and sensors once they are switched on. Ctrl-C ends all.")
        while all(process.poll() is None for process in running.values()):
            time.sleep(0.5)
        ended = [name for name, process in running.items() if process.poll() is not None]
        tell(f"{', '.join(ended)} ended by itself; ending the others.")
        return 1
    except KeyboardInterrupt:
        tell("Ending all.")
        return 0
    finally:
        for process in running.values():
            _end(process)


def port_problem(port: int) -> str | None:
    """Why nothing can be served at that port, with what to do about it; None where it can."""
    if _answers(port):
        return "is taken: end what serves there"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return f"cannot be used ({(error.strerror or str(error)).lower()}): ask who runs this machine"
    return None


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


def _wait_for(name: str, port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(port):
            with urllib.request.urlopen(f"http://{HOST}:{port}/", timeout=30):
                return
        time.sleep(0.3)
    raise ValueError(f"{name} did not come up within {PATIENCE_S:.0f} s; its messages stand above.")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process and all it started: first asked, then made to."""
    for how, patience in ((signal.SIGTERM, 8.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            return
        try:
            process.wait(patience)
            return
        except subprocess.TimeoutExpired:
            continue
