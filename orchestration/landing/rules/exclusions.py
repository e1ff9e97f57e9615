"""Exclusions: hours of which no event counts; which landed ones are refused, and how the rest is stored.

Here: the statements over `arrived` for one loop.
Not here: reading files (rows), and what obeys them (graph.assets.booking).

An exclusion names its span (`excluded_from`, `excluded_until`), or the exclusion that it takes back (`undoes`). Rows
are only ever added: excluded now are the spans of the exclusions that no row takes back.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestration.landing.rules import Slice, Statement
from orchestration.landing.rules.columns import Column
from orchestration.landing.rules.problems import LONGEST_ID, LONGEST_TEXT

COLUMNS = (
    Column("excluded_from", "moment"),
    Column("excluded_until", "moment"),
    Column("undoes"),
    Column("reason", required=True),
    Column("excluded_by", required=True),
    Column("excluded_at", "moment", required=True),
)


def needed(loop: str) -> Slice:
    """What the statements read of the warehouse."""
    return ("exclusions", ("loop", "exclusion_id", "undoes"), "loop = $loop", {"loop": loop})


def decided(loop: str, latest: datetime, pseudonym: str, parameters: Mapping[str, Any]) -> list[Statement]:
    """Temporary tables: `judged` (every row as it would be stored), then `refused` and `repeated`.

    `pseudonym` is that of the column `excluded_by` as SQL, which needs `parameters`.
    """
    return [
        (
            f"""
            create temp table judged as
            select *, left(sha256(json_array(
                $loop, excluded_from, excluded_until, undoes, reason, excluded_by, excluded_at)::varchar), 20)
                as exclusion_id
            from (
                select _line, coalesce(_problem, case
                    when coalesce(trim(reason), '') = '' then 'missing:reason'
                    when coalesce(trim(excluded_by), '') = '' then 'missing:excluded_by'
                    when excluded_at is null then 'missing:excluded_at'
                    when length(excluded_by) > {LONGEST_ID} then 'too_long:excluded_by'
                    when length(reason) > {LONGEST_TEXT} then 'too_long:reason'
                    when excluded_at > $latest::timestamp then 'future_timestamp:excluded_at'
                    when undoes is not null then case when undoes not in (
                        select exclusion_id from flywheel.exclusions where loop = $loop and undoes is null)
                        then 'unknown_exclusion' end
                    when excluded_from is null then 'missing:excluded_from'
                    when excluded_until is null then 'missing:excluded_until'
                    when excluded_from >= excluded_until then 'ends_before_it_starts'
                    end) as problem,
                    case when undoes is null then excluded_from end as excluded_from,
                    case when undoes is null then excluded_until end as excluded_until, undoes, reason, excluded_at,
                    case when excluded_by is not null then {pseudonym} end as excluded_by
                from arrived
            )""",
            {"loop": loop, "latest": latest, **parameters},
        ),
        ("create temp table refused as select _line, problem from judged where problem is not null", {}),
        (
            """
            create temp table repeated as
            select _line from judged where problem is null and exclusion_id in (
                select exclusion_id from flywheel.exclusions where loop = $loop)
            union
            select _line from judged where problem is null
            qualify row_number() over (partition by exclusion_id order by _line) > 1""",
            {"loop": loop},
        ),
    ]


def stored(loop: str, file_hash: str, now: datetime) -> list[Statement]:
    """The rows that are neither refused nor repeated, added to the exclusions."""
    return [
        (
            """
            insert into flywheel.exclusions (
                exclusion_id, loop, excluded_from, excluded_until, undoes, reason, excluded_by, excluded_at,
                ingested_at, file_hash)
            select exclusion_id, $loop, excluded_from, excluded_until, undoes, reason, excluded_by, excluded_at,
                $now::timestamp, $file_hash
            from judged anti join repeated using (_line) where problem is null order by _line""",
            {"loop": loop, "now": now, "file_hash": file_hash},
        )
    ]
