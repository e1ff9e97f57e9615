"""The command `flywheel review`: a person decides on what was flagged.

Here: the commands and how the queue is printed.
Not here: the queue and landing decisions (reviewing), what follows from them (graph.assets.reviews).
"""

from typing import Annotated, Any

import typer

from orchestration.commands.terminal import console, open_landing, open_warehouse, plain_errors
from orchestration.settings import Settings

review = typer.Typer(no_args_is_help=True, help="Decide on what waits for a person.")

Candidate = Annotated[str, typer.Argument(help="Candidate, as `flywheel review list` shows it.")]
Reason = Annotated[str | None, typer.Option(help="Why, in your words.")]
Reviewer = Annotated[str | None, typer.Option(help="Who decides; your user name by default. Stored as a pseudonym.")]


@review.command("list")
def review_list() -> None:
    """Print what waits for a person, with what the guards said."""
    from rich.markup import escape
    from rich.table import Table

    from orchestration.commands.reviewing import shown, waiting

    with plain_errors():
        queue = waiting(open_warehouse())
    if not queue:
        typer.echo("Nothing waits for a person.")
        return
    table = Table("candidate", "turn", "subject", "original", "answer", "why it waits", show_lines=True)
    for row in queue:
        cells = (row["candidate_id"], row["turn"], row["subject_id"], row["original"], shown(row), row["reason"])
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
    reason: Reason = None,
    reviewer: Reviewer = None,
) -> None:
    """Let a better answer go out, with the next turn. The loop's guards judge it now, and again in the turn."""
    _decide(candidate, "edit", text=text, fields=fields or (), reason=reason, reviewer=reviewer)


@review.command()
def reject(candidate: Candidate, reason: Reason = None, reviewer: Reviewer = None) -> None:
    """Keep a candidate from going out."""
    _decide(candidate, "reject", reason=reason, reviewer=reviewer)


def _decide(candidate: str, decision: str, **options: Any) -> None:
    from orchestration.commands.reviewing import land_decision
    from orchestration.loops.found import found_loops

    brand = Settings().brand_file
    with plain_errors():
        path = land_decision(
            open_warehouse(),
            open_landing(),
            candidate,
            decision,
            loops={name: declare(brand) for name, declare in found_loops().items()},
            tell=typer.echo,
            **options,
        )
    typer.echo(f"Landed {path.name}; the next turn takes it in.")
