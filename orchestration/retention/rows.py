"""Rows that no kept turn needs, and which turns are kept.

Here: the first turn that is kept, taking away the raw rows before it, and what of the rest is still spoken of.
Not here: files, runs and artifacts (files, registry, pruning).

What learning rests on stays for ever: evidence, marts, releases, decisions, outcomes, comparisons, promotions, and the
costs and verdicts of every brief. Away go the events and exposures that those were counted from, once no kept turn
reaches back to them, and the texts of briefs and answers that never went out and wait for nobody.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from orchestration.tables import TABLES
from orchestration.warehouse.protocol import Statements, Warehouse

REACH = timedelta(days=31 + 7)
"""How far a turn looks back: four weeks for what its units did before (marts.pre_period_moments), 31 days for exposures
that an outcome is booked to (graph.backfills); and the length of a turn, in which the first of those days lies."""
RAW = ("events", "exposures")
TEXTS = {
    "briefs": ("messages", "exemplars", "context", "sources", "fields"),
    "candidates": ("text", "answer", "results"),
}
KEPT_FROM = """
    with produced as (
        select distinct turn from flywheel.champions
    ),
    wanted as (
        select min(turn) as turn from (select turn from produced order by turn desc limit $keep) as newest
    ),
    unlearned as (
        select min(r.turn) as turn from (
            select turn, loop from flywheel.releases union select turn, loop from flywheel.decisions
        ) as r
        left join flywheel.promotions as p on p.turn = r.turn and p.loop = r.loop
        where p.turn is null
    )
    select least(wanted.turn, coalesce(unlearned.turn, wanted.turn)) as turn
    from wanted cross join unlearned where (select count(*) from produced) > $keep
"""
PRUNED_TO = "select max(turn) as turn from flywheel.prunings"
# Candidates that went out in any turn, and those that a person may still decide on.
SPOKEN_OF = """
    select candidate_id from flywheel.releases where candidate_id is not null
    union
    select candidate_id from flywheel.decisions where candidate_id is not null
    union
    select r.candidate_id from flywheel.reviews as r where r.decision = 'wait' and not exists (
        select 1 from flywheel.reviews as later
        where later.loop = r.loop and later.candidate_id = r.candidate_id and later.decision <> 'wait'
    )
"""
BRIEFS_SPOKEN_OF = f"select distinct brief_id from flywheel.candidates where candidate_id in ({SPOKEN_OF})"
POLICIES_NEEDED = """
    select loop, policy_version from flywheel.champions where turn >= $first
    union
    select loop, policy_version from flywheel.challengers where turn >= $first
    union
    select loop, policy_version from flywheel.releases where turn >= $first
    union
    select loop, policy_version from flywheel.decisions where turn >= $first
    union
    select loop, champion_before from flywheel.promotions where turn >= $first
    union
    select loop, champion_after from flywheel.promotions where turn >= $first
    union
    select loop, to_version from flywheel.rollbacks
    union
    select loop, from_version from flywheel.rollbacks
"""


def kept_from(warehouse: Warehouse, keep: int) -> date | None:
    """First of the `keep` newest turns, earlier where an older one still waits to be learned; None if all are kept."""
    found = warehouse.read(KEPT_FROM, {"keep": keep})
    first: date | None = None if found.is_empty() else found.item()
    return first


def pruned_to(warehouse: Warehouse) -> date | None:
    """First turn of which every row is there; None while nothing was pruned."""
    first: date | None = warehouse.read(PRUNED_TO).item()
    return first


def pruned_problem(warehouse: Warehouse, turn: str) -> str | None:
    """Why a turn cannot run again, in a sentence; None when its rows are all there."""
    first = pruned_to(warehouse)
    if first is None or date.fromisoformat(turn) >= first:
        return None
    return (
        f"Turn {turn} was pruned: the events that it was learned from are gone (FLYWHEEL_KEEP_TURNS), so that it stays "
        f"as it is. The first turn that can run again is {first}."
    )


def policies_needed(warehouse: Warehouse, first: date) -> dict[str, set[str]]:
    """Versions by loop that kept turns or the chain of champions speak of."""
    needed: dict[str, set[str]] = {}
    for loop, version in warehouse.read(POLICIES_NEEDED, {"first": first.isoformat()}).iter_rows():
        needed.setdefault(loop, set()).add(str(version))
    return needed


def take_away(warehouse: Warehouse, first: date) -> int:
    """Take away, in one transaction, the rows and texts that turns from `first` on do not need; rows taken.

    That the turns before are pruned is recorded in the same transaction: what comes late for them is refused by name.
    """
    since = pruned_to(warehouse)
    with warehouse.transaction() as statements:
        taken = {name: _taken(statements, name, first - REACH) for name in RAW}
        for turn in _turns(statements, "briefs", first, since):
            _blank(statements, turn)
        if since is None or since < first or any(taken.values()):
            table = TABLES["prunings"]
            now = datetime.now(UTC).replace(tzinfo=None)
            statements.append(table, table.frame([{"turn": first, "events": taken["events"], "pruned_at": now}]))
    return sum(taken.values())


def _taken(statements: Statements, name: str, before: date) -> int:
    table, taken = TABLES[name], 0
    for turn in _turns(statements, name, before, None):
        taken += statements.rows(table, turn=turn).height
        statements.replace(table, table.frame([]), turn=turn)
    return taken


def _blank(statements: Statements, turn: str) -> None:
    import polars as pl

    for name, key, needed in (("briefs", "brief_id", BRIEFS_SPOKEN_OF), ("candidates", "candidate_id", SPOKEN_OF)):
        rows = statements.rows(TABLES[name], turn=turn)
        kept = pl.col(key).is_in(statements.read(needed)[key].to_list())
        blanked = [pl.when(kept).then(pl.col(column)).alias(column) for column in TEXTS[name]]
        statements.replace(TABLES[name], rows.with_columns(blanked), turn=turn)


def _turns(statements: Statements, name: str, before: date, since: date | None) -> Iterator[str]:
    values = {"before": before.isoformat(), "since": (since or date.min).isoformat()}
    found = statements.read(
        f"select distinct turn from {TABLES[name].qualified} where turn < $before and turn >= $since order by turn",
        values,
    )
    yield from (turn.isoformat() for turn in found["turn"])
