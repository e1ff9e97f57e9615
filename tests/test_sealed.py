"""What keeps the rooms apart, read off the syntax trees: who names a loop, who does I/O, who knows an engine."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.loops.found import found_loops

ROOT = Path(__file__).resolve().parents[1] / "orchestration"
MODULES = sorted(ROOT.rglob("*.py"))
PURE = ("loops", "generation", "delivery", "guards", "learning")
DOES_IO = {
    "landing",
    "model",
    "warehouse",
    "registry",
    "graph",
    "commands",
    "worlds",
    "trials",
    "retention",
    "home",
    "settings",
}
OUTSIDE = {"dagster", "duckdb", "psycopg", "mlflow", "openai", "sqlite3", "socket", "subprocess", "aiohttp", "httpx2"}
MAY_NAME_A_LOOP = {"loops", "worlds", "testing"}
"""Its declaration and recipes, its world, and what stands in for its model in tests."""
STRATEGIES = {"SharedTraffic", "PerUnit", "Trial"}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def loops_named(path: Path, names: set[str]) -> list[str]:
    """Loops' names that stand in the code as values: not in prose, nor as keys such as a chat message's `content`."""
    module = tree(path)
    keys = {id(key) for node in ast.walk(module) if isinstance(node, ast.Dict) for key in node.keys if key}
    keys |= {id(node.slice) for node in ast.walk(module) if isinstance(node, ast.Subscript)}
    keys |= {
        id(argument)
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get"
        for argument in node.args
    }
    constants = (node for node in ast.walk(module) if isinstance(node, ast.Constant) and id(node) not in keys)
    return [str(node.value) for node in constants if node.value in names]


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) not in MAY_NAME_A_LOOP], ids=lambda p: p.stem)
def test_no_loop_is_named_outside_its_declaration_and_its_world(path: Path) -> None:
    assert loops_named(path, set(found_loops())) == []


def test_the_seal_notices_a_loop_that_is_named(tmp_path: Path) -> None:
    named = tmp_path / "assets.py"
    named.write_text('if loop.name == "replay":\n    message = {"content": "x"}\n')
    assert loops_named(named, {"content", "replay"}) == ["replay"]


@pytest.mark.parametrize("path", [p for p in MODULES if room(p) in PURE], ids=lambda p: f"{room(p)}-{p.stem}")
def test_what_thinks_does_no_io(path: Path) -> None:
    names = [*imported(path)]
    rooms = {name.split(".")[1] for name in names if name.startswith("orchestration.")}
    assert not {name.split(".")[0] for name in names} & OUTSIDE
    assert not rooms & DOES_IO


def test_the_engine_is_known_to_the_rooms_that_own_it_alone() -> None:
    knowing = {room(path) for path in MODULES for name in imported(path) if name.split(".")[0] in ("duckdb", "psycopg")}
    assert knowing <= {"warehouse", "landing", "testing"}


def test_no_stage_asks_which_strategy_it_has() -> None:
    stages = [path for path in MODULES if path.parent == ROOT / "graph" / "assets"]
    assert len(stages) > 10
    for path in stages:
        mentioned = {node.id for node in ast.walk(tree(path)) if isinstance(node, ast.Name)}
        assert not mentioned & STRATEGIES, path.name
        assert "isinstance" not in mentioned, path.name


def test_tests_and_benchmarks_import_nothing_of_each_other() -> None:
    top = ROOT.parent
    for folder, other in (("benchmarks", "tests"), ("tests", "benchmarks")):
        for path in (top / folder).rglob("*.py"):
            assert not [name for name in imported(path) if name.split(".")[0] == other], path.name
