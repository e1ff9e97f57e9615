"""Where a number or a text comes from: the chain behind an identity, as a tree.

Here: finding what an identity names, and walking back from it to releases, candidates, prompts and training turns.
Not here: printing (cli) and Dagster's own asset lineage, which the UI draws.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestration.warehouse.protocol import Warehouse

BEARING = {
    "exposure": "select * from flywheel.exposures where exposure_id = $known order by all limit 1",
    "variant": "select * from flywheel.releases where variant_id = $known order by all limit 1",
    "release": "select * from flywheel.releases where release_id = $known order by all limit 1",
    "candidate": "select * from flywheel.candidates where candidate_id = $known order by all limit 1",
    "brief": "select * from flywheel.briefs where brief_id = $known order by all limit 1",
}
"""The first row that bears an identity, by what bears it."""


class UnknownIdentityError(LookupError):
    """No row of the warehouse bears this identity."""


@dataclass
class Trace:
    """One step of the chain, and what stands behind it."""

    what: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    behind: list["Trace"] = field(default_factory=list)


def trace(warehouse: Warehouse, identity: str) -> Trace:
    """The chain behind `identity`.

    It may be an exposure, a variant, a candidate, a brief or a release; a policy version such as `content-policy/3`;
    or a KPI row such as `momentum/content/2026-01-12` or `variant_readouts/content/2026-01-12/SUBJECT/VARIANT`.
    Raises UnknownIdentityError, naming these forms, when nothing bears it.
    """
    if "/" in identity:
        head, *rest = identity.split("/")
        if head.endswith("-policy") and len(rest) == 1:
            return _policy(warehouse, head.removesuffix("-policy"), rest[0])
        if len(rest) >= 2:
            return _kpi(warehouse, head, *rest)
    finders: Mapping[str, Callable[[Warehouse, Mapping[str, Any]], Trace]] = {
        "exposure": _exposure,
        "variant": _variant,
        "release": _release,
        "candidate": _candidate,
        "brief": _brief,
    }
    for what, found in finders.items():
        rows = _rows(warehouse, BEARING[what], known=identity)
        if rows:
            return found(warehouse, rows[0])
    raise UnknownIdentityError(
        f"Nothing is known as {identity!r}. Give an exposure, variant, candidate, brief or release, a policy version "
        "(content-policy/3) or a KPI row (momentum/content/2026-01-12); `flywheel status` shows what there is."
    )


def _exposure(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    event = _one(
        warehouse,
        "select * from flywheel.events where turn = $turn and event_id = $exposure_id",
        **{name: row[name] for name in ("turn", "exposure_id")},
    )
    outcomes = _rows(
        warehouse,
        "select outcome, occurred_at, value from flywheel.outcomes where loop = $loop and subject_id = $subject_id "
        "and unit_id = $unit_id and occurred_at >= $occurred_at order by occurred_at, outcome",
        **{name: row[name] for name in ("loop", "subject_id", "unit_id", "occurred_at")},
    )
    file = _file(warehouse, event["file_hash"])
    met = Trace("outcomes", {f"{o['outcome']} {o['occurred_at']:%Y-%m-%d %H:%M}": o["value"] or "" for o in outcomes})
    return Trace(
        f"exposure {row['exposure_id']}",
        _some(row, "turn", "subject_id", "unit_id", "segment", "occurred_at", "propensity", "in_holdout", "simulated"),
        [met, file, _variant(warehouse, row)],
    )


def _variant(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    released = _rows(
        warehouse,
        "select * from flywheel.releases where variant_id = $variant_id "
        "and ($turn::date is null or turn = $turn::date) order by turn",
        variant_id=row["variant_id"],
        turn=row["turn"] if "exposure_id" in row else None,
    )
    first = released[0]
    chain = Trace(
        f"variant {first['variant_id']}",
        {
            **_some(first, "loop", "subject_id", "text"),
            "is": "the original (control)" if first["is_control"] else "generated",
            "released in": ", ".join(f"{r['turn']} at {r['share']:.1%}" for r in released),
            "release": first["release_id"],
        },
    )
    if first["candidate_id"]:
        chain.behind.append(_candidate(warehouse, _one(warehouse, BEARING["candidate"], known=first["candidate_id"])))
    else:
        chain.behind.append(_subject(warehouse, first))
    chain.behind.append(_policy(warehouse, first["loop"], first["policy_version"], "allocated by "))
    return chain


def _release(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    variants = _rows(
        warehouse,
        "select variant_id, share, is_control, text from flywheel.releases where release_id = $release_id "
        "order by share desc, variant_id",
        release_id=row["release_id"],
    )
    shares = {f"{v['variant_id']} {v['share']:.1%}{' control' if v['is_control'] else ''}": v["text"] for v in variants}
    return Trace(
        f"release {row['release_id']}",
        _some(row, "turn", "loop", "subject_id", "holdout", "released_at"),
        [Trace("variants", shares), _policy(warehouse, row["loop"], row["policy_version"], "allocated by ")],
    )


def _candidate(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    verdicts = _rows(
        warehouse,
        "select guard, decision, reason from flywheel.verdicts where candidate_id = $candidate_id order by guard",
        candidate_id=row["candidate_id"],
    )
    reviews = _rows(
        warehouse,
        "select turn, decision, decided_by, reason from flywheel.reviews "
        "where candidate_id = $candidate_id order by turn",
        candidate_id=row["candidate_id"],
    )
    call = _rows(
        warehouse,
        "select * from flywheel.llm_calls where call_id = $call_id order by called_at limit 1",
        call_id=row["call_id"],
    )
    behind = [
        Trace("verdicts", {v["guard"]: f"{v['decision']}: {v['reason']}" for v in verdicts}),
        Trace("reviews", {f"{r['turn']} {r['decided_by']}": f"{r['decision']}: {r['reason']}" for r in reviews}),
    ]
    behind += [
        Trace(
            f"call {c['call_id']}",
            _some(c, "model", "seed", "status", "input_tokens", "output_tokens", "cost_usd", "cache_hit", "called_at"),
        )
        for c in call
    ]
    behind.append(_brief(warehouse, _one(warehouse, BEARING["brief"], known=row["brief_id"])))
    return Trace(f"candidate {row['candidate_id']}", _some(row, "turn", "status", "text", "error"), behind)


def _brief(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    exemplars = json.loads(row["exemplars"])
    detail = {
        **_some(row, "turn", "recipe_id", "language", "seed", "propensity"),
        "prompt": f"{row['prompt_name']} version {row['prompt_version']} (MLflow prompt registry)",
        "exemplars": ", ".join(exemplars) or "none",
    }
    return Trace(
        f"brief {row['brief_id']}",
        detail,
        [_subject(warehouse, row), _policy(warehouse, row["loop"], row["policy_version"], "recipe chosen by ")],
    )


def _subject(warehouse: Warehouse, row: Mapping[str, Any]) -> Trace:
    subject = _one(
        warehouse,
        "select * from flywheel.subjects where turn = $turn and loop = $loop and subject_id = $subject_id",
        **{name: row[name] for name in ("turn", "loop", "subject_id")},
    )
    landed = _rows(
        warehouse,
        "select file_hash from flywheel.landed_subjects "
        "where loop = $loop and subject_id = $subject_id and version = $version limit 1",
        **{name: subject[name] for name in ("loop", "subject_id", "version")},
    )
    return Trace(
        f"subject {subject['subject_id']}",
        _some(subject, "category", "format", "original", "facts", "version"),
        [_file(warehouse, row["file_hash"]) for row in landed],
    )


def _policy(warehouse: Warehouse, loop: str, version: str, role: str = "") -> Trace:
    named = {"loop": loop, "version": version}
    trained = _rows(
        warehouse, "select * from flywheel.challengers where loop = $loop and policy_version = $version", **named
    )
    name = f"{role}policy {loop}-policy/{version}"
    if not trained:
        first = _rows(
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
    decided = _rows(
        warehouse,
        "select * from flywheel.promotions where loop = $loop and challenger = $version order by turn",
        **named,
    )
    turns = json.loads(row["trained_on"])
    detail = {
        "trained on": f"{', '.join(turns)} ({row['rows']} rows of evidence)",
        "mlflow run": row["mlflow_run_id"],
        **{
            f"decision {d['turn']}": f"{'promoted' if d['promoted'] else 'not promoted'}: {d['reason']}"
            for d in decided
        },
    }
    return Trace(name, detail)


def _kpi(warehouse: Warehouse, mart: str, loop: str, turn: str, *rest: str) -> Trace:
    known = warehouse.relations("marts")
    if mart not in known:
        raise UnknownIdentityError(f"There is no mart {mart!r}; there are {', '.join(sorted(known)) or 'none yet'}.")
    named = dict(zip(("subject_id", "variant_id"), rest, strict=False))
    where = "".join(f" and {column} = ${column}" for column in named)
    rows = _rows(
        warehouse,
        f"select * from marts.{mart} where loop = $loop and turn = $turn{where}",
        loop=loop,
        turn=turn,
        **named,
    )
    if not rows:
        raise UnknownIdentityError(f"{mart} has no row for {loop}, {turn} {' '.join(rest)}: has the turn been learned?")
    files = _rows(
        warehouse,
        "select file_hash, count(*) as rows from flywheel.events where turn = $turn and loop = $loop "
        "group by all order by rows desc, file_hash",
        turn=turn,
        loop=loop,
    )
    facts = _one(
        warehouse,
        "select count(*) as exposures, count(distinct variant_id) as variants, count(distinct unit_id) as units, "
        "bool_or(simulated) as simulated from flywheel.exposures where turn = $turn and loop = $loop",
        turn=turn,
        loop=loop,
    )
    behind = [
        Trace("computed by", {"dbt model": f"dbt_project/models/marts/{mart}.sql"}),
        Trace("facts", facts, [_file(warehouse, f["file_hash"]) for f in files]),
    ]
    if "variant_id" in named:
        behind.append(_variant(warehouse, {"variant_id": named["variant_id"]}))
    else:
        behind.append(_released(warehouse, loop, turn))
    shown = rows[0] if len(rows) == 1 else {"rows": len(rows)}
    return Trace(f"{mart} of {loop}, {turn}", {k: v for k, v in shown.items() if v is not None}, behind)


def _released(warehouse: Warehouse, loop: str, turn: str) -> Trace:
    made = _rows(
        warehouse,
        """
        select r.policy_version, coalesce(b.recipe_id, 'control') as recipe, b.prompt_name, b.prompt_version,
               l.model, count(*) as variants, min(r.variant_id) as one_of_them
        from flywheel.releases as r
        left join flywheel.candidates as c on c.loop = r.loop and c.candidate_id = r.candidate_id
        left join flywheel.briefs as b on b.loop = c.loop and b.brief_id = c.brief_id and b.turn = c.turn
        left join flywheel.llm_calls as l on l.loop = c.loop and l.call_id = c.call_id and l.turn = c.turn
        where r.loop = $loop and r.turn = $turn group by all order by recipe
        """,
        loop=loop,
        turn=turn,
    )
    by_recipe = {
        row["recipe"]: f"{row['variants']} variants, such as {row['one_of_them']}"
        + (
            f"; prompt {row['prompt_name']} version {row['prompt_version']}; model {row['model']}"
            if row["model"]
            else ""
        )
        for row in made
    }
    policies = [
        _policy(warehouse, loop, version, "released by ") for version in sorted({row["policy_version"] for row in made})
    ]
    return Trace("releases", by_recipe, policies)


def _file(warehouse: Warehouse, file_hash: str) -> Trace:
    landed = _rows(warehouse, "select * from flywheel.landed_files where file_hash = $file_hash", file_hash=file_hash)
    if not landed:
        return Trace(f"file {file_hash[:12]}")
    return Trace(
        f"landed file {landed[0]['name']}", _some(landed[0], "rows_read", "accepted", "ingested_at", "file_hash")
    )


def _one(warehouse: Warehouse, sql: str, **parameters: Any) -> dict[str, Any]:
    rows = _rows(warehouse, sql, **parameters)
    if not rows:
        said = ", ".join(f"{name} {value}" for name, value in parameters.items())
        raise UnknownIdentityError(f"The chain is broken: no row for {said} in: {' '.join(sql.split())}")
    return rows[0]


def _rows(warehouse: Warehouse, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    return warehouse.read(sql, parameters).to_dicts()


def _some(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name.replace("_", " "): row[name] for name in names if row[name] is not None}


def leaves(chain: Trace) -> Sequence[str]:
    """Everything named in the chain, in depth-first order; for tests and for searching."""
    return [chain.what, *(name for step in chain.behind for name in leaves(step))]
