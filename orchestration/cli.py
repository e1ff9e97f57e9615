"""The command `flywheel`.

Here: commands, their options, and how what they find is printed.
Not here: the work itself (driver, commands).
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.convert import convert
from orchestration.commands.exclude import exclude
from orchestration.commands.review import review
from orchestration.commands.terminal import (
    PlainErrorsGroup,
    console,
    named_loop,
    open_landing,
    open_warehouse,
)
from orchestration.commands.withdraw import withdraw
from orchestration.environment import DAGSTER, DBT, MLFLOW, shed
from orchestration.settings import Settings
from orchestration.settings_errors import unknown_variables

if TYPE_CHECKING:
    from rich.tree import Tree

    from orchestration.commands.lineage import Trace

app = typer.Typer(
    cls=PlainErrorsGroup, no_args_is_help=True, help="Turn the generative growth flywheel, and ask it what it did."
)
app.add_typer(review, name="review")
app.add_typer(convert, name="convert")
app.command()(withdraw)
app.command()(exclude)


@app.callback()
def quiet() -> None:
    shed(*MLFLOW, *DBT, *DAGSTER)  # set for other work; before any of them is loaded
    # Libraries that set logging up for themselves would fill the terminal with every request they make.
    logging.basicConfig(level=logging.WARNING)
    for line in unknown_variables(os.environ, Settings.model_fields):
        typer.secho(line, fg="yellow", err=True)


@app.command()
def turn(
    key: Annotated[str, typer.Argument(help="First day of the turn, such as 2026-01-05.")],
    produce: Annotated[bool, typer.Option("--produce", help="Only up to the releases.")] = False,
    learn: Annotated[bool, typer.Option("--learn", help="Only from the events to the promotion.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what the model would be asked; ask nothing.")] = False,
) -> None:
    """Run one turn in one process, with progress: produce and, once its window has closed, learn."""
    from orchestration.commands.dry_run import planned_calls
    from orchestration.flywheel_file import loops_at
    from orchestration.graph.driver import Flywheel

    settings = Settings()
    wheel = Flywheel(settings, tell=lambda line: typer.echo(line))
    if dry_run:
        for line in planned_calls(key, loops_at(settings), settings):
            typer.echo(line)
        return
    if produce or not learn:
        wheel.produce(key)
    if learn or not produce:
        wheel.learn(key)
    status()


@app.command()
def ingest() -> None:
    """Take in every file that has landed."""
    from orchestration.graph.driver import Flywheel

    Flywheel(Settings(), tell=lambda line: typer.echo(line)).ingest()


@app.command()
def forget() -> None:
    """Forget whom to answer: asks for a person's identifier, so that no shell keeps it, and erases it for ever."""
    from orchestration.landing.addressees import Addressees

    settings = Settings()
    identifier = typer.prompt("Identifier, as the sender writes it", hide_input=True)
    known = Addressees(settings.addressees_path, settings.lock_timeout_s).forget(identifier)
    typer.echo(
        "Forgotten: the pseudonym now speaks of nobody. Delete what landing/ and outbox/ say of the person yourself."
        if known
        else "Nobody of that identifier was known here; nothing changed."
    )


@app.command()
def status() -> None:
    """Print the turns with their lifts over the holdout, the champions, and what was refused or waits."""
    from orchestration.commands.excluding import excluded_lines
    from orchestration.commands.report import decision_lines, turn_lines, turn_table
    from orchestration.commands.standing import refusals, standing_lines
    from orchestration.commands.withdrawing import withdrawn_lines

    lines = turn_lines(open_warehouse())
    withdrawn = [*withdrawn_lines(open_warehouse()), *excluded_lines(open_warehouse())]
    if not lines:
        typer.echo("No turn has been released yet: `flywheel turn 2026-01-05`, or `make demo`.")
        for refused in refusals(Settings()):
            typer.echo(refused)
        return
    standing = list(standing_lines(open_warehouse(), Settings()))
    console().print(turn_table(lines, "turns"))
    for said in (*decision_lines(lines), *withdrawn, *standing):
        typer.echo(said)


