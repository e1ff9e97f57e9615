"""How the flywheel stands: what `flywheel status` says below its table of turns.

Here: champions in force, rollbacks that the next turn will obey, refused halves of turns with their remedy, what waits
for whom, spend, and refused rows by reason.
Not here: the table (report), and what a person does about any of it (review, doctor, rollback).
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg

from orchestration.commands.reviewing import waiting
from orchestration.graph.failures import refusals as gates_of
from orchestration.registry.champions import champion_in_force
from orchestration.settings import Settings
from orchestration.turns import Turn
from orchestration.warehouse.protocol import Warehouse

LOOPS = "select distinct loop from flywheel.champions order by loop"
PENDING = """
    select loop, from_version, to_version, reason from flywheel.rollbacks as r
    where not exists (
        select 1 from flywheel.champions as c where c.loop = r.loop and c.turn > r.turn
    )
    qualify row_number() over (partition by loop order by turn desc, rolled_back_at desc) = 1
    order by loop
"""
SPENT = """
    select loop, count(*) as calls, sum(input_tokens + output_tokens)::bigint as tokens, sum(cost_usd) as usd
    from flywheel.llm_calls where not cache_hit group by loop order by loop
"""
QUARANTINED = """
    select reason, count(*) as rows from flywheel.quarantine where mended_by is null
    group by reason order by rows desc, reason
"""
SUBJECTS = """
    select loop, count(distinct subject_id) as known from flywheel.landed_subjects group by loop order by loop
"""
TAKEN = """
    select loop, count(*) as taken from flywheel.subjects as s
    where turn = (select max(turn) from flywheel.subjects as n where n.loop = s.loop) group by loop order by loop
"""
HALVES = ("produce", "learn", "turn")
RUNS_LOOKED_AT = 200
LONGEST = 300


def standing_lines(warehouse: Warehouse, settings: Settings) -> Iterator[str]:
    """One sentence for each thing that stands or waits; what is in order is not told."""
    yield from _champions(warehouse)
    yield from refusals(settings)
    yield from _queues(warehouse)
    for row in warehouse.read(SPENT).to_dicts():
        yield (
            f"{row['loop']}: ${row['usd'] or 0:.4f} and {row['tokens'] or 0:,} tokens spent so far in {row['calls']:,} "
            f"calls; the budget of a turn is ${settings.budget_usd:.2f}."
        )
    rows = warehouse.read(QUARANTINED).to_dicts()
    if rows:
        reasons = ", ".join(f"{row['rows']:,} {row['reason']}" for row in rows)
        yield f"{sum(row['rows'] for row in rows):,} landed rows were refused: {reasons} (table flywheel.quarantine)."


def _champions(warehouse: Warehouse) -> Iterator[str]:
    pending = {row["loop"]: row for row in warehouse.read(PENDING).to_dicts()}
    for loop in warehouse.read(LOOPS)["loop"]:
        version = champion_in_force(warehouse, loop, date.max.isoformat())
        if (row := pending.get(loop)) is not None:
            yield (
                f"{loop}: a rollback from {loop}-policy/{row['from_version']} to {loop}-policy/{row['to_version']} "
                f"takes effect with the next turn ({row['reason']})."
            )
        else:
            yield f"{loop}: champion in force is {loop}-policy/{version}."


def _queues(warehouse: Warehouse) -> Iterator[str]:
    if queue := waiting(warehouse):
        yield f"{len(queue)} candidates wait for a person: `flywheel review list`."
    taken = dict(warehouse.read(TAKEN).iter_rows())
    for loop, known in warehouse.read(SUBJECTS).iter_rows():
        if 0 < taken.get(loop, 0) < known:
            yield (
                f"{loop}: the newest turn took {taken[loop]} of {known} landed subjects; the others wait for theirs "
                "(FLYWHEEL_SUBJECTS_PER_TURN), or are not alive now."
            )


def refusals(settings: Settings) -> Iterator[str]:
    """Halves of turns whose newest run failed, each with the gates that refused it and what to do.

    Read off Dagster's records, where also a gate stands that stopped the turn before anything was decided.
    """
    if not (settings.dagster_home / "dagster.yaml").exists():
        return
    from orchestration.home import prepare_home

    prepare_home(settings)
    newest: dict[tuple[str, str], dg.DagsterRun] = {}
    with dg.DagsterInstance.get() as instance:
        for run in instance.get_runs(limit=RUNS_LOOKED_AT):
            half, turn = run.tags.get("flywheel/half"), run.tags.get("dagster/partition")
            if half in HALVES and turn is not None and run.is_finished:
                newest.setdefault((turn, half), run)
        for (turn, half), run in sorted(newest.items()):
            if run.status is dg.DagsterRunStatus.FAILURE:
                yield _refusal(turn, half, [entry.dagster_event for entry in instance.all_logs(run.run_id)], settings)


def _refusal(turn: str, half: str, events: list[Any], settings: Settings) -> str:
    again = f"`flywheel turn {Turn.of(turn, settings).key} --{half}`" if half != "turn" else f"`flywheel turn {turn}`"
    known = [event for event in events if event is not None]
    judged = (
        each.event_specific_data for each in known if each.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
    )
    refused = [f"{name}. {_cut(found)}".strip() for name, found in gates_of(judged)]
    failed = [str(event.step_key) for event in known if event.is_step_failure]
    if refused:
        return f"{turn}, {half}: refused: {'; '.join(refused)} Once that is mended: {again}."
    return f"{turn}, {half}: failed in {', '.join(dict.fromkeys(failed)) or 'its run'}: {again} says why."


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
