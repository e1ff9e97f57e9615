"""Fine-tuning sets from what the wheel has learned.

Here: reading winners, edits and read-outs, and writing a checked JSONL file, with one beside it that says of each line
where it came from and what a person did to it. What was withdrawn teaches nothing.
Not here: the formats and their check (learning.texts.fine_tuning).
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.delivery.shared_traffic import by_hand
from orchestration.delivery.withdrawn import COMES_DOWN, Withdrawn
from orchestration.learning.policies.policy import Policy
from orchestration.learning.texts.fine_tuning import (
    LEAST_LINES,
    Kind,
    preference,
    preferred_pairs,
    problems,
    supervised,
)
from orchestration.loops.declaration import Loop
from orchestration.warehouse.protocol import Warehouse

RELEASED = """
    select r.variant_id as known, r.variant_id, min(r.candidate_id) as candidate_id, max(v.overrode) as overrode,
           max(v.decision) filter (where v.decided_by = 'person' and v.decision in ('approve', 'edit')) as person_did,
           min(r.subject_id) as subject_id, min(r.text) as text, min(r.answer) as answer,
           min(b.messages) as messages, min(c.text) as text_written, min(c.answer) as answer_written,
           bool_or(v.decision = 'edit') as edited
    from flywheel.releases as r
    join flywheel.candidates as c on c.loop = r.loop and c.candidate_id = r.candidate_id
    join flywheel.briefs as b on b.loop = c.loop and b.turn = c.turn and b.brief_id = c.brief_id
    left join flywheel.reviews as v on v.loop = r.loop and v.candidate_id = r.candidate_id
    where r.loop = $loop group by r.variant_id order by r.variant_id
"""
# A subject meets one answer, so that no two of it can be held against each other: one wins that earned more than
# delivered answers of its stratum do on average.
DECIDED = """
    select d.decision_id as known, d.subject_id, d.variant_id, d.candidate_id, d.text, d.answer, b.messages,
           (select max(v.overrode) from flywheel.reviews as v
            where v.loop = d.loop and v.candidate_id = d.candidate_id) as overrode,
           (select max(v.decision) from flywheel.reviews as v
            where v.loop = d.loop and v.candidate_id = d.candidate_id and v.decided_by = 'person'
                and v.decision in ('approve', 'edit')) as person_did,
           c.text as text_written, c.answer as answer_written,
           exists (select 1 from flywheel.reviews as v
                   where v.loop = d.loop and v.candidate_id = d.candidate_id and v.decision = 'edit') as edited,
           coalesce(e.units > 0 and e.reward > 0
                    and e.reward > avg(e.reward) over (partition by d.stratum), false) as won,
           coalesce(e.simulated, false) as simulated
    from flywheel.decisions as d
    join flywheel.candidates as c on c.turn = d.turn and c.loop = d.loop and c.candidate_id = d.candidate_id
    join flywheel.briefs as b on b.loop = c.loop and b.turn = c.turn and b.brief_id = c.brief_id
    left join flywheel.evidence as e on e.turn = d.turn and e.loop = d.loop and e.subject_id = d.subject_id
    where d.loop = $loop and d.delivered order by d.decision_id
"""
MET = """
    select subject_id, variant_id, sum(units)::double as units, sum(reward)::double as reward,
           bool_or(simulated) as simulated
    from flywheel.evidence where loop = $loop and not is_control group by all order by all
