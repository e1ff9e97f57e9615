"""Why a run failed, as a person reads it.

Here: the gates that refused it, the errors that name a remedy, and which error is a bug.
Not here: running (driver), and how the terminal prints it (commands).
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from orchestration.machine import trouble_in

_FOR_PEOPLE = ("ValueError", "LookupError", "FileNotFoundError", "PermissionError")
_GATE = "DagsterAssetCheckFailedError"


def told(result: dg.ExecuteInProcessResult) -> str:
    """One line for each gate that refused the run and each step that failed otherwise."""
    refused = [f"refused: {name}. {found}".strip() for name, found in refusals(result.get_asset_check_evaluations())]
    failed = [
        f"{event.step_key}: {sentence(event.step_failure_data.error, result.run_id)}"
        for event in result.all_node_events
        if event.is_step_failure and not _is_gate(event.step_failure_data.error)
    ]
    return "\n".join([*refused, *failed])


def refusals(checks: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """(name, what it found) of blocking checks that did not pass; checks are evaluations as Dagster keeps them."""
    for check in checks:
        if not check.passed and check.blocking and check.severity is dg.AssetCheckSeverity.ERROR:
            yield check.check_name, check.description or ""


def sentence(error: Any, run_id: str) -> str:
    """An error of a step: its message when it was raised for a person, else that it is a bug and where its trace is.

    `error` is as Dagster keeps it: class name, message, lines of the stack, cause.
    """
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return f"its reason is in run {run_id} of the Dagster UI."
    message = str(error.message).strip()
    if trouble := trouble_in(message):
        return trouble
    text = re.sub(rf"^(?:\w+\.)*{re.escape(error.cls_name or '')}:\s*", "", message)
    ours = message.startswith("orchestration.") or (error.cls_name in _FOR_PEOPLE and _raised(error.stack))
    if ours or error.cls_name == "Failure":
        return text
    return (
        f"this is a bug in the flywheel ({error.cls_name}: {text}); its traceback is in run {run_id} of the Dagster UI."
    )


def _raised(stack: list[str]) -> bool:
    """Whether a `raise` statement of ours is where the error comes from."""
    last = stack[-1] if stack else ""
    return "orchestration" in last and bool(re.search(r"^\s*raise ", last, re.MULTILINE))


def _is_gate(error: Any) -> bool:
    return error is not None and error.cls_name == _GATE
