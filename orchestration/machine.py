"""What a machine refuses, in a sentence with its remedy: a full disk, a folder that cannot be written, a damaged file.

Here: reading it off any library's error, however deep it lies.
Not here: what is done about it (the commands print it, a run fails with it; what was kept stays, and goes on).
"""

import errno
import re
from collections.abc import Iterator

_SIGNS = (
    (
        {errno.ENOSPC, errno.EDQUOT, errno.EFBIG},
        r"no space left|disk is full|disk full|disk quota exceeded|file too large|out of disk",
        "There is no room left on the disk{where}: free some, then run this again. What was kept before stays.",
    ),
    (
        {errno.EROFS, errno.EACCES, errno.EPERM},
        r"read-only file system|readonly database|permission denied|operation not permitted|read-only mode",
        "This user may not write{where}: make it writable, then run this again. What was kept before stays.",
    ),
    (
        {errno.EIO},
        r"input/output error|disk i/o error",
        "The disk failed to read or write{where}: free some room if it is full, else have it looked at, then run this "
        "again. What was kept before stays.",
    ),
    (
        {errno.EMFILE, errno.ENFILE},
        r"too many open files",
        "Too many files are open{where}: raise `ulimit -n`, then run this again.",
    ),
    (
        {errno.ENAMETOOLONG},
        r"file name too long",
        "A path is too long for this disk{where}: choose a shorter one.",
    ),
)
_PATH = re.compile(r"""["'](/[^"'\n]+|[A-Za-z]:\\[^"'\n]+)["']""")


def machine_trouble(error: BaseException) -> str | None:
    """What the machine refused, as one sentence; None when the error is of another kind."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno is not None:
            for numbers, _, sentence in _SIGNS:
                if cause.errno in numbers:
                    return sentence.format(where=_at(cause.filename))
    for cause in _causes(error):
        if not isinstance(cause, (KeyboardInterrupt, SystemExit)) and (found := trouble_in(str(cause))):
            return found
    return None


def trouble_in(message: str) -> str | None:
    """The same from the words of an error, where no more of it is left."""
    for _, words, sentence in _SIGNS:
        if re.search(words, message, re.IGNORECASE):
            path = _PATH.search(message)
            return sentence.format(where=_at(path.group(1) if path else None))
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those behind it, each once, those nearest to the machine first."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    yield from reversed(chain)


def _at(path: object) -> str:
    return (
        f" ({path if isinstance(path, str) else path.decode(errors='replace')})"
        if isinstance(path, (str, bytes))
        else ""
    )
