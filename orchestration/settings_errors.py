"""What is wrong with a setting, in one line a setting.

Here: the error that settings raise, and the misspelt variables that would otherwise have no effect unheard.
Not here: the settings themselves (settings).
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic.fields import FieldInfo

PREFIX = "FLYWHEEL_"
LONGEST_VALUE = 80
OF_TESTS = ("FLYWHEEL_BENCH_", "FLYWHEEL_DATA")
"""Variables that benchmarks and tests read by themselves."""


class WrongSettingsError(ValueError):
    """Settings that cannot be: a line for each, with the variable, its value and what is allowed."""


def variable_of(name: str, field: "FieldInfo") -> str:
    """The environment variable of a setting."""
    return str(field.validation_alias or f"{PREFIX}{name.upper()}")


def wrong_settings(fault: "ValidationError", fields: "Mapping[str, FieldInfo]") -> WrongSettingsError:
    """The error for what pydantic found. A secret's value is not repeated."""
    variables = {name: variable_of(name, field) for name, field in fields.items()}
    secret = {variables[name] for name, field in fields.items() if "SecretStr" in str(field.annotation)}
    lines = []
    for error in fault.errors(include_url=False, include_context=False):
        place = str(error["loc"][0]) if error["loc"] else ""
        variable = variables.get(place, place)
        value = "" if variable in secret else f"={_shortened(error['input'])}"
        allowed = error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        lines.append(f"{variable}{value}: {allowed[0].lower()}{allowed[1:]}.".replace("..", "."))
    return WrongSettingsError("\n".join(dict.fromkeys(lines)))


def unknown_variables(given: Iterable[str], fields: "Mapping[str, FieldInfo]") -> list[str]:
    """A sentence for each variable of our prefix that no setting is called by, with the name that was likely meant."""
    known = [variable_of(name, field) for name, field in fields.items()]
    found = []
    for name in sorted(given):
        if not name.upper().startswith(PREFIX) or name.upper() in known or name.upper().startswith(OF_TESTS):
            continue
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.7)
        meant = f"; {near[0]} was probably meant" if near else ""
        found.append(f"{name} is no setting and has no effect{meant}. `flywheel settings` lists all of them.")
    return found


def _shortened(value: Any) -> str:
    shown = value if isinstance(value, str) else repr(value)
    return repr(shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}…")
