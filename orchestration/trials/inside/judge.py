"""The judge's side of a trial: run each test against the program, which lives in a containment elsewhere.

Here: the tests' names bound to the program's functions, each test run and told apart, the verdict reported.
Not here: the program. All this process gets of it is plain data, so equality is judged by the built-in types alone, and
the pipe on which verdicts leave does not exist where the program runs.
"""

from __future__ import annotations

import _ast as ast  # the nodes alone: the module around them is slow to load
import builtins
import sys

from orchestration.trials.inside.confine import confine, read_order
from orchestration.trials.inside.wire import Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_LONGEST_LINE = 500
_GOT = "_trial_got"


class ProgramError(Exception):
    """What the program raised, where it is no built-in exception."""


class ProgramGone(BaseException):
    """The program's process has ended, or no longer keeps to the wire."""


def main() -> None:
    order = read_order()
    program = Program(Wire(int(sys.argv[1]), int(sys.argv[2])))
    verdicts = Wire(-1, int(sys.argv[3]))
    confine(order)
    try:
        program.wait_until("ready")
    except ProgramGone:
        return
    verdicts.send({"started": True})
    broken = _load(program)
    for number, test in enumerate(order["tests"]):
        error = broken or _error_of(test, order["before_tests"], program)
        verdicts.send({"test": number, "passed": error is None, **(error or {}), "gone": program.gone})
    verdicts.send({"done": True})


class Program:
    """The program as the judge knows it: a name is looked up or called, and plain data or an exception comes back."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.gone = False

    def wait_until(self, message: object) -> None:
        if self._received() != message:
            raise ProgramGone("the program's side did not start")

    def loaded(self) -> dict[str, Any]:
        return self._checked(self._received())

    def look_up(self, name: str) -> dict[str, Any]:
        return self._asked({"name": name})

    def call(self, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        answer = self._asked({"name": name, "arguments": list(arguments), "keywords": keywords})
        for place, now in answer.get("changed", ()):
            _take_over(arguments[place], now)
        return answer["value"]

    def _asked(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            self._wire.send(question)
        except OSError as error:
            self.gone = True
            raise ProgramGone("the program has ended") from error
        return self._checked(self._received())

    def _received(self) -> Any:
        if self.gone:
            raise ProgramGone("the program has ended")
        try:
            return self._wire.receive()
        except (EOFError, ValueError, TypeError, KeyError, RecursionError, MemoryError) as error:
            self.gone = True
            raise ProgramGone(f"the program has ended or broken off: {error}") from error

    def _checked(self, answer: Any) -> dict[str, Any]:
        if not isinstance(answer, dict):
            raise ProgramError("the program answered something that is no answer")
        if "raised" in answer:
            kind = getattr(builtins, str(answer["raised"]), None)
            said = str(answer.get("said", ""))[:_LONGEST_LINE]
            if isinstance(kind, type) and issubclass(kind, Exception) and answer.get("name") == kind.__name__:
                try:
                    raised = kind(said)
                except TypeError:  # such as UnicodeDecodeError, which is not made of one text
                    raised = ProgramError(f"{kind.__name__}: {said}")
                raise raised
            raise ProgramError(f"{str(answer.get('name'))[:100]}: {said}")
        return answer


def _take_over(argument: Any, now: Any) -> None:
    """Do to the test's own list, dict or set what the program did to the one it was handed."""
    if type(argument) is not type(now):
        raise ProgramError("the program changed an argument into another type")
    if isinstance(argument, list):
        argument[:] = now
    elif isinstance(argument, (dict, set)):
        argument.clear()
        argument.update(now)


def _load(program: Program) -> dict[str, str] | None:
    try:
        program.loaded()
    except (Exception, ProgramGone) as error:
        return {"said": f"the program cannot be loaded: {_told(error)}", "kind": type(error).__name__}
    return None


def _error_of(test: str, before: str, program: Program) -> dict[str, str] | None:
    """Why the test fails, or None. A test that is itself broken fails like any other: its line says so."""
    names: dict[str, Any] = {"__name__": "tests"}
    try:
        exec(compile(before, "before_tests", "exec"), names)
        tree: Any = compile(test, "test", "exec", ast.PyCF_ONLY_AST)
        for name in _names_to_bind(tree, names):
            if name in sys.stdlib_module_names and name in _used_as_modules(tree):
                names[name] = __import__(name)
            else:
                _bind(names, name, program)
        _keep_what_is_compared(tree)
        exec(compile(tree, "test", "exec"), names)
    except BaseException as error:
        line = f"{test.strip()}: {_told(error)}"
        if isinstance(error, AssertionError) and _GOT in names:
            line = f"{test.strip()}: got {_shown(names[_GOT])}"
        return {"said": line[: 2 * _LONGEST_LINE], "kind": type(error).__name__}
    return None


def _names_to_bind(tree: ast.Module, there: dict[str, Any]) -> list[str]:
    """Names that a test uses and nobody has defined yet. A built-in stays what it is, whatever the program redefines:
    only a test that calls nothing but one built-in is about the program's own function of that name."""
    nodes = list(_walk(tree))
    used = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    given = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    given |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    given |= {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    given |= {
        (alias.asname or alias.name).partition(".")[0]
        for node in nodes
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    free = used - given - set(there)
    return sorted(free - set(dir(builtins))) or sorted(free if len(free) == 1 else ())


def _used_as_modules(tree: ast.Module) -> set[str]:
    return {
        node.value.id for node in _walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def _bind(names: dict[str, Any], name: str, program: Program) -> None:
    answer = program.look_up(name)
    if answer.get("callable") is True:
        names[name] = _function(name, program)
    elif "value" in answer:
        names[name] = answer["value"]


def _function(name: str, program: Program) -> Callable[..., Any]:
    def ask(*arguments: Any, **keywords: Any) -> Any:
        return program.call(name, arguments, keywords)

    ask.__name__ = ask.__qualname__ = name
    return ask


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it."""
    yield node
    for name in node._fields:
        value = getattr(node, name, None)
        for below in value if isinstance(value, list) else [value]:
            if isinstance(below, ast.AST):
                yield from _walk(below)


def _keep_what_is_compared(tree: ast.Module) -> None:
    """Keep the side of each assert's comparison that is no constant, so that the verdict can say what came instead."""
    for statement in tree.body:
        if isinstance(statement, ast.Assert) and isinstance(statement.test, ast.Compare) and statement.msg is None:
            compared = statement.test
            if not isinstance(compared.left, ast.Constant):
                compared.left = _kept(compared.left)
            elif len(compared.comparators) == 1:
                compared.comparators = [_kept(compared.comparators[0])]


def _kept(value: ast.expr) -> ast.NamedExpr:
    place = {name: getattr(value, name) for name in value._attributes}
    return ast.NamedExpr(target=ast.Name(id=_GOT, ctx=ast.Store(), **place), value=value, **place)


def _shown(value: object) -> str:
    try:
        return repr(value)[:_LONGEST_LINE]
    except (ValueError, RecursionError, MemoryError) as error:
        return f"a {type(value).__name__} that cannot be shown ({error})"


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_LONGEST_LINE] if str(error) else type(error).__name__