@app.command()
def trace(
    identity: Annotated[
        str, typer.Argument(help="Exposure, decision, variant, candidate, brief, release, subject, policy or KPI row.")
    ],
) -> None:
    """Print the whole chain behind a number or a text.

    An identity is any of the warehouse, `content-policy/3` for a policy, or a KPI row such as
    `momentum/content/2026-01-12` or `variant_readouts/content/2026-01-12/SUBJECT/VARIANT`.
    """
    from orchestration.commands.lineage import trace as chain

    console().print(_tree(chain(open_warehouse(), identity)))


@app.command()
def doctor() -> None:
    """Check the set-up, and name the remedy for whatever is wrong. Changes nothing; exits 1 if a turn cannot run."""
    from rich.table import Table

    from orchestration.commands.doctor import findings, loops_as_far_as_declared

    settings = Settings()
    table = Table("check", "", "found", "remedy", show_lines=True)
    failed = False
    for finding in findings(settings, loops_as_far_as_declared(settings), open_landing()):
        mark = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "fails": "[red]fails[/]"}[finding.state]
        table.add_row(finding.check, mark, finding.found, finding.remedy if finding.state != "ok" else "")
        failed |= finding.state == "fails"
    console().print(table)
    raise typer.Exit(1 if failed else 0)


@app.command()
def plan(
    base_rate: Annotated[float, typer.Option(help="Rewards per unit without the flywheel, such as 0.04.")],
    units: Annotated[float, typer.Option(help="Units that meet one subject in a turn.")],
    subjects: Annotated[int, typer.Option(help="Subjects released in a turn.", min=1)] = 200,
    holdout: Annotated[float, typer.Option(help="Share of units that always get the original.")] = 0.10,
    turns: Annotated[
        int | None, typer.Option(help="Turns planned; without, the flywheel may look for ever.", min=1, max=10_000)
    ] = None,
    lift: Annotated[list[float] | None, typer.Option(help="Lifts to plan for, such as 0.1; may be repeated.")] = None,
) -> None:
    """Say how many turns it takes until an effect can be seen, before a team starts."""
    from rich.table import Table

    from orchestration.learning.proof.power import Design, units_to_see
    from orchestration.learning.proof.power import plan as planned

    design = Design(base_rate=base_rate, subjects=subjects, units=units, holdout=holdout, turns=turns)
    rows = planned(design, tuple(lift) if lift else (0.05, 0.10, 0.20, 0.30)).to_dicts()
    table = Table(
        "true lift",
        "lift over the holdout is seen",
        "a better policy is promoted",
        "one that must learn first",
        "units",
    )
    for row in rows:
        turns_ = [
            f"after {row[name]} turn{'s' * (row[name] > 1)}" if row[name] else "not within 2 years of weeks"
            for name in row
            if "turns" in name
        ]
        table.add_row(f"{row['lift']:.0%}", *turns_, f"{row['units']:,}" if row["units"] else "")
    console().print(table)
    typer.echo(
        "Turns after which the effect is seen with a probability of 80 %, at a one-sided level of 5 % over all looks."
    )
    most = Settings().planned_lift
    typer.echo(
        f"Nothing is promoted before {units_to_see(base_rate, most):,.0f} units were compared: what it takes to see a "
        f"lift of {most:.0%}, the largest to be believed (FLYWHEEL_PLANNED_LIFT)."
    )


@app.command()
def rollback(
    loop: Annotated[str, typer.Argument(help="Loop, such as content.")],
    reason: Annotated[str, typer.Option(help="Why; kept in the record.")],
    to: Annotated[
        str | None, typer.Option(help="Version to return to; the champion before this one by default.")
    ] = None,
) -> None:
    """Take the champion back. The next turn obeys; the record is kept."""
    from orchestration.home_lock import home_locked
    from orchestration.registry.champions import roll_back
    from orchestration.registry.tracking import Tracking

    settings = Settings()
    if not reason.strip():
        raise ValueError("A rollback is kept with its reason: give one with --reason.")
    loop = named_loop(loop)
    with home_locked(settings.root, f"rollback of {loop}", typer.echo):
        before, after = roll_back(open_warehouse(), Tracking(settings.root, settings.mlflow_ui), loop, reason, to)
    if before == after:
        typer.echo(f"{loop}-policy/{after} was in force before; nothing changed.")
    else:
        typer.echo(f"{loop}-policy/{after} is in force from the next turn on, in place of {before}.")


