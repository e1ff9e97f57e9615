"""The command `flywheel review`: a person decides on what was flagged.

Here: the commands, and how the queue is printed: with whole identifiers, of which a beginning that is unique will do.
Not here: the queue and landing decisions (reviewing), what follows from them (graph.assets.reviews).
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.commands.terminal import console, open_landing, open_warehouse
from orchestration.settings import Settings

if TYPE_CHECKING:
    from orchestration.loops.declaration import Loop

review = typer.Typer(no_args_is_help=True, help="Decide on what waits for a person.")

Candidate = Annotated[str, typer.Argument(help="Candidate, as `flywheel review list` shows it, or its beginning.")]
Reason = Annotated[str | None, typer.Option(help="Why, in your words.")]
Reviewer = Annotated[str | None, typer.Option(help="Who decides; your user name by default. Stored as a pseudonym.")]


@review.command("list")
def review_list() -> None:
    """Print what waits for a person in any loop, with what the guards said; what is decided on is gone."""
    from rich.markup import escape
    from rich.table import Column, Table

    from orchestration.commands.reviewing import shown, take_in, waiting

    take_in(open_landing(), _loops())
    queue = waiting(open_warehouse())
    if not queue:
        typer.echo("Nothing waits for a person.")
        return
    longest = max(len(row["candidate_id"]) for row in queue)
    table = Table(
        Column("candidate", no_wrap=True, min_width=longest),
        Column("turn", no_wrap=True, min_width=10),
        *("loop", "subject", "original", "answer", "why it waits"),
        show_lines=True,
    )
    for row in queue:
        named = (row[name] for name in ("candidate_id", "turn", "loop", "subject_id", "original"))
        cells = (*named, shown(row), row["reason"])
        table.add_row(*(escape(str(cell or "")) for cell in cells))
    console().print(table)
    typer.echo(f"{len(queue)} wait: `flywheel review approve|edit|reject CANDIDATE`.")


@review.command()
def approve(candidate: Candidate, reason: Reason = None, reviewer: Reviewer = None) -> None:
    """Let a candidate go out as it is, with the next turn."""
    _decide(candidate, "approve", reason=reason, reviewer=reviewer)


@review.command()
def edit(
    candidate: Candidate,
    text: Annotated[str | None, typer.Option(help="The text instead: the first field that people meet.")] = None,
    fields: Annotated[
        list[str] | None, typer.Option("--set", help="A field instead, FIELD=VALUE, in JSON or plain; repeatable.")
    ] = None,
    override: Annotated[
        bool, typer.Option("--override", help="Let it out although a guard blocks it; --reason says why, and is kept.")
    ] = False,
    reason: Reason = None,
    reviewer: Reviewer = None,
) -> None:
    """Let a better answer go out, with the next turn. The loop's guards judge it now, and again in the turn."""
    _decide(candidate, "edit", text=text, fields=fields or (), override=override, reason=reason, reviewer=reviewer)


@review.command()
def reject(candidate: Candidate, reason: Reason = None, reviewer: Reviewer = None) -> None:
    """Keep a candidate from going out."""
    _decide(candidate, "reject", reason=reason, reviewer=reviewer)


def _decide(candidate: str, decision: str, **options: Any) -> None:
    from orchestration.commands.reviewing import SaidBeforeError, land_decision

    try:
        path = land_decision(
            open_warehouse(), open_landing(), candidate, decision, loops=_loops(), tell=typer.echo, **options
        )
    except SaidBeforeError as said:
        typer.echo(str(said))
    else:
        typer.echo(f"Your decision is kept (landing file {path.name}); it takes effect with the next turn.")


def _loops() -> "dict[str, Loop]":
    """Every loop found, by name, whichever of them turn here: what waits may be of any."""
    from orchestration.flywheel_file import every_loop_at

    return every_loop_at(Settings())
