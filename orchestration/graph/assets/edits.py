"""A person's edit: the answer that it makes, and what the guards object to in that.

Here: what an edit says by fields, and judging it: by the command as soon as it is given, by the turn before it obeys.
Not here: whose word stands above whose (reviews) and landing an edit (commands.reviewing).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from orchestration.generation.answers import AnswerInvalid, canonical, edited, text_field
from orchestration.graph.assets.drafts import draft_of
from orchestration.guards.judging import judge
from orchestration.guards.verdict import Verdict
from orchestration.loops.declaration import Loop

_BRIEFED = """
    select c.candidate_id, c.answer, b.language, b.fields, b.sources, s.facts, s.original, s.format
    from flywheel.candidates as c
    join flywheel.briefs as b on b.turn = c.turn and b.loop = c.loop and b.brief_id = c.brief_id
    join flywheel.subjects as s on s.turn = c.turn and s.loop = c.loop and s.subject_id = c.subject_id
    where c.loop = $loop
"""
_NEWEST = "qualify row_number() over (partition by c.candidate_id order by c.turn desc) = 1"
EDITED_FROM = f"""{_BRIEFED} and c.turn <= $turn
    and c.candidate_id in (select candidate_id from flywheel.landed_reviews where loop = $loop and decision = 'edit')
    {_NEWEST}
"""
"""What the briefs of all candidates that people have edited allowed to say."""
WRITTEN_FROM = f"{_BRIEFED} and c.candidate_id = $candidate_id {_NEWEST}"
"""The same of one candidate."""


def edits_of(text: str | None, edits: str | None, loop: Loop) -> dict[str, Any]:
    """The fields that a person changed: those named in `edits` (JSON), and `text` for the first that people meet."""
    named = dict(json.loads(edits or "{}"))
    return {**({text_field(loop.answer): text} if text else {}), **named}


def judged_edit(
    before: Mapping[str, Any], edits: Mapping[str, Any], row: Mapping[str, Any], loop: Loop
) -> tuple[dict[str, Any], Sequence[Verdict]]:
    """The answer `before` with `edits` in their place, and the guards' verdicts on it.

    `row` holds what its brief allowed it to say (WRITTEN_FROM). Raises AnswerInvalid for fields that are unknown or do
    not fit, and where nothing is left that people would meet.
    """
    answer = edited(loop.answer, before, edits)
    if not loop.text_of(answer).strip():
        raise AnswerInvalid("Nothing is left that people would meet: give a text, or reject the candidate.")
    return answer, judge(draft_of(row, canonical(answer), loop), loop.guards)
