"""Command lines that nobody would think of: what whoever typed them is told, and what becomes of the home.

Here: generating command lines over a small home, running each in this process, and counting what must not happen.
Not here: the other inputs that are generated (fuzz_*), the values by kind (testing.command_lines), the report (fuzz).
"""

import os
import random
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.commands import errors
from orchestration.testing.command_lines import (
    SERVING,
    USUAL,
    Parameter,
    Words,
    commands,
    faults_of,
    lay_files,
    parameters,
    replaced,
    silly_values,
    state_of,
)
from orchestration.testing.shop import FIRST, Wheel

SECONDS = 60  # after which a command is taken to hang
LOOK = 50  # command lines after which the home is looked at
REST = (
    "", " ", "x", "0", "-1", "1", "2", "0.5", "content", "replay", "tests", "sft", "dpo", FIRST, "a" * 5_000, "--",
    "-", "\ud83d", "\x1b[31m", "\u202e", "a\nb", "'", "content-policy/1", f"momentum/content/{FIRST}", "[/bold]", "{",
    "%s", "/", ".", "~", "price=12.5", "click=Product Clicked", "Beans.", "1e-300", "1e300", "100", "0.04",
)  # fmt: skip
NEVER = {("ingest",), ("forget",)}
"""Commands that change the home by what they are for, whatever is asked: they are run with wrong arguments alone."""


def fuzz_commands(count: int, seed: int) -> dict[str, int]:
    """Run `count` generated command lines on a home with one learned turn.

    `tracebacks`: commands that raised, or said that they met a bug; `hangs`: those that took over a minute; `riddles`:
    refusals of more than three lines, with a Python object, or without a word; `written`: times that the home had
    changed though all commands since the last look had refused; `read`: command lines that ended.
    """
    found: Counter[str] = Counter(read=0, tracebacks=0, hangs=0, riddles=0, written=0)
    before = dict(os.environ)
    kept, place = tempfile.tempdir, Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        home, files = Path(folder) / "home", lay_files(Path(folder) / "files")
        Wheel(home, exposures=400, products=3).turn(FIRST)
        os.environ.update({"FLYWHEEL_HOME": str(home), "FLYWHEEL_PSEUDONYM_KEY": "k" * 32, "COLUMNS": "120"})
        tempfile.tempdir = folder
        os.chdir(files)  # what a command writes to a relative path
        try:
            _run_all(count, seed, home, files, found)
        finally:
            tempfile.tempdir = kept
            os.chdir(place)
            os.environ.clear()
            os.environ.update(before)
    return dict(found)


def _run_all(count: int, seed: int, home: Path, files: Path, found: Counter[str]) -> None:
    known = commands()
    state, may_have_changed = state_of(home), False
    for number in range(count):
        line = line_of(seed, number, known, files)
        may_have_changed |= _run(line, f"command {number} of seed {seed}", found)
        if number % LOOK == LOOK - 1 or number == count - 1:
            now = state_of(home)
            if now != state and not may_have_changed:
                found["written"] += 1
                print(f"commands {number - LOOK + 1} to {number} of seed {seed} changed the home")
            state, may_have_changed = now, False


def _run(line: list[str], what: str, found: Counter[str]) -> bool:
    """Run one command line; whether it did what was asked, so that the home may have changed."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(CliRunner().invoke(app, line, input="")), daemon=True)
    thread.start()
    thread.join(SECONDS)
    shown = [word[:60] for word in line]
    if not results:
        found["hangs"] += 1
        print(f"{what} hangs: {shown}")
        return True
    (result,) = results
    found["read"] += 1
    if result.exit_code == errors.BUG or not isinstance(result.exception, SystemExit | None):
        found["tracebacks"] += 1
        print(f"{what}: {shown}: {result.exception!r} {result.output[-300:]}")
    elif result.exit_code and line[0] != "doctor" and (faults := faults_of(result.exit_code, result.output)):
        found["riddles"] += 1
        print(f"{what}: {shown}: {', '.join(faults)}: {result.output[:300]}")
    return result.exit_code == 0


def line_of(seed: int, number: int, known: Mapping[Words, Any], files: Path) -> list[str]:
    """The generated command line of a number: a command with each argument usual, silly or anything at all.

    Commands that serve, run long or change the home by what they are for get at least one word that they must refuse.
    """
    chance = random.Random(f"{seed}:{number}")
    path = chance.choice(sorted(known))
    words = [word.format(folder=files) for word in USUAL.get(path, ())]
    if path == ("turn",):
        words.append("--dry-run")
    found = parameters(known[path])
    for parameter in chance.sample(found, chance.randrange(len(found) + 1)):
        words = _with(words, parameter, found, _value(chance, parameter, files))
    if chance.random() < 0.1:
        words.insert(chance.randrange(len(words) + 1), chance.choice(("--nix", "-q", "--help", *REST)))
    if path in SERVING or path in NEVER:
        words.append("--no-such-option")
    return [*path, *(word.replace("\0", "") for word in words)]


def _value(chance: random.Random, parameter: Parameter, files: Path) -> str:
    silly = silly_values(parameter, files)
    if silly and chance.random() < 0.6:
        return chance.choice(silly)
    return "".join(chance.choice(REST) for _ in range(chance.randrange(1, 3)))


def _with(words: list[str], parameter: Parameter, known: list[Parameter], value: str) -> list[str]:
    arguments = [each.name for each in known if each.option is None]
    place = arguments.index(parameter.name) if parameter.option is None else 0
    return replaced(words, parameter, place, value)
