"""A person's side of a turn: what waits, and deciding on it.

Here: the queue, and decisions written as landed files, which the next turn takes in. An edit is judged by the loop's
guards before it lands.
Not here: what follows from a decision (graph.assets.reviews), where the same guards judge an edit again.
"""

import getpass
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration.generation.answers import AnswerInvalid, canonical, text_field
from orchestration.graph.assets.edits import WRITTEN_FROM, edits_of, judged_edit
from orchestration.landing.folder import Landing
from orchestration.loops.declaration import Loop
from orchestration.warehouse.protocol import Warehouse

WAITING = """
    select r.turn::varchar as turn, r.loop, r.candidate_id, r.subject_id, r.recipe_id, r.text, c.answer, r.reason,
           s.original
    from flywheel.reviews as r
    join flywheel.candidates as c using (loop, candidate_id)
    left join flywheel.subjects as s on s.turn = c.turn and s.loop = r.loop and s.subject_id = r.subject_id
    where r.decision = 'wait'
      and not exists (
          select 1 from flywheel.reviews as later
          where later.loop = r.loop and later.candidate_id = r.candidate_id and later.decision <> 'wait'
      )
      and not exists (
          select 1 from flywheel.landed_reviews as l where l.loop = r.loop and l.candidate_id = r.candidate_id
      )
    qualify row_number() over (partition by r.loop, r.candidate_id order by r.turn) = 1
    order by r.turn, r.loop, r.subject_id, r.candidate_id
"""


class NotWaitingError(LookupError):
    """The candidate does not wait for a person."""


def waiting(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Candidates that wait for a person, oldest first, with what the guards said and the original beside them."""
    return warehouse.read(WAITING).to_dicts()


class EditRefusedError(ValueError):
    """An edit that makes no answer, or that a guard blocks; the message says what, and nothing has landed."""


def shown(row: Mapping[str, Any]) -> str:
    """What waits, as a person reads it: its text, or its fields, one a line, where there are several."""
    answer = json.loads(row["answer"] or "{}")
    return row["text"] if len(answer) < 2 else fields_text(answer)


def fields_text(answer: Mapping[str, Any]) -> str:
    """An answer's fields, one a line: `price: 12.5`."""
    return "\n".join(
        f"{name}: {value if isinstance(value, str) else canonical(value)}" for name, value in answer.items()
    )


def land_decision(
    warehouse: Warehouse,
    landing: Landing,
    candidate_id: str,
    decision: str,
    *,
    loops: Mapping[str, Loop],
    text: str | None = None,
    fields: Sequence[str] = (),
    reason: str | None = None,
    reviewer: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write a decision (`approve`, `edit` or `reject`) to landing/; the file. The next turn obeys it.

    An edit gives `text`, for the first field that people meet, or `fields`, each FIELD=VALUE with a value in JSON or as
    plain text; `loops` are the loops by name, whose guards judge it, and `tell` hears what the guards flag.
    Raises NotWaitingError, naming the remedy, for a candidate that does not wait, and EditRefusedError where the edit
    could never go out.
    """
    queue = {row["candidate_id"]: row for row in waiting(warehouse)}
    if candidate_id not in queue:
        raise NotWaitingError(
            f"No candidate {candidate_id!r} waits for a person; `flywheel review list` shows which do."
        )
    loop = queue[candidate_id]["loop"]
    edits = None
    if decision == "edit":
        if loop not in loops:
            raise EditRefusedError(
                f"Loop {loop!r} is not declared here, so that nothing can judge an edit: name it in FLYWHEEL_LOOPS."
            )
        edits = _judged(warehouse, candidate_id, loops[loop], text, fields, tell)
    now = datetime.now(UTC)
    row = {
        "candidate_id": candidate_id,
        "decision": decision,
        "text": text,
        **({"edits": edits} if edits else {}),
        "reviewer": reviewer or getpass.getuser(),
        "reason": reason,
        "decided_at": now.isoformat(),
    }
    return landing.write("reviews", loop, [row], f"{now:%Y%m%dT%H%M%S%f}-{candidate_id}")


def _judged(
    warehouse: Warehouse,
    candidate_id: str,
    loop: Loop,
    text: str | None,
    fields: Sequence[str],
    tell: Callable[[str], None],
) -> str | None:
    """The edited fields as JSON, None where there is only a text, once the loop's guards let the answer pass."""
    if text is None and not fields:
        raise EditRefusedError("An edit changes something: give --text, or --set FIELD=VALUE.")
    if text is not None and not text.strip():
        raise EditRefusedError("The text is empty: give one, or `flywheel review reject` the candidate.")
    (row,) = warehouse.read(WRITTEN_FROM, {"loop": loop.name, "candidate_id": candidate_id}).to_dicts()
    named = _named(fields, loop)
    if text is not None and text_field(loop.answer) in named:
        raise EditRefusedError(f"--text is the field {text_field(loop.answer)!r}, which --set names again: give one.")
    edits = canonical(named) if named else None
    try:
        _, verdicts = judged_edit(json.loads(row["answer"]), edits_of(text, edits, loop), row, loop)
    except AnswerInvalid as fault:
        raise EditRefusedError(str(fault)) from None
    if blocks := [f"{verdict.guard}: {verdict.reason}" for verdict in verdicts if verdict.decision == "block"]:
        raise EditRefusedError(f"The guards block this edit. {'; '.join(blocks)}")
    for verdict in verdicts:
        if verdict.decision == "flag":
            tell(f"Flagged, and let out by your word. {verdict.guard}: {verdict.reason}")
    return edits


def _named(fields: Sequence[str], loop: Loop) -> dict[str, Any]:
    """The values of FIELD=VALUE texts: what a field takes as JSON, else as plain text."""
    named: dict[str, Any] = {}
    for each in fields:
        name, equals, value = each.partition("=")
        if not equals:
            raise EditRefusedError(f"{each!r} names no value: write FIELD=VALUE, such as --set price=12.5.")
        if name in named:
            raise EditRefusedError(f"--set names {name!r} twice: give one value.")
        named[name] = _value(value, name, loop)
    return named


def _value(text: str, name: str, loop: Loop) -> Any:
    """`text` as JSON where the field takes that, else as it stands: a text in digits stays a text."""
    from pydantic import TypeAdapter, ValidationError

    try:
        value = json.loads(text)
        annotation: Any = loop.answer.model_fields[name].annotation if name in loop.answer.model_fields else None
        if annotation is not None:
            TypeAdapter(annotation).validate_python(value)
    except (json.JSONDecodeError, ValidationError):
        return text
    return value
