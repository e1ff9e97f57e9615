"""Decisions: one answer for one subject, drawn by the policy and logged with its probability.

Here: the draw, the rows of a turn's decisions, and what each earned by itself; what both ways of delivery that decide
share.
Not here: what is proven from decisions (decision_learning), what tells the two ways apart (per_unit, trial).
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from orchestration.assignment import point
from orchestration.delivery.arms import PUBLISHABLE, variant_identity
from orchestration.delivery.protocol import Deciding, Draw, Releasing
from orchestration.delivery.withdrawn import Withdrawn
from orchestration.generation.answers import canonical, identity, original_answer, rendered
from orchestration.learning.policies.choice import ChoicePolicy
from orchestration.learning.policies.drawing import draw
from orchestration.tables import TABLES

if TYPE_CHECKING:
    import polars as pl

    from orchestration.loops.declaration import Loop


def drawn(deciding: Deciding, choice: ChoicePolicy) -> list[Draw]:
    """One option for the subject, by the probabilities of `choice`; the only one where there is nothing to choose."""
    if not deciding.offers:
        return []
    offers = {offer.option.option_id: offer for offer in deciding.offers}
    probabilities = choice.probabilities(deciding.context)
    ((option, propensity),) = draw(
        probabilities, deciding.subject.subject_id, deciding.when.turn, 1, deciding.when.seed
    )
    return [Draw(offer=offers[option], propensity=propensity, probabilities=dict(probabilities))]


def is_held_out(holdout_point: float | None, holdout: float, loop: str, subject_id: str) -> bool:
    """Whether a subject gets what it would have got anyway: by its identifier's point, the same in every turn.

    Where no point was taken when the subject landed, its key is the identifier that the loop knows.
    """
    at = point(f"{loop}:holdout", subject_id) if holdout_point is None else holdout_point
    return at < holdout


def decision_rows(
    releasing: Releasing, holdout: float, instead: Mapping[str, Any] | None, tried_at: datetime | None
) -> "pl.DataFrame":
    """One row of `flywheel.decisions` for each subject of the turn.

    A subject whose answer was not let out gets `instead` (its original, when None), and so does one that is held out
    and has no brief; its decision still counts for the option that was drawn, or an option would be worth what those of
    its answers are that pass.
    """
    loop, turn = releasing.loop, releasing.when.turn
    briefs = {row["subject_id"]: row for row in releasing.briefs.to_dicts()}
    candidates = {row["brief_id"]: row for row in releasing.candidates.to_dicts()}
    allowed = allowed_answers(releasing)
    rows = []
    for subject in releasing.subjects.to_dicts():
        held_out = is_held_out(subject["holdout_point"], holdout, loop.name, subject["subject_id"])
        brief = briefs.get(subject["subject_id"])
        candidate = candidates.get(brief["brief_id"]) if brief else None
        review = allowed.get(candidate["candidate_id"]) if candidate else None
        answer = json.loads(review["answer"]) if review else anyway(loop, subject["original"], instead)
        variant = variant_of(loop, subject["subject_id"], answer)
        if review and releasing.withdrawn.holds({**review, "variant_id": variant}):
            review, answer = None, anyway(loop, subject["original"], instead)
            variant = variant_of(loop, subject["subject_id"], answer)
        option = brief["option_id"] if brief else None
        rows.append(
            {
                "turn": date.fromisoformat(turn),
                "loop": loop.name,
                "decision_id": _hash(loop.name, turn, subject["subject_id"], option, variant)[:20],
                "subject_id": subject["subject_id"],
                "format": subject["format"],
                "category": subject["category"],
                "stratum": subject["category"],
                "context": brief["context"] if brief else "{}",
                "options": brief["options"] if brief else "{}",
                "option_parts": brief["option_parts"] if brief else "{}",
                "option": option,
                "propensity": brief["propensity"] if brief else 1.0,
                "is_control": held_out,
                "in_holdout": held_out,
                "delivered": review is not None,
                "variant_id": variant,
                "candidate_id": candidate["candidate_id"] if candidate else None,
                "recipe_id": brief["recipe_id"] if brief else None,
                "text": rendered(loop.answer, answer) or canonical(answer),
                "answer": canonical(answer),
                "holdout": holdout,
                "policy_version": releasing.policy_version,
                "tried_at": tried_at,
                "decided_at": releasing.now,
            }
        )
    return TABLES["decisions"].frame(rows)


def allowed_answers(releasing: Releasing) -> dict[str, dict[str, Any]]:
    """Rows of the reviews that let an answer out, by candidate."""
    return {row["candidate_id"]: row for row in releasing.reviews.to_dicts() if row["decision"] in PUBLISHABLE}


def late_rows(releasing: Releasing, decisions: "pl.DataFrame") -> "pl.DataFrame":
    """Rows of `flywheel.deliveries`: answers to earlier decisions that a person approved since, each under its own.

    Of a subject only the newest one goes out, and none where the turn's own decision is delivered. The decision stays
    as it was logged: its option is worth what it brings, the waiting included.
    """
    loop, allowed = releasing.loop, allowed_answers(releasing)
    answered = set(decisions.filter("delivered")["subject_id"])
    rows = []
    for waited in releasing.read["undelivered"].to_dicts():
        review = allowed.get(waited["candidate_id"])
        if review is None or waited["subject_id"] in answered:
            continue
        answer = json.loads(review["answer"])
        variant = variant_of(loop, waited["subject_id"], answer)
        if releasing.withdrawn.holds({**waited, "variant_id": variant}):
            continue
        answered.add(waited["subject_id"])
        rows.append(
            {
                "turn": date.fromisoformat(releasing.when.turn),
                "loop": loop.name,
                **{name: waited[name] for name in ("decision_id", "subject_id", "candidate_id")},
                "decided_in": waited["turn"],
                "variant_id": variant,
                "text": rendered(loop.answer, answer) or canonical(answer),
                "answer": canonical(answer),
                "delivered": True,
                "because": "approved",
                "counts": loop.subjects.lives.until is None,
                "delivered_at": releasing.now,
            }
        )
    return TABLES["deliveries"].frame(rows)


def without_answers(
    rows: "pl.DataFrame", withdrawn: Withdrawn, loop: "Loop", instead: Mapping[str, Any] | None
) -> "pl.DataFrame":
    """Rows of an outbox in which nothing withdrawn is delivered: their subjects get `instead`, or their original.

    Where an answer came late, its subject got that in its own turn already, and nothing takes its place.
    """
    kept = []
    for row in rows.to_dicts():
        if row["delivered"] and withdrawn.holds(row):
            if row["late"]:
                continue
            answer = anyway(loop, row["original"] or "", instead)
            row = {
                **row,
                "delivered": False,
                "variant_id": variant_of(loop, row["subject_id"], answer),
                "text": rendered(loop.answer, answer) or canonical(answer),
                "answer": canonical(answer),
            }
        kept.append(row)
    return rows.clear() if not kept else type(rows)(kept, schema=rows.schema)


def replaced_rows(rows: "pl.DataFrame", kept: "pl.DataFrame", turn: str, now: datetime) -> "pl.DataFrame":
    """Rows of `flywheel.deliveries` for what `without_answers` has put in the place of answers."""
    met = set(rows.select("decision_id", "variant_id").iter_rows())
    return TABLES["deliveries"].frame(
        {
            **{name: row[name] for name in TABLES["deliveries"].columns if name in row},
            "turn": date.fromisoformat(turn),
            "because": "withdrawn",
            "counts": False,
            "delivered_at": now,
        }
        for row in kept.to_dicts()
        if (row["decision_id"], row["variant_id"]) not in met
    )


def anyway(loop: "Loop", original: str, instead: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a subject gets where no answer is delivered."""
    return original_answer(loop.answer, original) if instead is None else dict(instead)


