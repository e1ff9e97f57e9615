"""The dbt project on disk: calling dbt in this process, and the manifest that says what the project holds.

Here: where the project lies, parsing it once, and what every call of dbt has in common.
Not here: building models for turns (warehouse.dbt) and how they appear in Dagster (graph.assets.kpis).
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

from orchestration.environment import DBT, shed
from orchestration.warehouse.protocol import DbtTarget

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
_MANIFEST = "manifest.json"
_SOURCES = ("dbt_project.yml", "profiles.yml", "models", "macros", "tests")
DEFAULT = DbtTarget("warehouse", "warehouse", {"FLYWHEEL_WAREHOUSE_FILE": "warehouse.duckdb"})
"""What the manifest is parsed for that says which assets and checks there are: they are the same for all engines."""
_QUIET = ("--log-level", "none", "--log-level-file", "none", "--no-use-colors")
_LOCK = threading.RLock()  # dbt keeps its flags, adapters and environment per process
_PARSED: dict[Path, tuple[int, "Manifest"]] = {}


class DbtError(RuntimeError):
    """dbt could not do what was asked; the message names what failed and where to look."""


def target_path() -> Path:
    """Where dbt leaves the manifest and compiled SQL: target/ in the project."""
    return (PROJECT / "target").resolve()


def manifest_path() -> Path:
    """The manifest of the project as it stands; parsed first (seconds) when missing or older than its sources.

    Raises DbtError when the project does not parse.
    """
    target = target_path()
    with _file_lock(target):
        if not _is_current(target):
            _parse(target, DEFAULT)
    return target / _MANIFEST


def parsed(target: DbtTarget = DEFAULT) -> "Manifest":
    """The parsed project, kept for as long as this process lives and the sources do not change.

    dbt writes the name of the database into every relation, and the macros of an engine into the manifest: so there
    is one for each of both.
    """
    folder = target_path() if target.key == DEFAULT.key else target_path() / "-".join(target.key)
    newest = _newest_source()
    with _LOCK:
        known = _PARSED.get(folder)
        if known is None or known[0] != newest:
            with _file_lock(folder):
                known = _PARSED[folder] = (newest, _parse(folder, target))
        return known[1]


def invoke(
    command: Sequence[str],
    *,
    target: DbtTarget,
    folder: Path | None = None,
    manifest: "Manifest | None" = None,
    callbacks: Sequence[Callable[[Any], None]] = (),
) -> Any:
    """Result of a dbt command. Nothing is printed; `callbacks` get dbt's events. `folder` is where it leaves files.

    Raises DbtError when dbt could not run at all; nodes that fail are for the caller to find in the result.
    """
    from dbt.cli.main import dbtRunner

    folders = {
        "--project-dir": PROJECT,
        "--profiles-dir": PROJECT,
        "--target-path": folder or target_path(),
        "--log-path": folder or target_path(),
        "--target": target.output,
    }
    arguments = [*_QUIET, *command, *(str(part) for pair in folders.items() for part in pair)]
    with _LOCK, _environment(target.environment):
        outcome = dbtRunner(manifest=manifest, callbacks=list(callbacks)).invoke(arguments)
    if outcome.exception is None:
        return outcome.result
    if not isinstance(outcome.exception, Exception):
        raise outcome.exception  # an interruption, which dbt hands over like any error
    raise DbtError(f"dbt {command[0]} could not run: {outcome.exception}") from outcome.exception


def _parse(folder: Path, target: DbtTarget) -> "Manifest":
    command = ["parse", *(["--no-write-json"] if _is_current(folder) else [])]
    manifest: Manifest = invoke(command, target=target.for_parsing, folder=folder)
    return manifest


def _is_current(target: Path) -> bool:
    path = target / _MANIFEST
    return path.is_file() and path.stat().st_mtime_ns >= _newest_source()


def _newest_source() -> int:
    """When the project last changed, deletions included, in nanoseconds."""
    roots = [PROJECT / name for name in _SOURCES]
    inside = (path for root in roots if root.is_dir() for path in root.rglob("*"))
    return max(path.stat().st_mtime_ns for path in (*roots, *inside))


@contextmanager
def _file_lock(target: Path) -> Iterator[None]:
    """One process parses at a time: the web server, the daemon and a run start together on a fresh clone."""
    import fcntl

    target.mkdir(parents=True, exist_ok=True)
    with (target / "parse.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """The environment of a call: `values`, and of dbt's own variables nothing that was set for other work."""
    foreign = shed(*DBT)
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        os.environ.update(foreign)
