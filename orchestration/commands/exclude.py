"""The command `flywheel exclude`: hours in which something was wrong with the events count nowhere.

Here: the command and what it prints.
Not here: what is excluded and how it is kept (excluding).
"""

from typing import Annotated

import typer

from orchestration.commands.terminal import open_landing, open_warehouse
from orchestration.settings import Settings


def exclude(
    start: Annotated[
        str | None,
        typer.Option("--from", help="First moment that does not count, ISO 8601, UTC where it names no offset."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Moment from which events count again.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the record.")] = None,
    loop: Annotated[str | None, typer.Option(help="Loop; all that turn by default.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would not count; change nothing.")] = False,
    undo: Annotated[str | None, typer.Option(help="Exclusion to take back, by its identity.")] = None,
    by: Annotated[str | None, typer.Option(help="Who asks; your user name by default. Stored as a pseudonym.")] = None,
) -> None:
    """Leave out the events of some hours, such as those of an outage of tracking: exposures and outcomes that occurred
    in them count in no figure of their turns, once these are learned again. The events stay."""
    from orchestration.commands import excluding
    from orchestration.flywheel_file import loops_at

    settings = Settings()
    warehouse, landing = open_warehouse(), open_landing()
    loops = {each.name: each for each in loops_at(settings)}
    if undo is not None:
        if start or end or dry_run or loop:
            raise ValueError("--undo takes one exclusion back, by its identity: give nothing else but --reason.")
        known, before = excluding.undo(warehouse, landing, undo, loops, reason=reason, by=by)
        told = "was taken back before; nothing changed" if before else "is taken back: its hours count again"
        typer.echo(f"Exclusion {known} {told}.")
        return
    hours = excluding.hours_of(start, end)
    if not dry_run and not (reason or "").strip():
        raise ValueError("An exclusion is kept with its reason: give --reason.")
    touched: set[str] = set()
    for name in excluding.named(loop, loops):
        met = excluding.events_in(warehouse, name, hours)
        typer.echo(f"{'Would exclude' if dry_run else 'Excludes'} {hours} of {name}:")
        for turn, exposures, outcomes in met:
            typer.echo(f"  turn {turn}: {exposures:,} exposures, {outcomes:,} outcomes")
        if not met:
            typer.echo("  no event that has landed; later ones in these hours will not count either")
        touched |= {turn for turn, *_ in met}
        if not dry_run:
            known, before = excluding.exclude(warehouse, landing, loops[name], hours, reason=reason or "", by=by)
            was = " was there before; nothing changed" if before else ""
            typer.echo(f"Exclusion {known}{was}. `flywheel exclude --undo {known}` takes it back.")
    if touched and not dry_run:
        again = ", ".join(f"`flywheel turn {turn} --learn`" for turn in sorted(touched))
        typer.echo(f"Turns obey once they are learned again, which the sensor late_events asks for: {again}.")