def variant_of(loop: "Loop", subject_id: str, answer: Mapping[str, Any]) -> str:
    """The identity of an answer to a subject."""
    return variant_identity(loop.name, subject_id, _identity(loop, answer))


def result_rows(
    decisions: "pl.DataFrame", releasing: Releasing, measured: Mapping[str, Mapping[str, float]]
) -> "pl.DataFrame":
    """Rows of `flywheel.results`: what making and trying an answer showed, where the loop declares such an outcome.

    `measured` by candidate. Nothing is written for what measured 0, as nothing is when an event does not come.
    """
    declared = {outcome.name for outcome in releasing.loop.outcomes}
    rows = []
    for decision in decisions.to_dicts():
        for outcome, value in measured.get(decision["candidate_id"] or "", {}).items():
            if outcome in declared and value:
                rows.append(
                    {
                        **{name: decision[name] for name in ("turn", "loop", "decision_id", "subject_id")},
                        "outcome": outcome,
                        "value": float(value),
                        "recorded_at": decision["tried_at"] or decision["decided_at"],
                    }
                )
    return TABLES["results"].frame(rows)


def measures(releasing: Releasing) -> dict[str, dict[str, float]]:
    """What was measured of each candidate: by its trial, and by what its calls cost (`tokens`, `usd`)."""
    spent = {row["brief_id"]: row for row in releasing.read["spent"].to_dicts()}
    found: dict[str, dict[str, float]] = {}
    for candidate in releasing.candidates.to_dicts():
        cost = spent.get(candidate["brief_id"], {})
        found[candidate["candidate_id"]] = {
            **{name: float(cost.get(name) or 0.0) for name in ("tokens", "usd")},
            **json.loads(candidate["results"] or "{}"),
        }
    return found


def _identity(loop: "Loop", answer: Mapping[str, Any]) -> str:
    """What identifies an answer; what stands in for one may lack fields, and is identified as it is."""
    return identity(loop.answer, answer) if set(answer) >= set(loop.answer.model_fields) else canonical(dict(answer))


def _hash(*parts: object) -> str:
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()
