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

UsageError: Any = typer.BadParameter.__base__  # typer gives it no name of its own
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
    """An error for a person becomes one message and exit code 1; wrong arguments one line and 2; a bug says that it is
    one and where its traceback lies, and exits with 70."""
    from orchestration.commands.errors import BUG, bug_told, told

    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help
            raise
        _say(_usage(error))
        raise typer.Exit(2) from error
    except Exception as error:
        said = told(error)
        _say(said or bug_told(error))
        raise typer.Exit(1 if said else BUG) from error


class PlainErrorsGroup(TyperGroup):
    """Commands that tell what went wrong in one message, whichever of them it was."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with plain_errors():
            for each in args:
                if not each.isascii() and each.encode("utf-8", "replace").decode() != each:
                    raise typer.BadParameter(f"{each!r} is no text in UTF-8.")
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with plain_errors():
            return super().invoke(ctx)


def _usage(error: Any) -> str:
    """What is wrong with the arguments of a command, and where it is said which it takes."""
    from orchestration.commands.errors import one_line

    command = error.ctx.command_path if error.ctx else "flywheel"
    return f"{one_line(error.format_message()).rstrip('.')}. `{command} --help` says what it takes."


def _say(message: str) -> None:
    typer.secho(message, fg="red", err=True)


def named_loop(name: str | None) -> str:
    """The loop of that name, or without one the only loop that turns in this home.

    Raises LookupError, naming those found, for a name that is none of them, and ValueError where several turn.
    """
    from orchestration.flywheel_file import every_loop_at, loops_at

    if name is not None:
        if name not in (found := every_loop_at(Settings())):
            raise LookupError(f"There is no loop {name!r}; the loops found are {', '.join(sorted(found))}.")
        return name
    names = [loop.name for loop in loops_at(Settings())]
    if len(names) > 1:
        raise ValueError(f"Several loops turn here ({', '.join(names)}): name one with --loop.")
    return names[0]
