"""Who decides what goes out: the gate for what passed, a person for what was flagged.

Here: the rule from verdicts and people's decisions to one decision per candidate.
Not here: landed decisions (landing) and what is released (releases).
"""

import json
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.graph.assets.stage import is_released, of_loop, turn_asset
from orchestration.loops.declaration import ByRisk, Loop
from orchestration.tables import TABLES
from orchestration.warehouse.duckdb_file import Warehouse

if TYPE_CHECKING:
    import polars as pl

DECIDED_BY_PEOPLE = """
    select candidate_id, decision, text as edited, reason as person_reason
    from flywheel.landed_reviews where loop = $loop
    qualify row_number() over (partition by candidate_id order by decided_at desc, review_id) = 1
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


def reviews_asset(loop: Loop, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`L/reviews`: one decision per candidate of this turn, and per older one that a person has decided on since."""

    @turn_asset(
        "reviews",
        partitions,
        loop=loop,
        description="Publish, wait, approve, edit, reject or block: who decided, and why.",
        kinds=("polars", "duckdb"),
        ins={"candidates": of_loop(loop, "candidates"), "verdicts": of_loop(loop, "verdicts")},
        deps=[dg.AssetKey(["landing", "reviews"])],
    )
    def reviews(
        context: dg.AssetExecutionContext,
        candidates: Any,
        verdicts: Any,
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Any:
        if is_released(context, warehouse, loop):
            return None
        people = warehouse.read(DECIDED_BY_PEOPLE, {"loop": loop.name})
        older = warehouse.read(WAITING_SINCE, {"loop": loop.name, "turn": context.partition_key})
        rows = review_rows(context.partition_key, candidates, verdicts, people, older, loop)
        by_decision = dict(rows["decision"].value_counts().sort("decision").iter_rows())
        if by_decision.get("wait"):
            context.log.info(f"{by_decision['wait']} candidates wait for a person: `flywheel review list`.")
        context.add_output_metadata({"by_decision": dg.JsonMetadataValue(by_decision)})
        return rows

    return reviews


def review_rows(
    turn: str,
    candidates: "pl.DataFrame",
    verdicts: "pl.DataFrame",
    people: "pl.DataFrame",
    older: "pl.DataFrame",
    loop: Loop,
) -> "pl.DataFrame":
    """One row for each candidate with a text, and each of `older` that `people` have decided on.

    A person's word stands above the gate's, except that what a guard blocked never leaves.
    """
    from datetime import date

    judged: dict[str, list[tuple[str, str]]] = {}
    for candidate_id, guard, decision, reason in verdicts.select(
        "candidate_id", "guard", "decision", "reason"
    ).iter_rows():
        if decision != "pass":
            judged.setdefault(candidate_id, []).append((decision, f"{guard}: {reason}"))
    by_person = {row["candidate_id"]: row for row in people.to_dicts()}
    rows = []
    for candidate in candidates.to_dicts():
        if candidate["text"] is None:
            continue
        objections = judged.get(candidate["candidate_id"], [])
        person = by_person.get(candidate["candidate_id"])
        rows.append(_review(turn, candidate, *decided(objections, person, loop.review), person))
    for candidate in older.to_dicts():
        if person := by_person.get(candidate["candidate_id"]):
            rows.append(_review(turn, candidate, *decided([("flag", "")], person, loop.review), person))
    for row in rows:
        row["turn"] = date.fromisoformat(turn)
    return TABLES["reviews"].frame(rows)


def decided(objections: list[tuple[str, str]], person: dict[str, Any] | None, rule: ByRisk) -> tuple[str, str, str]:
    """(decision, decided by, reason) from the guards' objections (decision, reason), a person's word and the rule."""
    reasons = "; ".join(reason for _, reason in objections)
    if any(decision == "block" for decision, _ in objections):
        return "block", "gate", reasons
    if person is not None:
        return person["decision"], "person", person["person_reason"] or reasons
    asked = rule.flagged if objections else rule.passed
    return (
        ("wait", "gate", reasons or "every candidate of this loop is reviewed")
        if asked == "person"
        else (
            "publish",
            "gate",
            reasons or "passed every guard",
        )
    )


def _review(
    turn: str, candidate: dict[str, Any], decision: str, by: str, reason: str, person: dict[str, Any] | None
) -> dict[str, Any]:
    edited = person["edited"] if person and decision == "edit" else None
    answer = json.dumps({"text": edited}, ensure_ascii=False) if edited else candidate["answer"]
    return {
        "turn": turn,
        **{name: candidate[name] for name in ("loop", "candidate_id", "subject_id", "recipe_id")},
        "decision": decision,
        "decided_by": by,
        "text": edited or candidate["text"],
        "answer": answer,
        "reason": reason,
    }
