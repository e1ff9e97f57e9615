"""The program's side of a trial: load it, then answer the judge's calls until it has no more.

Here: loading, looking names up, calling, and handing back what came of it.
Not here: any test. This process never sees one, so a program has nothing to look for in its memory.
"""

import sys
from typing import Any

from orchestration.trials.inside.confine import confine, read_order
from orchestration.trials.inside.wire import Wire, encode
from orchestration.trials.inside.wire import decode as decoded

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
            wire.send(_answer(names, wire.receive()))
        except EOFError:
            return


def _answer(names: dict[str, Any], question: dict[str, Any]) -> dict[str, Any]:
    try:
        name = question["name"]
        if name not in names:
            return {"missing": name}
        value = names[name]
        if "arguments" not in question:
            return {"callable": True} if callable(value) else {"value": encode(value)}
        arguments = decoded(question["arguments"])
        keywords = decoded(question["keywords"])
        answer: dict[str, Any] = {"value": encode(value(*arguments, **keywords))}
        after = [encode(one) if isinstance(one, (list, dict, set)) else None for one in arguments]
        changed = [[place, one] for place, one in enumerate(after) if one not in (None, question["arguments"][place])]
        return {**answer, "changed": changed} if changed else answer
    except BaseException as error:
        return _raised(error)


def _raised(error: BaseException) -> dict[str, Any]:
    kind = next((one.__name__ for one in type(error).__mro__ if one.__module__ == "builtins"), "Exception")
    try:
        said = str(error)[:_LONGEST_MESSAGE]
    except BaseException:
        said = ""  # an error that cannot say what it is about still is one
    return {"raised": kind, "name": type(error).__name__, "said": said}
