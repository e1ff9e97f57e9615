"""Fine-tuning sets from what the wheel has learned.

Here: reading winners, edits and read-outs, and writing a checked JSONL file.
Not here: the formats and their check (learning.texts.fine_tuning).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestration.learning.policies.policy import Policy
from orchestration.learning.texts.fine_tuning import (
    LEAST_LINES,
    Kind,
    preference,
    preferred_pairs,
    problems,
    supervised,
)
from orchestration.warehouse.protocol import Warehouse

WRITTEN = """
    select r.variant_id, min(r.subject_id) as subject_id, min(r.text) as text,
           min(b.messages) as messages, min(c.text) as as_written,
           bool_or(v.decision = 'edit') as edited
    from flywheel.releases as r
    join flywheel.candidates as c on c.loop = r.loop and c.candidate_id = r.candidate_id
    join flywheel.briefs as b on b.loop = c.loop and b.turn = c.turn and b.brief_id = c.brief_id
    left join flywheel.reviews as v on v.loop = r.loop and v.candidate_id = r.candidate_id
    where r.loop = $loop group by r.variant_id order by r.variant_id
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


def export(warehouse: Warehouse, loop: str, kind: Kind, folder: Path) -> Export:
    """Write `LOOP-KIND.jsonl` (its name says so when an audience was simulated). Every line has passed the check.

    Raises LookupError while there is nothing to learn from.
    """
    written = {row["variant_id"]: row for row in warehouse.read(WRITTEN, {"loop": loop}).to_dicts()}
    met = warehouse.read(MET, {"loop": loop})
    lines = list(_supervised(warehouse, loop, written) if kind == "sft" else _preferences(written, met.to_dicts()))
    if not lines:
        raise LookupError(f"{loop} has no {kind} line yet: no text has won clearly, and no person has edited one.")
    texts = [json.dumps(line, ensure_ascii=False) for line in lines]
    faults = [f"line {number} {fault}" for number, text in enumerate(texts, start=1) for fault in problems(text, kind)]
    if faults:
        raise ValueError(f"Not written: {'; '.join(faults[:5])}.")
    simulated = bool(met["simulated"].any())
    path = folder / f"{loop}-{kind}{'-simulated' if simulated else ''}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return Export(path, len(lines), simulated)


def _supervised(warehouse: Warehouse, loop: str, written: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Winners of the newest policy, and every text that a person put right."""
    newest = warehouse.read(NEWEST_POLICY, {"loop": loop})
    won = [] if newest.is_empty() else [one for of in Policy.from_json(newest.item()).exemplars.values() for one in of]
    good = {one.variant_id for one in won} | {variant for variant, row in written.items() if row["edited"]}
    for variant in sorted(good & set(written)):
        yield supervised(json.loads(written[variant]["messages"]), written[variant]["text"])


def _preferences(written: dict[str, Any], met: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A person's edit over what was written, and the clear winner over the clear loser of a subject."""
    for row in written.values():
        if row["edited"] and row["text"] != row["as_written"]:
            yield preference(json.loads(row["messages"]), row["text"], row["as_written"])
    known = [row for row in met if row["variant_id"] in written]
    subjects, units, rewards = ([row[name] for row in known] for name in ("subject_id", "units", "reward"))
    for better, worse in preferred_pairs(subjects, units, rewards):
        chosen = written[known[better]["variant_id"]]
        yield preference(json.loads(chosen["messages"]), chosen["text"], written[known[worse]["variant_id"]]["text"])
