"""Where a number or a text comes from: the chain behind an identity, as a tree.

Here: what an identity names, and the chain behind a KPI row.
Not here: the steps from an exposure back to prompts and training turns (lineage_steps), printing (cli), and
Dagster's own asset lineage, which the UI draws.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestration.commands import lineage_steps as steps
from orchestration.commands.identities import ANY, whole
from orchestration.commands.lineage_steps import BEARING, Trace, UnknownIdentityError
from orchestration.turns import day_of
from orchestration.warehouse.protocol import Warehouse


def trace(warehouse: Warehouse, identity: str) -> Trace:
    """The chain behind `identity`.

    It may be an exposure, a decision, a variant, a candidate, a brief, a release or a subject; a policy version such as
    `content-policy/3`; or a KPI row such as `momentum/content/2026-01-12` or
    `variant_readouts/content/2026-01-12/SUBJECT/VARIANT`.
    Raises UnknownIdentityError, naming these forms, when nothing bears it.
    """
    if "/" in identity:
        head, *rest = identity.split("/")
        if head.endswith("-policy") and len(rest) == 1:
            return steps.policy(warehouse, head.removesuffix("-policy"), rest[0])
        if len(rest) >= 2:
            return _kpi(warehouse, head, *rest)
    finders: Mapping[str, Callable[[Warehouse, Mapping[str, Any]], Trace]] = {
        "exposure": steps.exposure,
        "decision": steps.decision,
        "variant": steps.variant,
        "decided_variant": steps.decision,
        "late_variant": steps.decision,
        "release": steps.release,
        "candidate": steps.candidate,
        "brief": steps.brief,
        "subject": steps.known_subject,
        "withdrawal": steps.withdrawal,
        "exclusion": steps.exclusion,
    }
    for known in dict.fromkeys((identity, whole(warehouse, identity, ANY))):
        for what, step in finders.items():
            rows = steps.found(warehouse, BEARING[what], known=known)
            if rows:
                return step(warehouse, rows[0])
    raise UnknownIdentityError(
        f"Nothing is known as {identity!r}. Give an exposure, decision, variant, candidate, brief, release, subject, "
        "withdrawal or exclusion, or the beginning of one, a policy version (content-policy/3) or a KPI row "
        "(momentum/content/2026-01-12); `flywheel status` shows what there is."
    )


def _kpi(warehouse: Warehouse, mart: str, loop: str, turn: str, *rest: str) -> Trace:
    day_of(turn)
    known = warehouse.relations("marts")
    if not known:
        raise UnknownIdentityError("No turn has been learned yet, so that there is no KPI row: `flywheel turn` first.")
    if mart not in known:
        raise UnknownIdentityError(f"There is no mart {mart!r}; there are {', '.join(sorted(known))}.")
    columns = set(warehouse.read(f"select * from marts.{mart} limit 0").columns)
    if not {"loop", "turn", *("subject_id", "variant_id")[: len(rest)]} <= columns or len(rest) > 2:
        raise UnknownIdentityError(
            f"Rows of {mart} are not named like this: MART/LOOP/TURN, and of marts with a row for each variant "
            "MART/LOOP/TURN/SUBJECT/VARIANT."
        )
    named = dict(zip(("subject_id", "variant_id"), rest, strict=False))
    where = "".join(f" and {column} = ${column}" for column in named)
    rows = steps.found(
        warehouse,
        f"select * from marts.{mart} where loop = $loop and turn = $turn{where}",
        loop=loop,
        turn=turn,
        **named,
    )
    if not rows:
        raise UnknownIdentityError(f"{mart} has no row for {loop}, {turn} {' '.join(rest)}: has the turn been learned?")
    files = steps.found(
        warehouse,
        "select file_hash, count(*) as rows from flywheel.events where turn = $turn and loop = $loop "
        "group by all order by rows desc, file_hash",
        turn=turn,
        loop=loop,
    )
    facts = steps.only(
        warehouse,
        "select count(*) as exposures, count(distinct variant_id) as variants, count(distinct unit_id) as units, "
        "bool_or(simulated) as simulated from flywheel.exposures where turn = $turn and loop = $loop",
        turn=turn,
        loop=loop,
    )
    behind = [
        Trace("computed by", {"dbt model": f"dbt_project/models/marts/{mart}.sql"}),
        Trace("facts", facts, [steps.landed_file(warehouse, f["file_hash"]) for f in files]),
    ]
    if "variant_id" in named:
        behind.append(steps.variant(warehouse, {"variant_id": named["variant_id"]}))
    else:
        behind.append(_released(warehouse, loop, turn))
    shown = rows[0] if len(rows) == 1 else {"rows": len(rows)}
    return Trace(f"{mart} of {loop}, {turn}", {k: v for k, v in shown.items() if v is not None}, behind)


def _released(warehouse: Warehouse, loop: str, turn: str) -> Trace:
    made = steps.found(
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
    if not made:
        return _decided(warehouse, loop, turn)
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
        steps.policy(warehouse, loop, version, "released by ")
        for version in sorted({row["policy_version"] for row in made})
    ]
    return Trace("releases", by_recipe, policies)


def _decided(warehouse: Warehouse, loop: str, turn: str) -> Trace:
    made = steps.found(
        warehouse,
        """
        select policy_version, coalesce(option, 'left alone') as option, count(*) as decisions,
               count(*) filter (where delivered) as delivered, min(decision_id) as one_of_them
        from flywheel.decisions where loop = $loop and turn = $turn group by all order by option, policy_version
        """,
        loop=loop,
        turn=turn,
    )
    by_option = {
        row["option"]: f"{row['decisions']} decisions, {row['delivered']} delivered, such as {row['one_of_them']}"
        for row in made
    }
    versions = sorted({row["policy_version"] for row in made})
    return Trace(
        "decisions", by_option, [steps.policy(warehouse, loop, version, "decided by ") for version in versions]
    )


def leaves(chain: Trace) -> Sequence[str]:
    """Everything named in the chain, in depth-first order; for tests and for searching."""
    return [chain.what, *(name for step in chain.behind for name in leaves(step))]