@app.command()
def prune(
    keep: Annotated[
        int | None, typer.Option(help="Newest turns to keep whole; FLYWHEEL_KEEP_TURNS by default.", min=1, max=100_000)
    ] = None,
) -> None:
    """Say what goes when only the newest turns are kept. Changes nothing: FLYWHEEL_KEEP_TURNS has it done."""
    from orchestration.retention.pruning import would_go

    settings = Settings()
    most = keep or settings.keep_turns
    if most is None:
        raise ValueError("Say how many turns to keep: --keep, or FLYWHEEL_KEEP_TURNS.")
    typer.echo(would_go(settings, open_warehouse(), most))


@app.command()
def export(
    kind: Annotated[str, typer.Argument(help="sft (winners and edits) or dpo (preference pairs).")],
    loop: Annotated[str | None, typer.Option(help="Loop; may be left out where one loop turns.")] = None,
    folder: Annotated[str, typer.Option(help="Folder to write to.")] = "exports",
) -> None:
    """Write a fine-tuning set as chat-format JSONL; every line is checked first."""
    from orchestration.commands.exporting import export as write
    from orchestration.flywheel_file import every_loop_at

    found, named = every_loop_at(Settings()), named_loop(loop)
    if kind not in ("sft", "dpo"):
        raise ValueError(f"{kind!r} is no kind of set: sft or dpo.")
    exported = write(open_warehouse(), found[named], kind, Path(folder))  # type: ignore[arg-type]
    note = "" if exported.enough else " The endpoint takes no fewer than 10."
    audience = " A simulated audience chose them." if exported.simulated else ""
    typer.echo(f"{exported.lines} lines in {exported.path}.{audience}{note}")


@app.command()
def settings() -> None:
    """Print every setting with its default, as the Markdown table of the README."""
    from orchestration.settings import settings_table

    typer.echo(settings_table())


@app.command()
def demo(
    turns: Annotated[int, typer.Option(help="How many turns.", min=1)] = 4,
    products: Annotated[
        int,
        typer.Option(help="How many products of the catalogue, each in one of three placements.", min=1, max=10_000),
    ] = 21,
    exposures: Annotated[
        int, typer.Option(help="Exposures of the simulated audience in a turn.", min=1, max=100_000_000)
    ] = 150_000,
) -> None:
    """A real retailer's catalogue, a real model and a simulated audience go through four turns."""
    from orchestration.commands.demo import run_demo

    run_demo(Settings(), console(), turns=turns, products=products, exposures=exposures)


@app.command()
def replay(
    form: Annotated[str, typer.Argument(help="Format of the log: upworthy, or tests (your own).")],
    data: Annotated[Path, typer.Option(help="The log: CSV, NDJSON or Parquet, one row for each text tested.")],
    units: Annotated[int, typer.Option(help="Most units that meet a test in a turn.", min=50, max=10**9)] = 1_000,
    turns_in_force: Annotated[int, typer.Option(help="Turns that a test is in force for.", min=1, max=1_000)] = 1,
    home: Annotated[Path, typer.Option(help="Folder to replay in; started over each time.")] = Path("var/replay"),
) -> None:
    """Send logged randomised tests through the flywheel, a week a turn: what would it have been worth?

    A row of the log says `test`, `started_at`, `text`, `units` and `rewards`, and, where only some texts of a test may
    be compared, `comparable`. Outcomes are drawn from the log without replacement, by the shares that each release
    gave; the table at the end holds them against even shares.
    """
    from orchestration.commands.replay import run_replay

    run_replay(home, data, form, console(), units=units, turns_in_force=turns_in_force, seed=Settings().seed)


@app.command()
def up(
    dagster_port: Annotated[int, typer.Option(help="Port of the Dagster UI.", min=1, max=65_535)] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.", min=1, max=65_535)] = 5000,
) -> None:
    """Start the Dagster UI, its daemon and the MLflow UI on 127.0.0.1; Ctrl-C ends all of them."""
    from orchestration.commands.serving import serve

    raise typer.Exit(serve(Settings(), typer.echo, dagster_port=dagster_port, mlflow_port=mlflow_port))


def _tree(chain: "Trace") -> "Tree":
    from rich.markup import escape
    from rich.tree import Tree

    tree = Tree(f"[bold]{escape(chain.what)}[/]")
    for name, value in chain.detail.items():
        tree.add(f"[dim]{escape(name)}[/] {escape(str(value))}")
    for step in chain.behind:
        tree.children.append(_tree(step))
    return tree
