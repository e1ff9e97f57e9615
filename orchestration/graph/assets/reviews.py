"""Who decides what goes out: the gate for what passed, a person for what was flagged.

Here: the rule from verdicts and people's decisions to one decision per candidate.
Not here: landed decisions (landing), what an edit makes (edits) and what is released (releases).
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.generation.answers import AnswerInvalid, canonical
from orchestration.graph.assets.edits import EDITED_FROM, edits_of, judged_edit
from orchestration.graph.assets.stage import is_released, of_loop, turn_asset
from orchestration.graph.bound import BoundLoop
from orchestration.loops.declaration import ByRisk, Loop
from orchestration.tables import TABLES
from orchestration.warehouse.protocol import Warehouse

if TYPE_CHECKING:
    import polars as pl

DECIDED_BY_PEOPLE = """
    select candidate_id, decision, text as edited, edits, coalesce(override, false) as override,
        reason as person_reason
    from flywheel.landed_reviews where loop = $loop
    qualify row_number() over (partition by candidate_id order by decided_at desc, review_id) = 1
"""
WITHDRAWN_CANDIDATES = """
    select target_id, max(reason) as reason from flywheel.withdrawals
    where loop = $loop and target = 'candidate' and withdrawal_id not in (
        select undoes from flywheel.withdrawals where undoes is not null)
    group by target_id
"""
WAITING_SINCE = """
    select c.* from flywheel.candidates as c
    join flywheel.reviews as r using (turn, loop, candidate_id)
    where c.loop = $loop and c.turn < $turn and r.decision = 'wait'
      and not exists (
          select 1 from flywheel.reviews as later
          where later.loop = r.loop and later.candidate_id = r.candidate_id
            and later.turn > r.turn and later.turn < $turn and later.decision <> 'wait'
      )
    order by all
