"""A person's side of a turn: what waits, and deciding on it.

Here: the queue, and decisions written as landed files, which the next turn takes in.
Not here: what follows from a decision (graph.assets.reviews).
"""

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration.landing.folder import Landing
from orchestration.warehouse.protocol import Warehouse

WAITING = """
    select r.turn::varchar as turn, r.loop, r.candidate_id, r.subject_id, r.recipe_id, r.text, r.reason, s.original
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


def land_decision(
    warehouse: Warehouse,
    landing: Landing,
    candidate_id: str,
    decision: str,
    *,
    text: str | None = None,
    reason: str | None = None,
    reviewer: str | None = None,
) -> Path:
    """Write a decision (`approve`, `edit` or `reject`) to landing/; the file. The next turn obeys it.

    Raises NotWaitingError, naming the remedy, for a candidate that does not wait.
    """
    queue = {row["candidate_id"]: row for row in waiting(warehouse)}
    if candidate_id not in queue:
        raise NotWaitingError(
            f"No candidate {candidate_id!r} waits for a person; `flywheel review list` shows which do."
        )
    now = datetime.now(UTC)
    row = {
        "candidate_id": candidate_id,
        "decision": decision,
        "text": text,
        "reviewer": reviewer or getpass.getuser(),
        "reason": reason,
        "decided_at": now.isoformat(),
    }
    return landing.write("reviews", queue[candidate_id]["loop"], [row], f"{now:%Y%m%dT%H%M%S%f}-{candidate_id}")
