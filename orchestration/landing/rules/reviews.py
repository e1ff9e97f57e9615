"""Reviews: which landed decisions are refused, which are known already, and how the rest is stored.

Here: the statements over `arrived` for one loop.
Not here: reading files (rows) and what follows from a decision (graph.assets.reviews).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestration.landing.rules import Slice, Statement
from orchestration.landing.rules.blanks import is_blank
from orchestration.landing.rules.columns import Column
from orchestration.landing.rules.problems import LONGEST_ID, LONGEST_TEXT

COLUMNS = (
    Column("candidate_id", required=True),
    Column("decision", required=True),
    Column("text"),
    Column("edits", "object"),
    Column("override", "flag"),
    Column("reviewer", required=True),
    Column("reason"),
    Column("decided_at", "moment", required=True),
)


def needed(loop: str) -> list[Slice]:
    """What the statements read of the warehouse."""
    named = {"loop": loop}
    return [
        ("candidates", ("loop", "candidate_id"), "loop = $loop", named),
        ("landed_reviews", ("loop", "review_id"), "loop = $loop", named),
    ]


def decided(loop: str, latest: datetime, pseudonym: str, parameters: Mapping[str, Any]) -> list[Statement]:
    """Temporary tables: `judged` (every row as it would be stored), then `refused` and `repeated`.

    An edit names a text, fields, or both. Without fields a decision is known by what it was before there were any. One
    that overrides what a guard blocks says why.

    `pseudonym` is that of the column `reviewer` as SQL, which needs `parameters`.
    """
    needed = ("candidate_id", "decision", "reviewer")
    named = """contains(coalesce(edits, ''), '"')"""  # an object without any field has no quotation mark
    empty = " ".join(f"when {is_blank(name)} then 'missing:{name}'" for name in needed)
    return [
        (
            f"""
            create temp table judged as
            select *, left(sha256(concat(json_array(
                $loop, candidate_id, decision, text, reviewer, reason, decided_at)::varchar, edits,
                case when override then ' override' end)), 32) as review_id
            from (
                select _line, coalesce(_problem, case
                    {empty}
                    when decided_at is null then 'missing:decided_at'
                    when length(reviewer) > {LONGEST_ID} then 'too_long:reviewer'
                    when length(text) > {LONGEST_TEXT} then 'too_long:text'
                    when length(edits) > {LONGEST_TEXT} then 'too_long:edits'
                    when length(reason) > {LONGEST_TEXT} then 'too_long:reason'
                    when decision not in ('approve', 'edit', 'reject') then 'unknown_decision'
                    when decision = 'edit' and trim(coalesce(text, case when {named} then '-' end, '')) = ''
                        then 'missing:text'
                    when override and trim(coalesce(reason, '')) = '' then 'missing:reason'
                    when decided_at > $latest::timestamp then 'future_timestamp:decided_at'
                    when candidate_id not in (select candidate_id from flywheel.candidates where loop = $loop)
                        then 'unknown_candidate'
                    end) as problem,
                    candidate_id, decision, case when decision = 'edit' then text end as text,
                    case when decision = 'edit' then edits end as edits,
                    coalesce(decision = 'edit' and override, false) as override,
                    case when reviewer is not null then {pseudonym} end as reviewer,
                    reason, decided_at
                from arrived
            )""",
            {"loop": loop, "latest": latest, **parameters},
        ),
        ("create temp table refused as select _line, problem from judged where problem is not null", {}),
        (
            """
            create temp table repeated as
            select _line from judged where problem is null and review_id in (
                select review_id from flywheel.landed_reviews where loop = $loop)
            union
            select _line from judged where problem is null
            qualify row_number() over (partition by review_id order by _line) > 1""",
            {"loop": loop},
        ),
    ]


def stored(loop: str, file_hash: str) -> list[Statement]:
    """The rows that are neither refused nor repeated, put into the landed reviews."""
    return [
        (
            """
            insert into flywheel.landed_reviews (
                review_id, loop, candidate_id, decision, text, edits, override, reviewer, reason, decided_at, file_hash)
            select review_id, $loop, candidate_id, decision, text, edits, override, reviewer, reason, decided_at,
                $file_hash
            from judged anti join repeated using (_line) where problem is null order by _line""",
            {"loop": loop, "file_hash": file_hash},
        )
    ]
