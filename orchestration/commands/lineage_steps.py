"""The steps of a chain: each row with what it says, and what stands behind it.

Here: exposures, decisions, variants, releases, candidates, briefs, subjects, policies and landed files.
Not here: what an identity names, and KPI rows (lineage).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestration.generation.answers import canonical
from orchestration.warehouse.protocol import Warehouse

MOST_OPTIONS = 12
"""Options of a decision that a chain names: the likeliest, and the chosen one."""


class UnknownIdentityError(LookupError):
    """No row of the warehouse bears this identity."""


BEARING = {
    "exposure": "select * from flywheel.exposures where exposure_id = $known order by all limit 1",
    "decision": "select * from flywheel.decisions where decision_id = $known order by all limit 1",
    "variant": "select * from flywheel.releases where variant_id = $known order by all limit 1",
    "decided_variant": "select * from flywheel.decisions where variant_id = $known order by all limit 1",
    "late_variant": "select d.* from flywheel.deliveries as l join flywheel.decisions as d "
    "on d.loop = l.loop and d.turn = l.decided_in and d.decision_id = l.decision_id "
    "where l.variant_id = $known order by d.turn, d.decision_id limit 1",
    "release": "select * from flywheel.releases where release_id = $known order by all limit 1",
    "candidate": "select * from flywheel.candidates where candidate_id = $known order by all limit 1",
    "brief": "select * from flywheel.briefs where brief_id = $known order by all limit 1",
    "subject": "select * from flywheel.subjects where subject_id = $known order by turn desc, loop limit 1",
    "withdrawal": "select * from flywheel.withdrawals where withdrawal_id = $known order by all limit 1",
    "exclusion": "select * from flywheel.exclusions where exclusion_id = $known order by all limit 1",
}
"""The first row that bears an identity, by what bears it; of subjects the newest."""


WITHDRAWALS_OF = """
    select withdrawal_id, target, reason, withdrawn_at, withdrawal_id in (
        select undoes from flywheel.withdrawals where undoes is not null) as taken_back
    from flywheel.withdrawals
    where loop = $loop and undoes is null and (
        (target = 'variant' and target_id = $variant_id::varchar)
        or (target = 'candidate' and target_id = $candidate_id::varchar)
        or (target = 'release' and target_id in ($release_id::varchar, $decision_id::varchar))
        or (target = 'subject' and target_id = $subject_id::varchar))
    order by withdrawn_at, withdrawal_id
"""
LATE_OF = """
    select turn, variant_id, because, text, delivered_at from flywheel.deliveries
    where loop = $loop and decided_in = $turn and decision_id = $decision_id order by delivered_at, variant_id
