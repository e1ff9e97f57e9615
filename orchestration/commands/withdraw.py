"""The command `flywheel withdraw`: a released text comes down now, and stays down.

Here: the command and what it prints.
Not here: what comes down and how it is kept (withdrawing).
"""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.terminal import open_landing, open_outbox, open_warehouse
from orchestration.settings import Settings

if TYPE_CHECKING:
    from orchestration.commands.withdrawing import Withdrawal

SHOWN = 12
"""Variants that are printed one by one."""


def withdraw(
    target: Annotated[
        str | None,
        typer.Argument(
            help="Variant, candidate, release, decision or subject; its beginning is enough.", show_default=False
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the record.")] = None,
    loop: Annotated[str | None, typer.Option(help="Loop, where several know the identity.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come down; change nothing.")] = False,
    undo: Annotated[str | None, typer.Option(help="Withdrawal to take back, by its identity.")] = None,
    by: Annotated[str | None, typer.Option(help="Who asks; your user name by default. Stored as a pseudonym.")] = None,
) -> None:
    """Take something released down at once, for good: the outbox of the turn in force is written without it, its share
    goes to the original, and no later turn releases it. A subject takes all its variants with it."""
    from orchestration.commands import withdrawing
    from orchestration.flywheel_file import every_loop_at

    if (target is None) == (undo is None):
        raise ValueError("Name what is to come down, or with --undo the withdrawal to take back: one of them.")
    loops = every_loop_at(Settings())
    warehouse, landing, outbox = open_warehouse(), open_landing(), open_outbox()
    if undo is not None:
        if dry_run:
            raise ValueError("--dry-run goes with what is to come down, not with --undo.")
        back = withdrawing.undo(warehouse, landing, outbox, undo, loops, reason=reason, by=by)
        before = "was taken back before; nothing changed" if back.known_before else "is taken back"
        typer.echo(f"Withdrawal {back.withdrawal_id} {before}.")
        _tell_outbox(back)
        return
    if not dry_run and not (reason or "").strip():
        raise ValueError("A withdrawal is kept with its reason: give --reason.")
    named = withdrawing.target_of(warehouse, landing, target or "", loops, loop)
    typer.echo(f"{'Would withdraw' if dry_run else 'Withdraws'} {named.kind} {named.target_id} of {named.loop}:")
    for subject_id, variant_id, text in named.variants[:SHOWN]:
        typer.echo(f"  {variant_id} of {subject_id}: {' '.join((text or '').split())}")
    if len(named.variants) > SHOWN:
        typer.echo(f"  and {len(named.variants) - SHOWN} more")
    if not named.variants:
        typer.echo("  nothing that is out; it will not go out")
    if dry_run:
        return
    done = withdrawing.withdraw(warehouse, landing, outbox, named, loops, reason=reason or "", by=by)
    before = " was there before; nothing changed" if done.known_before else ""
    typer.echo(f"Withdrawal {done.withdrawal_id}{before}. `flywheel withdraw --undo` takes it back.")
    _tell_outbox(done)


def _tell_outbox(done: "Withdrawal") -> None:
    for path in done.outbox:
        typer.echo(f"outbox/{path.parent.name}/{path.name} was written anew: have the application read it again.")
