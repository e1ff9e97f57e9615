"""The loops that there are: every module of this folder that declares one.

Here: finding them. A loop is found by being there; no list names it.
Not here: which of them turn (settings, FLYWHEEL_LOOPS).
"""

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from orchestration.loops.declaration import Loop

Declare = Callable[[Path | None], Loop]
"""Declares a loop, held to the claims that a brand file bans; to the shipped one when none is given."""


def found_loops() -> Mapping[str, Declare]:
    """What declares each loop, by the name of its module, which is the loop's."""
    folder = Path(__file__).parent
    modules = (import_module(f"{__package__}.{module.name}") for module in pkgutil.iter_modules([str(folder)]))
    return {module.__name__.rsplit(".", 1)[1]: module.declare for module in modules if hasattr(module, "declare")}


def declared_loops(names: Sequence[str], brand: Path | None = None) -> tuple[Loop, ...]:
    """The loops named, in that order; when none is, all but those that turn only on command.

    Raises ValueError, naming those found, for a name that is none of them.
    """
    found = found_loops()
    unknown = sorted(set(names) - set(found))
    if unknown:
        raise ValueError(
            f"FLYWHEEL_LOOPS names {', '.join(map(repr, unknown))}; the loops found are {', '.join(sorted(found))}."
        )
    declared = {name: declare(brand) for name, declare in found.items() if not names or name in names}
    for module, loop in declared.items():
        if loop.name != module:
            raise ValueError(f"The module loops/{module}.py declares a loop named {loop.name!r}: name both the same.")
    if not names:
        return tuple(loop for loop in declared.values() if not loop.on_command)
    return tuple(declared[name] for name in names)
