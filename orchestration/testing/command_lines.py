"""Command lines that nobody would mean, of every command there is: what each must refuse in a sentence.

Here: walking the command tree, values by the kind of a parameter, and what a refusal may look like. Tests try each
value by itself, benchmarks many at once.
Not here: running them (tests, benchmarks).
"""

import io
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from orchestration.testing.shop import FIRST

Words = tuple[str, ...]
KINDS: Mapping[str, str] = {
    "key": "turn",
    "identity": "identity",
    "candidate": "identity",
    "target": "identity",
    "undo": "identity",
    "loop": "loop",
    "to": "version",
    "start": "moment",
    "end": "moment",
    "form": "choice",
    "kind": "choice",
    "folder": "folder",
    "home": "folder",
    "file": "file",
    "data": "file",
    "outcome": "pair",
    "fields": "pair",
    "text": "text",
    "reason": "free",
    "reviewer": "free",
    "by": "free",
    "exposure": "free",
}
"""What a parameter that takes a text means, by its name; numbers need no entry."""
SILLY: Mapping[str, tuple[str, ...]] = {
    "int": ("0", "-1", "1.5", "nix", "", "nan", "1e3", "9" * 400),
    "float": ("0", "-5", "nix", "", "nan", "inf", "1e-400"),
    "turn": (
        "yesterday", "2026-13-26", "2026-01-07", "2030-01-07", "9999-12-27", "1999-01-04", "20260105", "2026-W02-1", "",
        "../x", "2026-01-05\n", "0", "٢٠٢٦-01-05",
    ),
    "identity": (
        "nix", "", " ", "%", "' or 1=1 --", "momentum/content/2026-13-26", "momentum/content/yesterday",
        "momentum/nix/2026-01-05", "turn_kpis/content/2026-01-05/x/y", "nix/content/2026-01-05", "a/b/c/d/e/f", "///",
        "content-policy/99", "content-policy/nix", "nix-policy/1", "[bold]", "x" * 5_000, "\u202e",
    ),
    "loop": ("nix", "", "../../x", "content,replay", "[red]"),
    "moment": ("yesterday", "2026-13-26", "2026-01-05T25:00", "", " ", "0", "1e9", "nix", "[red]", "9" * 400),
    "version": ("99", "nix", "", "-1", "0", "1e3", "9" * 400),
    "choice": ("nix", "", "SFT", "[bold]"),
    "folder": ("{file}", "{file}/below", "/proc/nix", "{closed}/below"),
    "file": (
        "{folder}/missing.csv", "{folder}", "", "{folder}/empty.csv", "{folder}/empty.ndjson", "{folder}/binary.csv",
        "{folder}/binary.ndjson", "{folder}/binary.parquet", "{folder}/cut.json", "{folder}/other.csv",
    ),
    "pair": ("x", "=", "=x", ""),
    "text": ("", "  "),
    "free": (),
}  # fmt: skip
SERVING = {("up",), ("demo",), ("replay",)}
"""Commands that serve or run long: only values that they refuse at once may be tried."""
USUAL: Mapping[Words, tuple[str, ...]] = {
    ("turn",): (FIRST,),
    ("trace",): ("nix",),
    ("plan",): ("--base-rate", "0.04", "--units", "500", "--lift", "0.3"),
    ("rollback",): ("content", "--reason", "x"),
    ("export",): ("sft", "--loop", "content", "--folder", "{folder}/exports"),
    ("replay",): ("tests", "--data", "{folder}/other.csv", "--home", "{folder}/replay"),
    ("review", "approve"): ("nix",),
    ("review", "edit"): ("nix", "--text", "Beans."),
    ("review", "reject"): ("nix",),
    ("convert", "shopify"): ("{folder}/other.csv", "--dry-run"),
    ("convert", "ga4"): ("{folder}/event.ndjson", "--dry-run"),
    ("convert", "segment"): ("{folder}/event.ndjson", "--dry-run"),
    ("withdraw",): ("nix", "--reason", "x", "--dry-run"),
    ("exclude",): ("--from", "2026-01-05T10:00", "--to", "2026-01-05T11:00", "--reason", "x", "--dry-run"),
}
"""Arguments of a command that needs some; of them one is replaced."""
REPR = re.compile(
    r"<[\w.]+ object at 0x|<class '|\b(?:Posix|Windows)Path\(|SecretStr\(|Traceback|^\['|: \['", re.MULTILINE
)
MOST_LINES = 3


@dataclass(frozen=True)
class Parameter:
    """A parameter of a command: its name, the option that gives it (None for an argument), and its kind."""

    name: str
    option: str | None
    kind: str