"""
NEWEST_POLICY = "select policy from flywheel.challengers where loop = $loop order by turn desc limit 1"


@dataclass(frozen=True)
class Export:
    """A written set: how many lines, and whether a simulated audience had a part in it."""

    path: Path
    lines: int
    simulated: bool

    @property
    def enough(self) -> bool:
        return self.lines >= LEAST_LINES


def export(warehouse: Warehouse, loop: Loop, kind: Kind, folder: Path) -> Export:
    """Write `LOOP-KIND.jsonl` (its name says so when an audience was simulated), and `LOOP-KIND.provenance.jsonl`.

    Every line has passed the check.

    Raises LookupError while there is nothing to learn from, and where no model writes.
    """
    if not loop.generation.asks(loop.answer):
        raise LookupError(f"No model writes answers of {loop.name!r}: they are given or chosen, and teach no model.")
    pairs, simulated, nothing = _KEPT_AS[loop.delivery.outputs["releases"]](warehouse, loop, kind)
    if not pairs:
        raise LookupError(f"{loop.name} has no {kind} line yet: {nothing}")
    texts = [json.dumps(line, ensure_ascii=False) for line, _ in pairs]
    faults = [f"line {number} {fault}" for number, text in enumerate(texts, start=1) for fault in problems(text, kind)]
    if faults:
        raise ValueError(f"Not written: {'; '.join(faults[:5])}.")
    path = folder / f"{loop.name}-{kind}{'-simulated' if simulated else ''}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    origins = [json.dumps(_origin(number, row), ensure_ascii=False) for number, (_, row) in enumerate(pairs, start=1)]
    path.with_suffix(".provenance.jsonl").write_text("\n".join(origins) + "\n", encoding="utf-8")
    return Export(path, len(pairs), simulated)


def _origin(line: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """Where a line came from: the format of the endpoint leaves no room for it in the line itself."""
    named = ("subject_id", "variant_id", "candidate_id")
    return {"line": line, **{name: row[name] for name in named}, **by_hand(row)}


def _teaching(warehouse: Warehouse, sql: str, loop: Loop) -> dict[str, Any]:
    """Rows by what they are known as, less those of answers that were withdrawn."""
    withdrawn = Withdrawn.of(warehouse.read(COMES_DOWN, {"loop": loop.name}))
    rows = warehouse.read(sql, {"loop": loop.name}).to_dicts()
    return {row["known"]: row for row in rows if not withdrawn.holds(row)}


Line = tuple[dict[str, Any], Mapping[str, Any]]
"""A line, and the row that it was made from."""
Lines = tuple[list[Line], bool, str]
"""Lines, whether a simulated audience had a part in them, and what it means when there are none."""


def _of_releases(warehouse: Warehouse, loop: Loop, kind: Kind) -> Lines:
    """Winners of the newest policy and clear winners over clear losers of a subject, and what a person put right."""
    written = _teaching(warehouse, RELEASED, loop)
    met = warehouse.read(MET, {"loop": loop.name})
    simulated = bool(met["simulated"].any())
    nothing = "no text has won clearly, and no person has edited one."
    if kind == "dpo":
        return [*_edits(written, loop), *_clear_winners(written, met.to_dicts(), loop)], simulated, nothing
    newest = warehouse.read(NEWEST_POLICY, {"loop": loop.name})
    won = [] if newest.is_empty() else [one for of in Policy.from_json(newest.item()).exemplars.values() for one in of]
    return [*_supervised(written, {one.variant_id for one in won}, loop)], simulated, nothing


def _of_decisions(warehouse: Warehouse, loop: Loop, kind: Kind) -> Lines:
    """Delivered answers that earned more than is usual where they compete, and what a person put right."""
    decided = _teaching(warehouse, DECIDED, loop)
    simulated = any(row["simulated"] for row in decided.values())
    if kind == "dpo":
        nothing = (
            "each subject meets one answer, so that none is preferred over another, and no person has edited one. "
            "`flywheel export sft` takes the answers that earned most."
        )
        return [*_edits(decided, loop)], simulated, nothing
    won = {known for known, row in decided.items() if row["won"]}
    nothing = f"of {len(decided)} delivered answers none has earned more than is usual, and no person has edited one."
    return [*_supervised(decided, won, loop)], simulated, nothing


_KEPT_AS = {"releases": _of_releases, "decisions": _of_decisions}
"""How lines are found, by the table that a way of delivery keeps."""


def _supervised(rows: Mapping[str, Any], won: Collection[str], loop: Loop) -> Iterator[Line]:
    for known in sorted(rows):
        row = rows[known]
        if known in won or row["edited"]:
            yield supervised(json.loads(row["messages"]), _said(row["text"], row["answer"], loop)), row


def _edits(rows: Mapping[str, Any], loop: Loop) -> Iterator[Line]:
    """A person's edit over what was written."""
    for row in rows.values():
        if row["edited"]:
            better = _said(row["text"], row["answer"], loop)
            worse = _said(row["text_written"], row["answer_written"], loop)
            if better != worse:
                yield preference(json.loads(row["messages"]), better, worse), row


def _clear_winners(rows: Mapping[str, Any], met: list[dict[str, Any]], loop: Loop) -> Iterator[Line]:
    known = [row for row in met if row["variant_id"] in rows]
    subjects, units, rewards = ([row[name] for row in known] for name in ("subject_id", "units", "reward"))
    for better, worse in preferred_pairs(subjects, units, rewards):
        chosen, other = (rows[known[place]["variant_id"]] for place in (better, worse))
        line = preference(
            json.loads(chosen["messages"]),
            _said(chosen["text"], chosen["answer"], loop),
            _said(other["text"], other["answer"], loop),
        )
        yield line, chosen


def _said(text: str, answer: str | None, loop: Loop) -> str:
    """What a model would have had to write: JSON of the fields that it was asked for, or the only one's text."""
    if answer is None:  # released when only texts were kept
        return text
    asked = [name for name in loop.answer.model_fields if name not in loop.generation.fields]
    value = json.loads(answer)
    if len(asked) == 1:
        only = value.get(asked[0])
        return only if isinstance(only, str) else json.dumps(only, ensure_ascii=False)
    return json.dumps({name: value[name] for name in asked if name in value}, ensure_ascii=False)
