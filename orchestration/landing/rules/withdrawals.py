"""Withdrawals: which landed ones are refused, which are known already, and how the rest is stored.

Here: the statements over `arrived` for one loop, and those by which a file of subjects withdraws.
Not here: reading files (rows), what comes down (delivery.withdrawn), and writing an outbox anew (graph.assets.outbox).

A withdrawal names what comes down (`target`, `target_id`), or the withdrawal that it takes back (`undoes`). Rows are
only ever added: what is withdrawn now are the withdrawals that no row takes back.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestration.landing.rules import Slice, Statement
from orchestration.landing.rules.blanks import is_blank
from orchestration.landing.rules.columns import Column
from orchestration.landing.rules.problems import LONGEST_ID, LONGEST_TEXT

TARGETS = ("variant", "candidate", "release", "subject")
COLUMNS = (
    Column("target"),
    Column("target_id", "scalar"),
    Column("undoes"),
    Column("reason", required=True),
    Column("withdrawn_by", required=True),
    Column("withdrawn_at", "moment", required=True),
)
_STORED = "withdrawal_id, loop, target, target_id, undoes, by_column, withdrawn_by, reason, withdrawn_at, file_hash"


def needed(loop: str) -> list[Slice]:
    """What the statements read of the warehouse."""
    named = {"loop": loop}
    released = ("loop", "subject_id", "variant_id", "candidate_id", "is_control")
    decided = ("loop", "subject_id", "variant_id", "candidate_id", "decision_id")
    return [
        ("landed_subjects", ("loop", "subject_id", "version"), "loop = $loop", named),
        ("candidates", ("loop", "candidate_id"), "loop = $loop", named),
        ("releases", ("release_id", *released), "loop = $loop", named),
        ("decisions", (*decided, "delivered"), "loop = $loop", named),
        ("deliveries", (*decided, "delivered"), "loop = $loop", named),
        ("withdrawals", ("loop", "withdrawal_id", "undoes"), "loop = $loop", named),
    ]


def decided(
    loop: str, latest: datetime, pseudonym: str, subject: str | None, parameters: Mapping[str, Any]
) -> list[Statement]:
    """Temporary tables: `judged` (every row as it would be stored), then `refused` and `repeated`.

    `pseudonym` is that of the column `withdrawn_by` as SQL, and `subject` that of `target_id` where subjects have
    personal keys (else None); both need `parameters`. A subject may be named by its pseudonym, too.
    """
    known = "select subject_id from flywheel.landed_subjects where loop = $loop"
    name = "target_id"
    if subject is not None:
        name = f"case when target = 'subject' and target_id not in ({known}) then {subject} else target_id end"
    targets = ", ".join(f"'{target}'" for target in TARGETS)
    return [
        (
            """
            create temp table known as
            select 'subject' as target, subject_id as target_id from flywheel.landed_subjects where loop = $loop
            union select 'candidate', candidate_id from flywheel.candidates where loop = $loop
            union select 'variant', variant_id from flywheel.releases where loop = $loop and not is_control
            union select 'release', release_id from flywheel.releases where loop = $loop
            union select 'variant', variant_id from flywheel.decisions where loop = $loop and delivered
            union select 'release', decision_id from flywheel.decisions where loop = $loop
            union select 'variant', variant_id from flywheel.deliveries where loop = $loop and delivered""",
            {"loop": loop},
        ),
        (
            f"""
            create temp table judged as
            select *, left(sha256(json_array(
                $loop, target, target_id, undoes, withdrawn_by, reason, withdrawn_at)::varchar), 20) as withdrawal_id
            from (
                select _line, coalesce(_problem, case
                    when {is_blank("reason")} then 'missing:reason'
                    when {is_blank("withdrawn_by")} then 'missing:withdrawn_by'
                    when withdrawn_at is null then 'missing:withdrawn_at'
                    when length(withdrawn_by) > {LONGEST_ID} then 'too_long:withdrawn_by'
                    when length(target_id) > {LONGEST_ID} then 'too_long:target_id'
                    when length(reason) > {LONGEST_TEXT} then 'too_long:reason'
                    when withdrawn_at > $latest::timestamp then 'future_timestamp:withdrawn_at'
                    when undoes is not null then case when undoes not in (
                        select withdrawal_id from flywheel.withdrawals where loop = $loop and undoes is null)
                        then 'unknown_withdrawal' end
                    when target is null then 'missing:target'
                    when target not in ({targets}) then 'unknown_target'
                    when {is_blank("target_id")} then 'missing:target_id'
                    when (target, named) not in (select (target, target_id) from known) then 'nothing_to_withdraw'
                    end) as problem,
                    case when undoes is null then target end as target,
                    case when undoes is null then named end as target_id, undoes, reason, withdrawn_at,
                    case when withdrawn_by is not null then {pseudonym} end as withdrawn_by
                from (select *, {name} as named from arrived)
            )""",
            {"loop": loop, "latest": latest, **parameters},
        ),
        ("create temp table refused as select _line, problem from judged where problem is not null", {}),
        (
            """
            create temp table repeated as
            select _line from judged where problem is null and withdrawal_id in (
                select withdrawal_id from flywheel.withdrawals where loop = $loop)
            union
            select _line from judged where problem is null
            qualify row_number() over (partition by withdrawal_id order by _line) > 1""",
            {"loop": loop},
        ),
    ]


def stored(loop: str, file_hash: str) -> list[Statement]:
    """The rows that are neither refused nor repeated, added to the withdrawals."""
    return [
        (
            f"""
            insert into flywheel.withdrawals ({_STORED})
            select withdrawal_id, $loop, target, target_id, undoes, false, withdrawn_by, reason, withdrawn_at,
                $file_hash
            from judged anti join repeated using (_line) where problem is null order by _line""",
            {"loop": loop, "file_hash": file_hash},
        )
    ]


def needed_of_subjects(loop: str) -> Slice:
    """The withdrawals, as `by_column` reads them."""
    columns = ("loop", "withdrawal_id", "target", "target_id", "undoes", "by_column")
    return ("withdrawals", columns, "loop = $loop", {"loop": loop})


def by_column(loop: str, file_hash: str, now: datetime) -> list[Statement]:
    """Withdrawals that the subjects' versions of this file ask for by their column, and those that they take back."""
    newest = """
        select subject_id, version, coalesce(withdrawn, false) as withdrawn from flywheel.landed_subjects
        where loop = $loop and file_hash = $file_hash
        qualify row_number() over (partition by subject_id order by landed_order desc) = 1"""
    in_force = """
        select withdrawal_id, target_id from flywheel.withdrawals
        where loop = $loop and by_column and undoes is null and withdrawal_id not in (
            select undoes from flywheel.withdrawals where loop = $loop and undoes is not null)"""
    return [
        (
            f"""
            insert into flywheel.withdrawals ({_STORED})
            select left(sha256(json_array($loop, subject_id, version, $file_hash)::varchar), 20), $loop, 'subject',
                subject_id, null, true, null, 'Landed as withdrawn.', $now::timestamp, $file_hash
            from ({newest}) where withdrawn and subject_id not in (select target_id from ({in_force}))
            union all
            select left(sha256(json_array($loop, withdrawal_id, $file_hash)::varchar), 20), $loop, null, null,
                withdrawal_id, true, null, 'Landed as no longer withdrawn.', $now::timestamp, $file_hash
            from ({in_force}) as w join ({newest}) as n on n.subject_id = w.target_id where not n.withdrawn""",
            {"loop": loop, "file_hash": file_hash, "now": now},
        )
    ]
