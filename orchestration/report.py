"""One line a turn: what was released, what it did, and what was decided.

Here: reading it from the marts and decision records, and laying it out as a table.
Not here: computing any of it (dbt_project, learning) and printing (cli).
"""

from typing import TYPE_CHECKING, Any

from orchestration.resources.warehouse import Warehouse

if TYPE_CHECKING:
    from rich.table import Table

TURNS = """
    with released as (
        select turn, loop, count(*) filter (where not is_control) as released, min(policy_version) as champion
        from flywheel.releases group by all
    ),
    spent as (
        select turn, loop, sum(input_tokens + output_tokens) filter (where not cache_hit) as tokens,
               sum(cost_usd) filter (where not cache_hit) as cost_usd
        from flywheel.llm_calls group by all
    ),
    met as (
        select turn, loop, count(*) as exposures, bool_or(simulated) as simulated from flywheel.exposures group by all
    )
    select
        r.turn::varchar as turn, r.loop, r.released, coalesce(met.exposures, 0) as exposures,
        {momentum}
        r.champion, p.promoted, p.reason,
        coalesce(s.tokens, 0)::bigint as tokens, coalesce(s.cost_usd, 0.0) as cost_usd,
        coalesce(met.simulated, false) as simulated
    from released as r
    left join spent as s using (turn, loop)
    left join met using (turn, loop)
    left join flywheel.promotions as p using (turn, loop)
    {join}
    order by r.turn, r.loop
"""


def turn_lines(warehouse: Warehouse) -> list[dict[str, Any]]:
    """One row for each released turn and loop, in order; lifts are null until the turn has been learned."""
    has_marts = warehouse.read(
        "select count(*) from information_schema.tables where table_schema = 'marts' and table_name = 'momentum'"
    ).item()
    sql = TURNS.format(
        momentum="m.lift, m.lift_low, m.lift_high,"
        if has_marts
        else "null::double as lift, null::double as lift_low, null::double as lift_high,",
        join="left join marts.momentum as m using (turn, loop)" if has_marts else "",
    )
    return warehouse.read(sql).to_dicts()


def lift_text(line: dict[str, Any]) -> str:
    """Lift over the holdout with its interval, in per cent; says so when the audience is simulated."""
    if line["lift"] is None:
        return "not learned yet" if line["promoted"] is None else "too few rewards"
    interval = f"{100 * line['lift']:+.1f} % ({100 * line['lift_low']:+.1f} to {100 * line['lift_high']:+.1f})"
    return f"{interval}, simulated" if line["simulated"] else interval


def turn_table(lines: list[dict[str, Any]], title: str) -> "Table":
    """The turns as a table for the terminal."""
    from rich.table import Table

    timed = any("seconds" in line for line in lines)
    heads = ("turn", "loop", "released", "exposures", "lift over holdout", "champion", "decision", "tokens", "cost")
    table = Table(*heads, *(("seconds",) if timed else ()), title=title, show_lines=True)
    for line in lines:
        decision = {None: "", True: "promoted: ", False: "stays: "}[line["promoted"]] + (line["reason"] or "")
        cells = (
            line["turn"],
            line["loop"],
            f"{line['released']:,}",
            f"{line['exposures']:,}",
            lift_text(line),
            line["champion"],
            decision,
            f"{line['tokens']:,}",
            f"${line['cost_usd']:.4f}",
        )
        table.add_row(*cells, *((f"{line['seconds']:.1f}",) if timed else ()))
    return table
