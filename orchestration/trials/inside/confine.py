"""The last steps into the containment, from within: a folder of a fixed size, limits, and no rights left.

Here: `confine`, called before a line of a program or of its tests is read.
Not here: namespaces and what is mounted (sandbox), the list of refused system calls (system_calls).
"""

from __future__ import annotations

import ctypes
import os
import resource

from orchestration.trials.inside.wire import decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FOLDER = "/trial/folder"
NOBODY = 65534
_MEGABYTE = 2**20
_MS_NOSUID, _MS_NODEV = 2, 4
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_CAPABILITY_VERSION_3 = 0x20080522


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def read_order() -> dict[str, Any]:
    """What to do, read from standard input, which is then empty for ever."""
    with os.fdopen(0, "rb", closefd=False) as pipe:
        order: dict[str, Any] = decode(pipe.read())
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return order


def confine(order: dict[str, Any]) -> None:
    """Mount the working folder, set every limit, drop every right and refuse the rest of the kernel.

    Raises OSError where a step fails: a program is never run with a step left out.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    limits = order["limits"]
    options = f"size={limits['file_mb']}m,nr_inodes={limits['files'] + 1},mode=700"
    tasks = limits["threads"]
    if os.getuid() == 0:
        options += f",uid={NOBODY},gid={NOBODY}"
    else:
        tasks += 1  # the first process of the namespace runs as the same user
    _done(libc.mount(b"tmpfs", FOLDER.encode(), b"tmpfs", ctypes.c_ulong(_MS_NOSUID | _MS_NODEV), options.encode()))
    if os.getuid() == 0:
        # To the kernel this is another user than root, whom the limit on processes would not bind.
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    _done(libc.capset((ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()))
    os.chdir(FOLDER)
    for name, text in order["files"].items():
        if folder := os.path.dirname(name):  # noqa: PTH120 - pathlib would double the start-up time
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        with open(name, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(text)
    for which, most in (
        (resource.RLIMIT_AS, limits["memory_mb"] * _MEGABYTE),
        (resource.RLIMIT_NPROC, tasks),
        (resource.RLIMIT_FSIZE, limits["file_mb"] * _MEGABYTE),
        (resource.RLIMIT_CPU, int(limits["seconds"]) + 2),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, 64),
    ):
        resource.setrlimit(which, (most, most))
    instructions = order["filter"]
    program = _Filter(len(instructions) // 8, instructions)
    _done(libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(program)))


def _done(returned: int) -> None:
    if returned != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
