"""A person's side of a turn: what waits, and deciding on it.

Here: the queue, and decisions written as landed files and taken in at once, which the next turn obeys. An edit is
judged by the loop's guards before it lands. What is decided is decided: saying the same again changes nothing.
Not here: what follows from a decision (graph.assets.reviews), where the same guards judge an edit again.
"""

import getpass
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration.commands.identities import whole
from orchestration.generation.answers import AnswerInvalid, canonical, text_field
from orchestration.graph.assets.edits import WRITTEN_FROM, edits_of, judged_edit
from orchestration.landing.folder import Landing, RefusedFilesError
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
      and not exists (
          select 1 from flywheel.withdrawals as w
          where w.loop = r.loop and w.undoes is null
              and ((w.target = 'candidate' and w.target_id = r.candidate_id)
                  or (w.target = 'subject' and w.target_id = r.subject_id))
              and w.withdrawal_id not in (select undoes from flywheel.withdrawals where undoes is not null)
      )
    qualify row_number() over (partition by r.loop, r.candidate_id order by r.turn) = 1
    order by r.turn, r.loop, r.subject_id, r.candidate_id
"""


DECIDED = """
    select loop, decision, text, edits, decided_at from flywheel.landed_reviews where candidate_id = $candidate_id
    order by decided_at desc, review_id limit 1
"""


class NotWaitingError(LookupError):
    """The candidate does not wait for a person."""


def waiting(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Candidates that wait for a person, oldest first, with what the guards said and the original beside them."""
    return warehouse.read(WAITING).to_dicts()


class SaidBeforeError(NotWaitingError):
    """The candidate was decided on just like this before, so that there is nothing to do."""


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


def take_in(landing: Landing, loops: Mapping[str, Loop]) -> None:
    """Take in decisions that have landed and that nothing has read yet, so that what is decided is gone from the queue.

    A file that is refused as a whole waits for `flywheel ingest`, which names it.
    """
    for loop in loops.values():
        try:
            landing.ingest_reviews(loop, run_id="review", progress=lambda _: None)
        except RefusedFilesError:
            continue


def land_decision(
    warehouse: Warehouse,
    landing: Landing,
    candidate_id: str,
    decision: str,
    *,
    loops: Mapping[str, Loop],
    text: str | None = None,
    fields: Sequence[str] = (),
    override: bool = False,
    reason: str | None = None,
    reviewer: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write a decision (`approve`, `edit` or `reject`) to landing/ and take it in; the file. The next turn obeys it.

    `candidate_id` may be a beginning that only one candidate has. An edit gives `text`, for the first field that people
    meet, or `fields`, each FIELD=VALUE with a value in JSON or as plain text; `loops` are the loops by name, whose
    guards judge it, and `tell` hears what the guards flag. With `override` it goes out although a guard blocks it, and
    `reason` says why. Raises NotWaitingError, naming the remedy, for a candidate that does not wait (SaidBeforeError
    where the very same was said before), and EditRefusedError where the edit could never go out.
    """
    if decision == "edit":
        _refuse_empty(text, fields, override, reason)
    take_in(landing, loops)
    candidate_id = whole(warehouse, candidate_id, ["candidate"])
    queue = {row["candidate_id"]: row for row in waiting(warehouse)}
    if candidate_id not in queue:
        raise _not_waiting(warehouse, candidate_id, decision, loops, text, fields)
    loop = queue[candidate_id]["loop"]
    edits = None
    if decision == "edit":
        if loop not in loops:
            raise EditRefusedError(
                f"Loop {loop!r} is not declared here, so that nothing can judge an edit: name it in FLYWHEEL_LOOPS."
            )
        edits = _judged(warehouse, candidate_id, loops[loop], text, fields, override, tell)
    now = datetime.now(UTC)
    row = {
        "candidate_id": candidate_id,
        "decision": decision,
        "text": text,
        **({"edits": edits} if edits else {}),
        **({"override": True} if override else {}),
        "reviewer": reviewer or getpass.getuser(),
        "reason": reason,
        "decided_at": now.isoformat(),
    }
    path = landing.write("reviews", loop, [row], f"{now:%Y%m%dT%H%M%S%f}-{candidate_id}")
    take_in(landing, {loop: loops[loop]} if loop in loops else {})
    return path


def _not_waiting(
    warehouse: Warehouse,
    candidate_id: str,
    decision: str,
    loops: Mapping[str, Loop],
    text: str | None,
    fields: Sequence[str],
) -> NotWaitingError:
    """Why the candidate does not wait."""
    known = warehouse.read(DECIDED, {"candidate_id": candidate_id}).to_dicts()
    if not known:
        return NotWaitingError(
            f"No candidate {candidate_id!r} waits for a person; `flywheel review list` shows which do."
        )
    (last,) = known
    same = last["decision"] == decision
    if same and decision == "edit" and last["loop"] in loops:
        loop = loops[last["loop"]]
        named = canonical(_named(fields, loop)) if fields else None
        same = edits_of(text, named, loop) == edits_of(last["text"], last["edits"], loop)
    if not same:
        return NotWaitingError(
            f"Candidate {candidate_id} was decided on before ({last['decision']}, {last['decided_at']:%Y-%m-%d %H:%M}) "
            "and waits no longer: `flywheel withdraw` takes it down, `flywheel review list` shows what waits."
        )
    return SaidBeforeError(f"Candidate {candidate_id}: the decision was {decision} already; nothing changed.")


def _refuse_empty(text: str | None, fields: Sequence[str], override: bool, reason: str | None) -> None:
    """Refuse at once what is no edit at all, before anything is looked up."""
    if text is None and not fields:
        raise EditRefusedError("An edit changes something: give --text, or --set FIELD=VALUE.")
    if text is not None and not text.strip():
        raise EditRefusedError("The text is empty: give one, or `flywheel review reject` the candidate.")
    if override and not (reason or "").strip():
        raise EditRefusedError("--override lets out what a guard blocks: say why with --reason, which is kept.")


def _judged(
    warehouse: Warehouse,
    candidate_id: str,
    loop: Loop,
    text: str | None,
    fields: Sequence[str],
    override: bool,
    tell: Callable[[str], None],
) -> str | None:
    """The edited fields as JSON, None where there is only a text, once the loop's guards let the answer pass."""
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
        if not override:
            raise EditRefusedError(
                f"The guards block this edit. {'; '.join(blocks)} Change it, or let it out all the same with "
                "--override --reason WHY, which is kept."
            )
        tell(f"Blocked, and let out by your word. {'; '.join(blocks)}")
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
