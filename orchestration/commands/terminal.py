"""What commands share: where things are kept, the terminal, and errors that a person can read.

Here: opening the warehouse and the landing folder of the settings; printing; turning errors into one message.
Not here: any command (cli, review).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from orchestration.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from orchestration.landing.folder import Landing
    from orchestration.landing.outbox import Outbox
    from orchestration.warehouse.protocol import Warehouse

FILE_WIDTH = 120  # columns where the output is no terminal that could tell


def open_warehouse() -> "Warehouse":
    from orchestration.warehouse.engines import open_warehouse as opened

    return opened(Settings())


def open_landing() -> "Landing":
    from orchestration.landing.folder import Landing
    from orchestration.landing.pseudonyms import Pseudonyms

    settings = Settings()
    return Landing(settings.landing, open_warehouse(), Pseudonyms.of(settings), settings)


def open_outbox() -> "Outbox":
    from orchestration.landing.addressees import Addressees
    from orchestration.landing.outbox import Outbox

    settings = Settings()
    return Outbox(settings.outbox, Addressees(settings.addressees_path, settings.lock_timeout_s))


def console() -> "Console":
    import sys

    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else FILE_WIDTH)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Errors that name a remedy, and what the machine refuses, become one message and exit code 1; any other keeps its
    traceback."""
    from orchestration.graph.driver import TurnFailedError
    from orchestration.landing.manifest import RefusedFilesError
    from orchestration.machine import machine_trouble
    from orchestration.registry.moved import RegistryError
    from orchestration.warehouse.protocol import WarehouseError

    known = (
        TurnFailedError,
        RefusedFilesError,
        WarehouseError,
        RegistryError,
        ValueError,
        LookupError,
        FileNotFoundError,
    )
    try:
        yield
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")):  # an end that was asked for, or wrong arguments
            raise
        said = machine_trouble(error) or (str(error) if isinstance(error, known) else None)
        if said is None:
            raise
        typer.secho(said, fg="red", err=True)
        raise typer.Exit(1) from error


class PlainErrorsGroup(TyperGroup):
    """Commands that tell what went wrong in one message, whichever of them it was."""

    def invoke(self, ctx: Any) -> Any:
        with plain_errors():
            return super().invoke(ctx)


def only_loop() -> str:
    """The loop that turns in this home. Raises ValueError, naming them, where several do."""
    from orchestration.flywheel_file import loops_at

    names = [loop.name for loop in loops_at(Settings())]
    if len(names) > 1:
        raise ValueError(f"Several loops turn here ({', '.join(names)}): name one with --loop.")
    return names[0]
