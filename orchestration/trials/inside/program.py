"""The program's side of a trial: load it, then answer the judge's calls until it has no more.

Here: loading, looking names up, calling, and handing back what came of it.
Not here: any test. This process never sees one, so a program has nothing to look for in its memory.
"""

from __future__ import annotations

import sys

from orchestration.trials.inside.confine import confine, read_order
from orchestration.trials.inside.wire import Wire, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LONGEST_MESSAGE = 500


def main() -> None:
    order = read_order()
    wire = Wire(int(sys.argv[1]), int(sys.argv[2]))
    confine(order)
    wire.send("ready")
    names: dict[str, Any] = {"__name__": "program", "__builtins__": __builtins__}
    try:
        exec(compile(order["program"], "program.py", "exec"), names)
    except BaseException as error:
        wire.send(_raised(error))
    else:
        wire.send({"loaded": True})
    while True:
        try:
            question = wire.receive()
        except EOFError:
            return
        try:
            wire.send(_answer(names, question))
        except BaseException as error:
            wire.send(_raised(error))


def _answer(names: dict[str, Any], question: dict[str, Any]) -> dict[str, Any]:
    """What the name stands for, or what calling it gives; raises whatever the program does."""
    name = question["name"]
    if name not in names:
        return {"missing": name}
    value = names[name]
    if "arguments" not in question:
        return {"callable": True} if callable(value) else {"value": value}
    arguments = question["arguments"]
    before = [encode(one) if isinstance(one, (list, dict, set)) else None for one in arguments]
    answer = {"value": value(*arguments, **question["keywords"])}
    changed = [
        [place, one]
        for place, one in enumerate(arguments)
        if before[place] is not None and encode(one) != before[place]
    ]
    return {**answer, "changed": changed} if changed else answer


def _raised(error: BaseException) -> dict[str, Any]:
    kind = next((one.__name__ for one in type(error).__mro__ if one.__module__ == "builtins"), "Exception")
    try:
        said = str(error)[:_LONGEST_MESSAGE]
    except BaseException:
        said = ""  # an error that cannot say what it is about still is one
    return {"raised": kind, "name": type(error).__name__, "said": said}
