"""Which errors are for the person at the terminal, and how they are told.

Here: one message for each such error, one line for wrong arguments, and what is said of a bug.
Not here: catching them (terminal), and what is wrong with a setting (settings_errors).
"""

import dis
import tempfile
import traceback
from pathlib import Path
from types import TracebackType

PACKAGE = Path(__file__).resolve().parents[1]
BUG = 70  # exit code of "internal software error" in sysexits.h, which no wrong argument has
LONGEST_LINE = 500
_SENTENCES = (ValueError, LookupError, FileNotFoundError, PermissionError, NotADirectoryError)


def told(error: BaseException) -> str | None:
    """The message for whoever typed the command; None when the error is a bug, which only a traceback explains.

    For a person are: errors of our own classes; built-in ones that our code raises by a statement, with a sentence; and
    what the machine refuses. What a built-in function raised inside our code, such as a KeyError, is a bug.
    """
    from orchestration.landing.manifest import RowsUnaccountedError
    from orchestration.machine import machine_trouble
    from orchestration.warehouse.protocol import StatementError

    if trouble := machine_trouble(error):
        return printable(trouble)
    if isinstance(error, (StatementError, RowsUnaccountedError)):
        return None
    own = type(error).__module__.split(".")[0] == PACKAGE.name
    if own or (type(error) in _SENTENCES and _raised_by_us(error.__traceback__)):
        return printable(str(error))
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        named = error.filename2 or error.filename
        return one_line(f"{named!r} cannot be used: {error.strerror.lower()}. Name another path, or mend this one.")
    return None


def bug_told(error: BaseException) -> str:
    """What is said of a bug: that it is one, and the file that its traceback was written to."""
    said = one_line(f"{type(error).__name__}: {error}".removesuffix(": ").removesuffix("."))
    report = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", errors="backslashreplace", prefix="flywheel-bug-", suffix=".txt", delete=False
        ) as file:
            file.write(report)
    except OSError:  # nowhere to write: the terminal is what is left
        return f"{printable(report)}\nThis is a bug in the flywheel, not in what you asked for: {said}."
    return f"This is a bug in the flywheel, not in what you asked for: {said}. Please report it with {file.name}."


def one_line(text: str) -> str:
    """`text` on one line, cut where it is longer than anybody reads."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"


def printable(text: str) -> str:
    """`text` as any terminal can print it: halves of characters and control characters are spelled out."""
    spelled = text.encode("utf-8", "backslashreplace").decode()
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in spelled)


def _raised_by_us(trace: TracebackType | None) -> bool:
    """Whether a `raise` statement of this package is where the error comes from."""
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    ours = PACKAGE in Path(code.co_filename).resolve().parents
    return ours and dis.opname[code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
