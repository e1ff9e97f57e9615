"""What a guard sees of an answer, laid out from rows.

Here: an answer with what its brief allowed it to say.
Not here: which answers are judged (verdicts, reviews) and how (guards).
"""

import json
from collections.abc import Mapping
from typing import Any

from orchestration.generation.pipeline import Passage, cited
from orchestration.guards.verdict import Draft
from orchestration.loops.declaration import Loop


def draft_of(row: Mapping[str, Any], answer: str, loop: Loop, others: tuple[str, ...] = ()) -> Draft:
    """`answer` (JSON) as a draft; `row` holds its subject's facts, original and format, and its brief's language, the
    fields that the choice filled and the passages that it showed, all of which it may say."""
    value = json.loads(answer)
    filled = {name: str(each) for name, each in json.loads(row["fields"] or "{}").items()}
    passages = [Passage(**each) for each in json.loads(row["sources"] or "[]")]
    chosen = filled if loop.generation.asks(loop.answer) else {}
    return Draft(
        text=loop.text_of(value),
        facts={**loop.subjects.known(json.loads(row["facts"]), row["original"]), **chosen, **dict(cited(passages))},
        original=row["original"],
        language=row["language"],
        format=row["format"],
        others=others,
        answer=value,
    )