def commands() -> dict[Words, Any]:
    """Every command by its path, such as `("review", "list")`."""
    from orchestration.cli import app

    def below(command: Any, path: Words) -> Iterator[tuple[Words, Any]]:
        if hasattr(command, "commands"):
            for name, each in command.commands.items():
                yield from below(each, (*path, name))
        else:
            yield path, command

    return dict(below(typer.main.get_command(app), ()))


def parameters(command: Any) -> list[Parameter]:
    """The parameters of a command that take a value. Raises KeyError, naming it, for a text of unknown meaning."""
    found = []
    for each in command.params:
        if getattr(each, "is_flag", False) or each.name == "help":
            continue
        annotation = str(each.type_descriptor.annotation)
        number = next((kind for kind in ("int", "float") if re.search(rf"\b{kind}\b", annotation)), None)
        option = each.opts[0] if each.param_type_name == "option" else None
        found.append(Parameter(each.name, option, number or KINDS[each.name]))
    return found


def silly_lines(folder: Path) -> Iterator[list[str]]:
    """Command lines with one silly value each, for all commands and parameters, over files that `lay_files` wrote."""
    for path, command in commands().items():
        usual = [word.format(folder=folder) for word in USUAL.get(path, ())]
        yield [*path, *usual, "--nix"]
        yield [*path, *usual, "one", "more", "than", "there", "is"]
        place = 0
        for parameter in parameters(command):
            for value in silly_values(parameter, folder):
                yield [*path, *replaced(usual, parameter, place, value)]
            place += parameter.option is None


def silly_values(parameter: Parameter, folder: Path) -> list[str]:
    """Values that a parameter of that kind must refuse."""
    places = {"folder": str(folder), "file": str(folder / "other.csv"), "closed": "/proc"}
    return [value.format(**places) if "{" in value else value for value in SILLY[parameter.kind]]


def replaced(usual: list[str], parameter: Parameter, place: int, value: str) -> list[str]:
    """The usual arguments with one of them, at that place among those without an option, replaced."""
    if parameter.option is None:
        return [*usual[:place], value, *usual[place + 1 :]] if place < len(usual) else [*usual, value]
    words = list(usual)
    if parameter.option in words:
        at = words.index(parameter.option)
        del words[at : at + 2]
    return [*words, f"{parameter.option}={value}"]


class Terminal:
    """Runs command lines in this process, with nothing to be read from whoever would sit there."""

    def __init__(self) -> None:
        from orchestration.cli import app

        self.command = typer.main.get_command(app)  # built once: that costs more than most of what it runs

    def run(self, line: Sequence[str]) -> tuple[int, str]:
        """The exit code, and what was printed. What a command raises beside its exit is raised here, too."""
        printed = io.StringIO()
        silent = io.StringIO("")
        stdin, sys.stdin = sys.stdin, silent
        try:
            with redirect_stdout(printed), redirect_stderr(printed):
                self.command.main(args=list(line), prog_name="flywheel")
        except SystemExit as end:
            return int(end.code or 0), printed.getvalue().strip()
        finally:
            sys.stdin = stdin
        raise AssertionError("A command returned without an exit code.")


def lay_files(folder: Path) -> Path:
    """Files that commands read: empty, binary, cut short, with other columns, and one good event; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = bytes(range(256)) * 12
    for suffix in ("csv", "ndjson", "parquet"):
        (folder / f"empty.{suffix}").write_bytes(b"")
        (folder / f"binary.{suffix}").write_bytes(noise)
    (folder / "other.csv").write_text("a,b\n1,2\n")
    (folder / "cut.json").write_text('[{"a": ')
    (folder / "event.ndjson").write_text('{"event": "Product Viewed", "type": "track"}\n')
    return folder


def faults_of(exit_code: int, output: str) -> list[str]:
    """What is wrong with the refusal of a silly command line; nothing where it is as it should be."""
    faults = []
    if exit_code not in (1, 2):
        faults.append(f"exit code {exit_code}")
    if len(output.strip().splitlines()) > MOST_LINES:
        faults.append(f"{len(output.strip().splitlines())} lines")
    if found := REPR.search(output):
        faults.append(f"shows {found.group()}")
    if not output.strip():
        faults.append("says nothing")
    return faults


def state_of(home: Path) -> dict[str, bytes | int]:
    """Files of a home that are facts or answers: their content, and of databases the number of rows by table."""
    import hashlib

    from orchestration.settings import Settings
    from orchestration.tables import TABLES
    from orchestration.warehouse.engines import open_warehouse

    state: dict[str, bytes | int] = {}
    for place in ("landing", "outbox", "exports", "mlartifacts"):
        for path in (home / place).rglob("*"):
            if path.is_file():
                state[str(path.relative_to(home))] = hashlib.sha256(path.read_bytes()).digest()
    warehouse = open_warehouse(Settings(home=home))
    with warehouse.held_open() as statements:
        for table in TABLES.values():
            state[table.name] = int(statements.read(f"select count(*) from {table.qualified}").item())
    return state
