"""The command `flywheel`.

Here: commands, their options, and how what they find is printed.
Not here: the work itself (driver, lineage, report, doctor, reviewing, demo).
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.tree import Tree

    from orchestration.lineage import Trace
    from orchestration.resources.landing import Landing
    from orchestration.resources.warehouse import Warehouse

app = typer.Typer(no_args_is_help=True, help="Turn the generative growth flywheel, and ask it what it did.")
review = typer.Typer(no_args_is_help=True, help="Decide on what waits for a person.")
app.add_typer(review, name="review")

Candidate = Annotated[str, typer.Argument(help="Candidate, as `flywheel review list` shows it.")]
Reason = Annotated[str | None, typer.Option(help="Why, in your words.")]
Reviewer = Annotated[str | None, typer.Option(help="Who decides; your user name by default. Stored as a pseudonym.")]


@app.command()
def turn(
    key: Annotated[str, typer.Argument(help="First day of the turn, such as 2026-01-05.")],
    produce: Annotated[bool, typer.Option("--produce", help="Only up to the releases.")] = False,
    learn: Annotated[bool, typer.Option("--learn", help="Only from the events to the promotion.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what the model would be asked; ask nothing.")] = False,
) -> None:
    """Run one turn in one process, with progress: produce and, once its window has closed, learn."""
    from orchestration.driver import Flywheel

    wheel = Flywheel(Settings(), tell=lambda line: typer.echo(line))
    with _plain_errors():
        if dry_run:
            for line in wheel.plan(key):
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
    from orchestration.driver import Flywheel

    with _plain_errors():
        Flywheel(Settings(), tell=lambda line: typer.echo(line)).ingest()


@app.command()
def status() -> None:
    """Print the turns, their lifts over the holdout, and the champions."""
    from orchestration.report import turn_lines, turn_table

    with _plain_errors():
        lines = turn_lines(_warehouse())
    if not lines:
        typer.echo("No turn has been released yet: `flywheel turn 2026-01-05`, or `make demo`.")
        return
    _console().print(turn_table(lines, "turns"))


@app.command()
def trace(
    identity: Annotated[str, typer.Argument(help="Exposure, variant, candidate, brief, release, policy or KPI row.")],
) -> None:
    """Print the whole chain behind a number or a text.

    An identity is any of the warehouse, `content-policy/3` for a policy, or a KPI row such as
    `momentum/content/2026-01-12` or `variant_readouts/content/2026-01-12/SUBJECT/VARIANT`.
    """
    from orchestration.lineage import trace as chain

    with _plain_errors():
        _console().print(_tree(chain(_warehouse(), identity)))


@app.command()
def doctor() -> None:
    """Check the set-up, and name the remedy for whatever is wrong. Changes nothing; exits 1 if a turn cannot run."""
    from rich.table import Table

    from orchestration.definitions import declared_loops
    from orchestration.doctor import findings

    settings = Settings()
    table = Table("check", "", "found", "remedy", show_lines=True)
    failed = False
    for finding in findings(settings, declared_loops(settings), _landing()):
        mark = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "fails": "[red]fails[/]"}[finding.state]
        table.add_row(finding.check, mark, finding.found, finding.remedy if finding.state != "ok" else "")
        failed |= finding.state == "fails"
    _console().print(table)
    raise typer.Exit(1 if failed else 0)


@app.command()
def settings() -> None:
    """Print every setting with its default, as the Markdown table of the README."""
    from orchestration.settings import settings_table

    typer.echo(settings_table())


@app.command()
def demo(
    turns: Annotated[int, typer.Option(help="How many turns.")] = 4,
    products: Annotated[
        int, typer.Option(help="How many products of the catalogue, each in one of three placements.")
    ] = 48,
    exposures: Annotated[int, typer.Option(help="Exposures of the simulated audience in a turn.")] = 60_000,
) -> None:
    """A real retailer's catalogue, a real model and a simulated audience go through four turns."""
    from orchestration.demo import run_demo

    with _plain_errors():
        run_demo(Settings(), _console(), turns=turns, products=products, exposures=exposures)


@app.command()
def up(
    dagster_port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.")] = 5000,
) -> None:
    """Start the Dagster UI, its daemon and the MLflow UI on 127.0.0.1; Ctrl-C ends all of them."""
    from orchestration.serving import serve

    with _plain_errors():
        raise typer.Exit(serve(Settings(), typer.echo, dagster_port=dagster_port, mlflow_port=mlflow_port))


@review.command("list")
def review_list() -> None:
    """Print what waits for a person, with what the guards said."""
    from rich.table import Table

    from orchestration.reviewing import waiting

    with _plain_errors():
        queue = waiting(_warehouse())
    if not queue:
        typer.echo("Nothing waits for a person.")
        return
    table = Table("candidate", "turn", "subject", "original", "text", "why it waits", show_lines=True)
    for row in queue:
        table.add_row(
            *(str(row[name] or "") for name in ("candidate_id", "turn", "subject_id", "original", "text", "reason"))
        )
    _console().print(table)
    typer.echo(f"{len(queue)} wait: `flywheel review approve|edit|reject CANDIDATE`.")


@review.command()
def approve(candidate: Candidate, reason: Reason = None, reviewer: Reviewer = None) -> None:
    """Let a candidate go out as it is, with the next turn."""
    _decide(candidate, "approve", reason=reason, reviewer=reviewer)


@review.command()
def edit(
    candidate: Candidate,
    text: Annotated[str, typer.Option(help="The text to release instead.")],
    reason: Reason = None,
    reviewer: Reviewer = None,
) -> None:
    """Let a better text go out, with the next turn."""
    _decide(candidate, "edit", text=text, reason=reason, reviewer=reviewer)


@review.command()
def reject(candidate: Candidate, reason: Reason = None, reviewer: Reviewer = None) -> None:
    """Keep a candidate from going out."""
    _decide(candidate, "reject", reason=reason, reviewer=reviewer)


def _decide(candidate: str, decision: str, **options: Any) -> None:
    from orchestration.reviewing import land_decision

    with _plain_errors():
        path = land_decision(_warehouse(), _landing(), candidate, decision, **options)
    typer.echo(f"Landed {path.name}; the next turn takes it in.")


def _warehouse() -> "Warehouse":
    from orchestration.resources.warehouse import Warehouse

    settings = Settings()
    return Warehouse(settings.warehouse_path, settings.lock_timeout_s)


def _landing() -> "Landing":
    from orchestration.resources.landing import Landing
    from orchestration.resources.pseudonyms import Pseudonyms

    settings = Settings()
    return Landing(settings.landing, _warehouse(), Pseudonyms.of(settings), settings)


def _tree(chain: "Trace") -> "Tree":
    from rich.markup import escape
    from rich.tree import Tree

    tree = Tree(f"[bold]{escape(chain.what)}[/]")
    for name, value in chain.detail.items():
        tree.add(f"[dim]{escape(name)}[/] {escape(str(value))}")
    for step in chain.behind:
        tree.children.append(_tree(step))
    return tree


def _console() -> "Console":
    from rich.console import Console

    return Console(soft_wrap=False)


class _plain_errors:
    """Turns the errors that name a remedy into one message and exit code 1; any other keeps its traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        from orchestration.driver import TurnFailedError
        from orchestration.resources.warehouse import WarehouseBusyError

        if isinstance(error, TurnFailedError | WarehouseBusyError | ValueError | LookupError | FileNotFoundError):
            typer.secho(str(error), fg="red", err=True)
            raise typer.Exit(1) from error