"""


@dataclass
class Trace:
    """One step of the chain, and what stands behind it."""

    what: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    behind: list["Trace"] = field(default_factory=list)


def exposure(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    event = only(
        warehouse,
        "select * from flywheel.events where turn = $turn and event_id = $exposure_id",
        turn=row["met_in"] or row["turn"],
        exposure_id=row["exposure_id"],
    )
    outcomes = found(
        warehouse,
        "select outcome, occurred_at, value from flywheel.outcomes where loop = $loop and subject_id = $subject_id "
        "and unit_id = $unit_id and occurred_at >= $occurred_at order by occurred_at, outcome",
        **{name: row[name] for name in ("loop", "subject_id", "unit_id", "occurred_at")},
    )
    decided = found(warehouse, BEARING["decision"], known=row["release_id"])
    met = Trace("outcomes", {f"{o['outcome']} {o['occurred_at']:%Y-%m-%d %H:%M}": o["value"] or "" for o in outcomes})
    return Trace(
        f"exposure {row['exposure_id']}",
        some(row, "turn", "subject_id", "unit_id", "segment", "occurred_at", "propensity", "in_holdout", "simulated")
        | _left_out(warehouse, row),
        [
            met,
            landed_file(warehouse, event["file_hash"]),
            decision(warehouse, decided[0]) if decided else variant(warehouse, row),
        ],
    )


def _left_out(warehouse: Warehouse, row: Mapping[str, Any]) -> dict[str, Any]:
    """Where it was met in another turn than it is booked to, and why it counts nowhere, if so."""
    said = {"met in turn": row["met_in"]} if row["met_in"] else {}
    if row["left_out"] == "grace":
        return {**said, "counts nowhere": "it may be of this release or of the one before, and names none"}
    if row["left_out"]:
        (hours,) = found(warehouse, BEARING["exclusion"], known=row["left_out"])
        return {**said, "counts nowhere": f"exclusion {row['left_out']}: {hours['reason']}"}
    return said


def decision(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    """One decision: what could have been chosen, what was, what went out, and what it earned."""
    chances = sorted(json.loads(row["options"] or "{}").items(), key=lambda each: (-each[1], each[0]))
    options = {
        name: f"{chance:.1%}{' (chosen)' if name == row['option'] else ''}"
        for place, (name, chance) in enumerate(chances)
        if place < MOST_OPTIONS or name == row["option"]
    }
    if len(options) < len(chances):
        options[f"and {len(chances) - len(options)} more"] = "no likelier than these"
    results = found(
        warehouse,
        "select outcome, value from flywheel.results where turn = $turn and loop = $loop "
        "and decision_id = $decision_id order by outcome",
        **{name: row[name] for name in ("turn", "loop", "decision_id")},
    )
    later = found(warehouse, LATE_OF, **{name: row[name] for name in ("turn", "loop", "decision_id")})
    behind = [
        Trace("context", json.loads(row["context"] or "{}")),
        Trace("options", options),
        Trace("results", {each["outcome"]: each["value"] for each in results}),
    ]
    if row["candidate_id"]:
        behind.append(candidate(warehouse, only(warehouse, BEARING["candidate"], known=row["candidate_id"])))
    else:
        behind.append(subject(warehouse, row))
    behind.append(policy(warehouse, row["loop"], row["policy_version"], "decided by "))
    return Trace(
        f"decision {row['decision_id']}",
        {
            **some(row, "turn", "loop", "subject_id", "option", "propensity", "delivered", "in_holdout"),
            **said(row),
            **({} if row["delivered"] else {"is": "what the subject would have got anyway"}),
            **some(row, "variant_id", "decided_at", "tried_at"),
            **{f"{each['because']} later, out with {each['turn']}": each["text"] for each in later},
            **taken_down(warehouse, row),
        },
        behind,
    )


def variant(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    released = found(
        warehouse,
        "select * from flywheel.releases where variant_id = $variant_id "
        "and ($turn::date is null or turn = $turn::date) order by turn",
        variant_id=row["variant_id"],
        turn=row["turn"] if "exposure_id" in row else None,
    )
    if not released:
        return decision(warehouse, only(warehouse, BEARING["decided_variant"], known=row["variant_id"]))
    first = released[0]
    chain = Trace(
        f"variant {first['variant_id']}",
        {
            **some(first, "loop", "subject_id"),
            **said(first),
            "is": "the original (control)" if first["is_control"] else "generated",
            "released in": ", ".join(f"{r['turn']} at {r['share']:.1%}" for r in released),
            "release": first["release_id"],
            **({} if first["is_control"] else taken_down(warehouse, released[-1])),
        },
    )
    if first["candidate_id"]:
        chain.behind.append(candidate(warehouse, only(warehouse, BEARING["candidate"], known=first["candidate_id"])))
    else:
        chain.behind.append(subject(warehouse, first))
    chain.behind.append(policy(warehouse, first["loop"], first["policy_version"], "allocated by "))
    return chain


def release(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    variants = found(
        warehouse,
        "select variant_id, share, is_control, text from flywheel.releases where release_id = $release_id "
        "order by share desc, variant_id",
        release_id=row["release_id"],
    )
    shares = {f"{v['variant_id']} {v['share']:.1%}{' control' if v['is_control'] else ''}": v["text"] for v in variants}
    return Trace(
        f"release {row['release_id']}",
        {
            **some(row, "turn", "loop", "subject_id", "holdout", "released_at"),
            **taken_down(warehouse, {"loop": row["loop"], "release_id": row["release_id"]}),
        },
        [Trace("variants", shares), policy(warehouse, row["loop"], row["policy_version"], "allocated by ")],
    )


def taken_down(warehouse: Warehouse, row: Mapping[str, Any]) -> dict[str, str]:
    """Why a variant, candidate, release or subject (or a decision's answer) was withdrawn, and what was taken back."""
    known = [row.get(name) for name in ("variant_id", "candidate_id", "release_id", "decision_id", "subject_id")]
    named = dict(zip(("variant_id", "candidate_id", "release_id", "decision_id", "subject_id"), known, strict=True))
    rows = found(warehouse, WITHDRAWALS_OF, loop=row["loop"], **named)
    return {
        f"withdrawn {each['withdrawn_at']:%Y-%m-%d %H:%M}": f"{each['target']}: {each['reason']} "
        f"(withdrawal {each['withdrawal_id']}{', taken back' if each['taken_back'] else ''})"
        for each in rows
    }


def candidate(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    verdicts = found(
        warehouse,
        "select guard, decision, reason from flywheel.verdicts where candidate_id = $candidate_id order by guard",
        candidate_id=row["candidate_id"],
    )
    reviews = found(
        warehouse,
        "select turn, decision, decided_by, overrode, reason from flywheel.reviews "
        "where candidate_id = $candidate_id order by turn",
        candidate_id=row["candidate_id"],
    )
    call = found(
        warehouse,
        "select * from flywheel.llm_calls where call_id = $call_id order by called_at limit 1",
        call_id=row["call_id"],
    )
    behind = [
        Trace("verdicts", {v["guard"]: f"{v['decision']}: {v['reason']}" for v in verdicts}),
        Trace("reviews", {f"{r['turn']} {r['decided_by']}": _review(r) for r in reviews}),
    ]
    behind += [
        Trace(
            f"call {c['call_id']}",
            some(c, "model", "seed", "status", "input_tokens", "output_tokens", "cost_usd", "cache_hit", "called_at"),
        )
        for c in call
    ]
    behind.append(brief(warehouse, only(warehouse, BEARING["brief"], known=row["brief_id"])))
    detail = {
        **some(row, "turn", "status"),
        **said(row),
        **some(row, "rounds", "results", "error"),
        **taken_down(warehouse, {"loop": row["loop"], "candidate_id": row["candidate_id"]}),
    }
    return Trace(f"candidate {row['candidate_id']}", detail, behind)


def brief(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    """What was asked: the option, the fields that it filled, and the documents whose passages were shown."""
    exemplars = json.loads(row["exemplars"])
    chosen = json.loads(row["fields"] or "{}")
    sources = json.loads(row["sources"] or "[]")
    option = row["option_id"] if row["option_id"] != row["recipe_id"] else None
    documents: dict[str, str] = {}
    for passage in sources:
        documents.setdefault(passage["document_id"], passage["title"])
    detail = {
        **some(row, "turn", "recipe_id"),
        **({"option": option} if option else {}),
        **{f"chosen {name}": value if isinstance(value, str) else canonical(value) for name, value in chosen.items()},
        **some(row, "language", "seed", "propensity", "escalation"),
        "prompt": f"{row['prompt_name']} version {row['prompt_version']} (MLflow prompt registry)",
        "exemplars": ", ".join(exemplars) or "none",
    }
    return Trace(
        f"brief {row['brief_id']}",
        detail,
        [
            *([Trace("documents shown", documents)] if documents else []),
            subject(warehouse, row),
            policy(warehouse, row["loop"], row["policy_version"], "recipe chosen by "),
        ],
    )


def known_subject(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    """A subject with what was decided for it, newest first, or with its newest release."""
    named = {"loop": row["loop"], "subject_id": row["subject_id"]}
    decided = found(
        warehouse,
        "select * from flywheel.decisions where loop = $loop and subject_id = $subject_id order by turn desc",
        **named,
    )
    released = found(
        warehouse,
        "select * from flywheel.releases where loop = $loop and subject_id = $subject_id "
        "order by turn desc, variant_id limit 1",
        **named,
    )
    itself = subject(warehouse, row)
    itself.behind += [
        *(decision(warehouse, each) for each in decided),
        *(release(warehouse, each) for each in released),
    ]
    return itself


def subject(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    itself = only(
        warehouse,
        "select * from flywheel.subjects where turn = $turn and loop = $loop and subject_id = $subject_id",
        **{name: row[name] for name in ("turn", "loop", "subject_id")},
    )
    landed = found(
        warehouse,
        "select file_hash from flywheel.landed_subjects "
        "where loop = $loop and subject_id = $subject_id and version = $version limit 1",
        **{name: itself[name] for name in ("loop", "subject_id", "version")},
    )
    return Trace(
        f"subject {itself['subject_id']}",
        {
            **some(itself, "category", "format", "original", "facts", "version"),
            **taken_down(warehouse, {"loop": itself["loop"], "subject_id": itself["subject_id"]}),
        },
        [landed_file(warehouse, each["file_hash"]) for each in landed],
    )


def withdrawal(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    """A withdrawal, or one taken back, with the file that asked for it."""
    undone = found(
        warehouse,
        "select withdrawal_id, reason from flywheel.withdrawals where undoes = $known order by all",
        known=row["withdrawal_id"],
    )
    return Trace(
        f"withdrawal {row['withdrawal_id']}",
        {
            **some(row, "loop", "target", "target_id", "undoes", "reason", "withdrawn_by", "withdrawn_at"),
            **{f"taken back by {each['withdrawal_id']}": each["reason"] for each in undone},
        },
        [landed_file(warehouse, row["file_hash"])],
    )


def exclusion(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    """Hours that do not count, or count again, with the file that asked for it."""
    undone = found(
        warehouse,
        "select exclusion_id, reason from flywheel.exclusions where undoes = $known order by all",
        known=row["exclusion_id"],
    )
    return Trace(
        f"exclusion {row['exclusion_id']}",
        {
            **some(row, "loop", "excluded_from", "excluded_until", "undoes", "reason", "excluded_by", "excluded_at"),
            **{f"taken back by {each['exclusion_id']}": each["reason"] for each in undone},
        },
        [landed_file(warehouse, row["file_hash"])],
    )


def policy(warehouse: Warehouse, loop: str, version: str, role: str = "") -> Trace:
    named = {"loop": loop, "version": version}
    trained = found(
        warehouse, "select * from flywheel.challengers where loop = $loop and policy_version = $version", **named
    )
    name = f"{role}policy {loop}-policy/{version}"
    if not trained:
        first = found(
            warehouse,
            "select * from flywheel.champions where loop = $loop and policy_version = $version order by turn limit 1",
            **named,
        )
        if not first:
            raise UnknownIdentityError(f"{loop} has no policy version {version!r}; `flywheel status` shows them.")
        return Trace(
            name, {"trained on": "nothing: the first policy is uniform", "mlflow run": first[0]["mlflow_run_id"]}
        )
    row = trained[0]
    decided = found(
        warehouse,
        "select turn, promoted, reason, coalesce(because, 'learned') as because, "
        "coalesce(took_effect, true) as took_effect, coalesce(record, 0) as record from flywheel.promotions "
        "where loop = $loop and challenger = $version order by turn, record",
        **named,
    )
    turns = json.loads(row["trained_on"])
    detail = {
        "trained on": f"{', '.join(turns)} ({row['rows']} rows of evidence)",
        "mlflow run": row["mlflow_run_id"],
        **dict(map(_record, decided)),
    }
    return Trace(name, detail)


def _review(row: Mapping[str, Any]) -> str:
    """What was decided on a candidate; where a person overrode a guard, what that had blocked."""
    overrode = f" (overrode {row['overrode']})" if row["overrode"] else ""
    return f"{row['decision']}: {row['reason']}{overrode}"


def _record(row: Mapping[str, Any]) -> tuple[str, str]:
    """A record of a promotion: its place among those of the turn, and what it says."""
    place = f" record {row['record']}" if row["record"] else ""
    effect = "" if row["took_effect"] else f"{row['because']}, without effect: "
    return f"decision {row['turn']}{place}", (
        f"{effect}{'promoted' if row['promoted'] else 'not promoted'}: {row['reason']}"
    )


def landed_file(warehouse: Warehouse, file_hash: str) -> Trace:
    landed = found(warehouse, "select * from flywheel.landed_files where file_hash = $file_hash", file_hash=file_hash)
    if not landed:
        return Trace(f"file {file_hash[:12]}")
    return Trace(
        f"landed file {landed[0]['name']}", some(landed[0], "rows_read", "accepted", "ingested_at", "file_hash")
    )


def said(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says to people: its answer's fields where there are several, else its text."""
    answer = json.loads(row["answer"] or "{}")
    if len(answer) < 2:
        return some(row, "text")
    return {name: value if isinstance(value, str) else canonical(value) for name, value in answer.items()}


def only(warehouse: Warehouse, sql: str, **parameters: Any) -> dict[str, Any]:
    rows = found(warehouse, sql, **parameters)
    if not rows:
        given = ", ".join(f"{name} {value}" for name, value in parameters.items())
        raise UnknownIdentityError(f"The chain is broken: no row for {given} in: {' '.join(sql.split())}")
    return rows[0]


def found(warehouse: Warehouse, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    return warehouse.read(sql, parameters).to_dicts()


def some(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name.replace("_", " "): row[name] for name in names if row[name] is not None}
