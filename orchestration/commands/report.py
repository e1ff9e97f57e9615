"""One line a turn: what was released, what it did, and what was decided.

Here: reading it from the marts and decision records, and laying it out as a table.
Not here: computing any of it (dbt_project, learning) and printing (cli).
"""

from typing import TYPE_CHECKING, Any

from orchestration.warehouse.protocol import Warehouse

if TYPE_CHECKING:
    from rich.table import Table

TURNS = """
    with released as (
        select turn, loop, count(*) filter (where not is_control) as released, null::bigint as decided,
               min(policy_version) as champion
        from flywheel.releases group by all
        union all
        select turn, loop, count(*) filter (where delivered) as released, count(*) as decided,
               min(policy_version) as champion
        from flywheel.decisions group by all
    ),
    spent as (
        select turn, loop, sum(input_tokens + output_tokens) filter (where not cache_hit) as tokens,
               sum(cost_usd) filter (where not cache_hit) as cost_usd
        from flywheel.llm_calls group by all
    ),
    met as (
        select turn, loop, count(*) as exposures, bool_or(simulated) as simulated from flywheel.exposures group by all
    ),
    recorded as (
        select turn, loop, promoted, reason, coalesce(because, 'learned') as because,
            coalesce(took_effect, true) as took_effect, recorded_at
        from flywheel.promotions
        qualify row_number() over (partition by turn, loop order by coalesce(record, 0) desc) = 1
    ),
    obeyed as (
        select turn, loop, promoted, champion_after from flywheel.promotions where coalesce(took_effect, true)
        qualify row_number() over (partition by turn, loop order by coalesce(record, 0) desc) = 1
    )
    select
        r.turn::varchar as turn, r.loop, r.released, r.decided, coalesce(met.exposures, 0) as exposures,
        {momentum}
        r.champion, p.promoted, p.reason, p.because, p.took_effect, p.recorded_at,
        o.promoted as obeyed, o.champion_after,
        coalesce(s.tokens, 0)::bigint as tokens, coalesce(s.cost_usd, 0.0) as cost_usd,
        coalesce(met.simulated, false) as simulated
    from released as r
    left join spent as s using (turn, loop)
    left join met using (turn, loop)
    left join recorded as p using (turn, loop)
    left join obeyed as o using (turn, loop)
    {join}
    order by r.turn, r.loop
"""

FIGURES = ("lift", "lift_low", "lift_high", "difference", "difference_low", "difference_high")


def turn_lines(warehouse: Warehouse) -> list[dict[str, Any]]:
    """One row for each released turn and loop, in order; lifts are null until the turn has been learned.

    `released` are the answers that went out; of a loop that decides, `decided` are the subjects decided on.
    """
    known = warehouse.read(
        "select column_name from information_schema.columns where table_schema = 'marts' and table_name = 'momentum'"
    )["column_name"]
    figures = (f"m.{name}" if name in set(known) else f"null::double as {name}" for name in FIGURES)
    sql = TURNS.format(
        momentum=", ".join(figures) + ",",
        join="left join marts.momentum as m using (turn, loop)" if len(known) else "",
    )
    return warehouse.read(sql).to_dicts()


def lift_text(line: dict[str, Any]) -> str:
    """Lift over the holdout with its interval, in per cent; says so when the audience is simulated.

    Where there is no lift, such as over rewards below zero, it is the difference in rewards a unit.
    """
    audience = " simulated" if line["simulated"] else ""
    if line["lift"] is None:
        if line.get("difference") is not None:
            low, high = line["difference_low"], line["difference_high"]
            interval = f"\n({low:+.3g} to {high:+.3g})" if low is not None else ""
            return f"{line['difference']:+.3g} a unit{audience}{interval}"
        return "not learned yet" if line["promoted"] is None else "too few rewards"
    if line["lift_low"] is None:
        return f"{100 * line['lift']:+.1f} %{audience}"
    return f"{100 * line['lift']:+.1f} %{audience}\n({100 * line['lift_low']:+.1f} to {100 * line['lift_high']:+.1f})"


def released_text(line: dict[str, Any]) -> str:
    """How many answers went out; where one is decided on for each subject, of how many decisions."""
    return f"{line['released']:,}" + (f" of {line['decided']:,}" if line["decided"] is not None else "")


def turn_table(lines: list[dict[str, Any]], title: str) -> "Table":
    """The turns as a table for the terminal; the reasons of the decisions are `decision_lines`."""
    from rich import box
    from rich.table import Table

    timed = any("seconds" in line for line in lines)
    table = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0))
    for head in (
        "turn",
        "loop",
        "released",
        "exposures",
        "lift (95 % interval)",
        "policy",
        "decision",
        "tokens",
        "cost",
    ):
        table.add_column(head, no_wrap=True, justify="left" if head in ("turn", "loop", "decision") else "right")
    if timed:
        table.add_column("seconds", no_wrap=True, justify="right")
    for line in lines:
        cells = (
            line["turn"],
            line["loop"],
            released_text(line),
            f"{line['exposures']:,}",
            lift_text(line),
            line["champion"],
            decision_text(line),
            f"{line['tokens']:,}",
            f"${line['cost_usd']:.4f}",
        )
        table.add_row(*cells, *((f"{line['seconds']:.1f}",) if timed else ()))
    return table


def decision_text(line: dict[str, Any]) -> str:
    """What took effect after the turn; where late events would now decide otherwise, that it is so."""
    said = {None: "", True: "promoted", False: "stays"}
    if line.get("took_effect") is False and line["obeyed"] is not None and line["obeyed"] != line["promoted"]:
        return f"{said[line['obeyed']]} (late events: {said[line['promoted']]})"
    return said[line["promoted"]]


def decision_lines(lines: list[dict[str, Any]]) -> list[str]:
    """Why each turn's challenger was promoted or not, a sentence a turn, as it is known now.

    What late events would now decide otherwise is said as that: what took effect stays.
    """
    return [f"{line['turn']} {line['loop']}: {_late(line)}{line['reason']}" for line in lines if line["reason"]]


def _late(line: dict[str, Any]) -> str:
    if line.get("took_effect") is not False:
        return ""
    if line["obeyed"] is None:
        return "without effect, since a later turn had been decided on: "
    kept = "promoted" if line["obeyed"] else "not promoted"
    otherwise = "would now decide otherwise" if line["obeyed"] != line["promoted"] else "change the numbers"
    return (
        f"{line['because']} {otherwise} (recorded {line['recorded_at']:%Y-%m-%d}); what took effect stays, "
        f"{kept}, champion {line['champion_after']}. Known now: "
    )
