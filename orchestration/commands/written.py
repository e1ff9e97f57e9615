"""What a turn wrote: new texts beside the originals that they compete with.

Here: which of them are shown, read from the releases.
Not here: printing (demo) and how a turn went (report).
"""

from dataclasses import dataclass

from orchestration.warehouse.protocol import Warehouse

NEW_TEXTS = """
    select r.format, r.text, c.text as original, c.subject_id
    from flywheel.releases as r
    join flywheel.candidates as k on k.turn = r.turn and k.loop = r.loop and k.candidate_id = r.candidate_id
    join flywheel.releases as c
      on c.turn = r.turn and c.loop = r.loop and c.subject_id = r.subject_id and c.is_control
    where r.turn = cast($turn as date) and r.loop = $loop and not r.is_control
    order by r.variant_id
"""


@dataclass(frozen=True, kw_only=True)
class Written:
    """One new text that was released, what it is, and what stands without it."""

    format: str
    original: str
    text: str


def new_texts(warehouse: Warehouse, loop: str, turn: str) -> list[Written]:
    """Texts of a turn that are released for the first time: formats in turn, each subject once before any twice.

    The order is that of their hashes: the same release gives the same list, and no text is picked for its looks.
    """
    rows = warehouse.read(NEW_TEXTS, {"turn": turn, "loop": loop}).to_dicts()
    first = {row["subject_id"]: place for place, row in reversed(list(enumerate(rows)))}
    repeats = [place != first[row["subject_id"]] for place, row in enumerate(rows)]
    by_format: dict[str, list[Written]] = {}
    for place in sorted(range(len(rows)), key=repeats.__getitem__):
        text = Written(**{name: rows[place][name] for name in ("format", "original", "text")})
        by_format.setdefault(text.format, []).append(text)
    most = max(map(len, by_format.values()), default=0)
    return [texts[place] for place in range(most) for _, texts in sorted(by_format.items()) if place < len(texts)]
