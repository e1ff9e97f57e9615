"""`flywheel convert`: exports of other systems become files in landing/.

Here: which connector reads the export, where its rows are landed, and what is said of it.
Not here: the exports' forms (connectors), and taking the files in (`flywheel ingest`).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestration.commands.terminal import named_loop
from orchestration.settings import Settings

if TYPE_CHECKING:
    from orchestration.connectors.converted import Converted

convert = typer.Typer(no_args_is_help=True, help="Turn an export of another system into a file to land.")

Export = Annotated[Path, typer.Argument(help="The exported file.", exists=True, dir_okay=False)]
OfLoop = Annotated[str | None, typer.Option("--loop", help="Loop; may be left out where one loop turns.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be landed; write nothing.")]
Exposures = Annotated[
    list[str] | None, typer.Option("--exposure", help="Name of an event that shows a subject; may be repeated.")
]
Outcomes = Annotated[
    list[str] | None, typer.Option("--outcome", help="OUTCOME=EVENT, such as click='Product Clicked'; may be repeated.")
]


@convert.command()
def shopify(file: Export, loop: OfLoop = None, dry_run: DryRun = False) -> None:
    """Products of Shopify (CSV) become subjects, a product in each placement."""
    from orchestration.connectors.shopify_products import convert as converted

    _land(converted(file), f"{named_loop(loop)}/subjects", file, dry_run)


@convert.command()
def ga4(
    file: Export,
    loop: OfLoop = None,
    exposure: Exposures = None,
    outcome: Outcomes = None,
    dry_run: DryRun = False,
) -> None:
    """Google Analytics 4's BigQuery export (JSON) becomes events."""
    from orchestration.connectors import ga4_events

    names = ga4_events.NAMES.changed(exposure or (), outcome or ())
    _land(ga4_events.convert(file, named_loop(loop), names), "events", file, dry_run)


@convert.command()
def segment(
    file: Export,
    loop: OfLoop = None,
    exposure: Exposures = None,
    outcome: Outcomes = None,
    dry_run: DryRun = False,
) -> None:
    """Track calls of Segment or RudderStack (NDJSON) become events."""
    from orchestration.connectors import segment_events

    names = segment_events.NAMES.changed(exposure or (), outcome or ())
    _land(segment_events.convert(file, named_loop(loop), names), "events", file, dry_run)


def _land(found: "Converted", folder: str, file: Path, dry_run: bool) -> None:
    import hashlib

    from orchestration.connectors.converted import write_rows

    if not found.rows and not found.left_out:
        raise ValueError(f"{file.name} holds no record: export it anew.")
    for line in found.lines():
        typer.echo(line)
    if dry_run or not found.rows:
        typer.echo("Nothing was written." if dry_run else "Nothing to land.")
        return
    name = f"{file.stem}-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.ndjson"
    landed = write_rows(found.rows, Settings().landing / folder / name)
    typer.echo(f"Landed as {landed}; `flywheel ingest` or the sensor takes it in.")