"""
Objections = list[tuple[str, str]]
"""What guards objected to: (decision, reason)."""


def reviews_asset(bound: BoundLoop) -> dg.AssetsDefinition:
    """`L/reviews`: one decision per candidate of this turn, and per older one that a person has decided on since."""
    loop = bound.loop

    @turn_asset(
        "reviews",
        bound.partitions,
        loop=loop,
        description="Publish, wait, approve, edit, reject or block: who decided, and why.",
        kinds=("polars", "duckdb"),
        ins={"candidates": of_loop(loop, "candidates"), "verdicts": of_loop(loop, "verdicts")},
        deps=[dg.AssetKey(["landing", "reviews"]), dg.AssetKey(["landing", "withdrawals"])],
    )
    def reviews(
        context: dg.AssetExecutionContext,
        candidates: Any,
        verdicts: Any,
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Any:
        if is_released(context, warehouse, loop):
            return None
        named = {"loop": loop.name, "turn": context.partition_key}
        people = warehouse.read(DECIDED_BY_PEOPLE, {"loop": loop.name})
        withdrawn = dict(warehouse.read(WITHDRAWN_CANDIDATES, {"loop": loop.name}).iter_rows())
        older = warehouse.read(WAITING_SINCE, named)
        written_from = {row["candidate_id"]: row for row in warehouse.read(EDITED_FROM, named).to_dicts()}
        rows = review_rows(context.partition_key, candidates, verdicts, people, older, loop, written_from, withdrawn)
        by_decision = dict(rows["decision"].value_counts().sort("decision").iter_rows())
        if by_decision.get("wait"):
            context.log.info(f"{by_decision['wait']} candidates wait for a person: `flywheel review list`.")
        waiting = by_decision.get("wait", 0)
        decided_on = set(rows["candidate_id"])
        context.add_output_metadata(
            {
                "by_decision": dg.JsonMetadataValue(by_decision),
                "published": sum(by_decision.get(decision, 0) for decision in ("publish", "approve", "edit")),
                "blocked": by_decision.get("block", 0),
                "queue: new in this turn": waiting,
                "queue: wait for a person": waiting + sum(each not in decided_on for each in older["candidate_id"]),
            }
        )
        return rows

    return reviews


def review_rows(
    turn: str,
    candidates: "pl.DataFrame",
    verdicts: "pl.DataFrame",
    people: "pl.DataFrame",
    older: "pl.DataFrame",
    loop: Loop,
    written_from: Mapping[str, Mapping[str, Any]],
    withdrawn: Mapping[str, str] = MappingProxyType({}),
) -> "pl.DataFrame":
    """One row for each candidate with an answer, and each of `older` that `people` have decided on.

    A person's word stands above the gate's, except that what a guard blocks never leaves: an edit is judged by the same
    guards, and goes out against them only where the person said so with a reason. `written_from` holds, by candidate
    that was edited, what its brief allowed it to say, and `withdrawn`, by candidate, why it may never go out.
    """
    from datetime import date

    judged: dict[str, Objections] = {}
    for candidate_id, guard, decision, reason in verdicts.select(
        "candidate_id", "guard", "decision", "reason"
    ).iter_rows():
        if decision != "pass":
            judged.setdefault(candidate_id, []).append((decision, f"{guard}: {reason}"))
    by_person = {row["candidate_id"]: row for row in people.to_dicts()}
    by_person |= {known: {"decision": "withdraw", "person_reason": reason} for known, reason in withdrawn.items()}
    rows = []
    for candidate, objections in (
        *((one, judged.get(one["candidate_id"], [])) for one in candidates.to_dicts() if one["text"] is not None),
        *((one, [("flag", "")]) for one in older.to_dicts() if one["candidate_id"] in by_person),
    ):
        person = by_person.get(candidate["candidate_id"])
        answer, overrode = json.loads(candidate["answer"]), None
        if person is not None and person["decision"] == "edit" and not blocked(objections):
            answer, objections, overrode = _edited(candidate, person, loop, written_from)
        decision, by, reason = decided(objections, person, loop.review)
        rows.append(
            {
                "turn": date.fromisoformat(turn),
                **{name: candidate[name] for name in ("loop", "candidate_id", "subject_id", "recipe_id")},
                "decision": decision,
                "decided_by": by,
                "text": loop.text_of(answer),
                "answer": canonical(answer),
                "overrode": overrode,
                "reason": reason,
            }
        )
    return TABLES["reviews"].frame(rows)


def blocked(objections: Objections) -> bool:
    return any(decision == "block" for decision, _ in objections)


def decided(objections: Objections, person: Mapping[str, Any] | None, rule: ByRisk) -> tuple[str, str, str]:
    """(decision, decided by, reason) from the guards' objections, a person's word and the rule."""
    reasons = "; ".join(reason for _, reason in objections)
    if blocked(objections):
        return "block", "gate", reasons
    if person is not None:
        return person["decision"], "person", person["person_reason"] or reasons
    asked = rule.flagged if objections else rule.passed
    if asked == "person":
        return "wait", "gate", reasons or "every candidate of this loop is reviewed"
    return "publish", "gate", reasons or "passed every guard"


def _edited(
    candidate: Mapping[str, Any],
    person: Mapping[str, Any],
    loop: Loop,
    written_from: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[str, Any], Objections, str | None]:
    """A person's answer, what the guards object to in it, and which of their blocks the person overrode.

    A flag is what the person has just decided on. What makes no answer at all cannot be overridden.
    """
    before = json.loads(candidate["answer"])
    try:
        answer, verdicts = judged_edit(
            before, edits_of(person["edited"], person["edits"], loop), written_from[candidate["candidate_id"]], loop
        )
    except AnswerInvalid as fault:
        return before, [("block", f"edit: {fault}")], None
    objections: Objections = [
        (one.decision, f"{one.guard}: {one.reason}") for one in verdicts if one.decision != "pass"
    ]
    if person.get("override") and blocked(objections):
        blocks = "; ".join(reason for decision, reason in objections if decision == "block")
        return answer, [("flag", reason) for _, reason in objections], blocks
    return answer, objections, None
