"""The demonstration: a real catalogue, a real model, a simulated audience, four turns.

Here: the order of events, what each turn wrote, and the table at the end.
Not here: the graph (definitions), the catalogue and the audience (worlds).
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchestration.commands.report import decision_lines, turn_lines, turn_table
from orchestration.commands.written import new_texts
from orchestration.graph.driver import Flywheel
from orchestration.home import start_over
from orchestration.settings import Settings
from orchestration.turns import LENGTHS, Turn
from orchestration.warehouse.engines import open_warehouse
from orchestration.worlds.simulated.catalogue import LOOP, land_catalogue
from orchestration.worlds.simulated.sandbox import Sandbox

if TYPE_CHECKING:
    from rich.console import Console

SUMMARY = "summary.json"
TEXTS_SHOWN = 5


def run_demo(settings: Settings, console: "Console", *, turns: int, products: int, exposures: int) -> None:
    """Start over in a home of its own, turn the wheel, print a table and write it to `summary.json`.

    Raises ValueError when the home holds something other than a demonstration.
    """
    started = time.monotonic()
    closed = closed_turns(settings)
    if turns > closed:
        raise ValueError(
            f"Only {closed} turns have closed since {settings.first_turn} (FLYWHEEL_FIRST_TURN): ask for fewer."
        )
    start_over(settings, "demonstration")
    sandbox = Sandbox(seed=settings.seed, exposures_per_turn=exposures)
    catalogue = land_catalogue(settings.landing, products)
    console.print(
        f"Catalogue of a retailer (The Complete Journey): {catalogue.name}, {products} listings in three placements."
    )
    wheel = Flywheel(settings, tell=lambda line: console.print(line, style="dim", highlight=False, markup=False))
    seconds: dict[str, float] = {}
    for number, turn in enumerate(_first(settings, turns), start=1):
        begun = time.monotonic()
        console.rule(f"turn {number} of {turns}: {turn.key}")
        console.print("[bold]produce[/]: brief the model, judge, release")
        wheel.produce(turn.key)
        _print_texts(settings, console, turn.key)
        played = sandbox.play(settings.outbox / LOOP / f"{turn.key}.ndjson", settings.landing, turn)
        console.print(f"[bold]world[/]: {played.exposures:,} exposures of a [yellow]simulated[/] audience")
        console.print("[bold]learn[/]: ingest, count, retrain, decide")
        wheel.learn(turn.key)
        seconds[turn.key] = time.monotonic() - begun
    lines = turn_lines(open_warehouse(settings))
    timed = [{**line, "seconds": round(seconds[line["turn"]], 1)} for line in lines if line["turn"] in seconds]
    console.print(turn_table(timed, f"{turns} turns in {time.monotonic() - started:.0f} s (simulated audience)"))
    for reason in decision_lines(timed):
        console.print(reason, highlight=False, markup=False)
    _write_summary(settings, timed)
    console.print(f"Also in {settings.home / SUMMARY}. See all of it: [bold]make up[/].")


def _print_texts(settings: Settings, console: "Console", turn: str) -> None:
    """The first texts that a turn wrote beside what stands without them, and where the others are."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    texts = new_texts(open_warehouse(settings), LOOP, turn)
    shown = texts[:TEXTS_SHOWN]
    table = Table("", "original", "written by the model", box=box.SIMPLE, padding=(0, 1, 0, 0), title_justify="left")
    for each in shown:
        table.add_row(Text(each.format, style="dim"), Text(each.original), Text(each.text))
    console.print(table)
    outbox = settings.outbox / LOOP / f"{turn}.ndjson"
    console.print(
        f"{len(shown)} of {len(texts)} new texts; all that is in force: {outbox}", highlight=False, markup=False
    )


def closed_turns(settings: Settings) -> int:
    """How many turns have closed since the first one began."""
    return max(0, (datetime.now(UTC).date() - settings.first_turn) // LENGTHS[settings.cadence])


def _first(settings: Settings, turns: int) -> Iterator[Turn]:
    turn = Turn.of(settings.first_turn, settings)
    for _ in range(turns):
        yield turn
        turn = turn.next()


def _write_summary(settings: Settings, lines: list[dict[str, Any]]) -> None:
    names = (
        "turn", "loop", "released", "exposures", "lift", "lift_low", "lift_high",
        "champion", "promoted", "reason", "tokens", "cost_usd", "seconds", "simulated",
    )  # fmt: skip
    summary = {"turns": [{name: line[name] for name in names} for line in lines]}
    (settings.root / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n")
