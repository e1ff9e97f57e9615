"""One contained process: what it sees, how it is started, and how it ends for certain.

Here: the command line of bubblewrap, the user a contained process runs as, and `Sandbox`.
Not here: what is exchanged with the process and what it means (watching), and what it does first (inside.confine).
"""

import contextlib
import json
import os
import py_compile
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from orchestration.trials.inside.confine import FOLDER, NOBODY, confine
from orchestration.trials.inside.wire import encode

_PACKAGE = Path(__file__).resolve().parent / "inside"
_IMPORTED_FROM = "/trial"
_LIBRARIES = ("/lib", "/lib64", "/lib32", "/usr/lib", "/usr/lib64")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_SECONDS_TO_START = 30.0
_SECONDS_TO_END = 30.0
# Users that no distribution and no container manager hands out: only trials run as them.
_FIRST_USER, _USERS = 0x70000000, 0x0FFFFFFE


class SandboxError(RuntimeError):
    """A contained process could not be started; the message is bubblewrap's own."""


def interpreter() -> Path:
    """The Python that programs run with: the one that runs this, without its virtual environment."""
    return Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")


def _mounts() -> Iterator[str]:
    """The C library, Python without its packages, four devices and an empty folder, all of it read-only."""
    python = interpreter()
    seen = [path for path in _LIBRARIES if Path(path).exists()]
    read_only = {path: path for path in seen if not Path(path).is_symlink()}
    read_only |= {str(python): str(python.resolve()), f"{sys.base_prefix}/lib": f"{sys.base_prefix}/lib"}
    needed = (*read_only, *_DEVICES, "/etc/ld.so.cache", f"{FOLDER}/file", f"{_inside_folder()}/file")
    folders = {str(parent) for path in needed for parent in Path(path).parents} - {"/"}
    for folder in sorted(folders - set(read_only)):
        if not any(Path(folder).is_relative_to(path) for path in read_only):
            yield from ("--perms", "0755", "--dir", folder)
    for path in sorted(read_only):
        if not any(Path(path) != Path(other) and Path(path).is_relative_to(other) for other in read_only):
            yield from ("--ro-bind", read_only[path], path)
    for path in seen:
        if Path(path).is_symlink():
            yield from ("--symlink", str(Path(path).readlink()), path)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for packages in (f"{sys.base_prefix}/lib/{version}/site-packages", "/usr/lib/python3/dist-packages"):
        if Path(packages).is_dir() and any(Path(packages).is_relative_to(path) for path in read_only):
            yield from ("--tmpfs", packages, "--remount-ro", packages)
    yield from ("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache")
    for device in _DEVICES:
        yield from ("--dev-bind", device, device)


def _inside_folder() -> str:
    """Where the package `inside` lies inside, under the name that it has outside."""
    return f"{_IMPORTED_FROM}/{'/'.join(confine.__module__.split('.')[:-1])}"


@cache
def _compiled() -> dict[str, bytes]:
    """The modules of `inside` as bytecode: compiling them took longer than a small trial, and was done for each."""
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder, "module.pyc")
        modules = {}
        for source in sorted(_PACKAGE.glob("*.py")):
            py_compile.compile(str(source), cfile=str(compiled), doraise=True)
            modules[f"{source.stem}.pyc"] = compiled.read_bytes()
        return modules


def _in_memory(held: contextlib.ExitStack, content: bytes) -> Any:
    """A file without a name that a new process can read from its beginning."""
    file = held.enter_context(os.fdopen(os.memfd_create("trial"), "w+b"))
    file.write(content)
    file.seek(0)
    return file


def _command(info: int, ready: int | None, modules: Mapping[str, int]) -> list[str]:
    user = ["--uid", "0", "--gid", "0"] if ready is not None else ["--uid", str(NOBODY), "--gid", str(NOBODY)]
    return [
        shutil.which("bwrap") or "bwrap",
        # Of its own: users, processes, network, inter-process communication, host name, control groups, mounts.
        *("--unshare-user", "--unshare-all", "--hostname", "trial"),
        *user,
        *("--info-fd", str(info)),
        *(("--userns-block-fd", str(ready)) if ready is not None else ()),
        *("--die-with-parent", "--new-session", "--clearenv"),
        # Else each thread reserves 64 MB of address space, which is what memory is counted in.
        *("--setenv", "MALLOC_ARENA_MAX", "1"),
        # Needed for the last steps from within, which drop them again.
        *("--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN"),
        *(("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID") if ready is not None else ()),
        *_mounts(),
        *(
            argument
            for name, file in modules.items()
            for argument in ("--perms", "0444", "--ro-bind-data", str(file), f"{_inside_folder()}/{name}")
        ),
        *("--remount-ro", "/", "--chdir", "/"),
    ]


class Sandbox:
    """A module of `inside`, running contained from the moment the object is made, until `end`.

    `order` is what it reads on standard input; `pipes` are ends of pipes that it gets, their numbers as arguments; its
    standard output and error both go to `output`. It dies with the thread that made it. Raises SandboxError.
    """

    def __init__(self, module: str, order: Mapping[str, Any], *, pipes: Sequence[IO[bytes]], output: IO[bytes]) -> None:
        package = confine.__module__.rpartition(".")[0]
        call = f"import sys; sys.path.insert(0, {_IMPORTED_FROM!r}); from {package}.{module} import main; main()"
        python = [str(interpreter()), "-I", "-S", "-B", "-u", "-c", call, *(str(end.fileno()) for end in pipes)]
        as_root = os.geteuid() == 0
        with contextlib.ExitStack() as held:
            text = _in_memory(held, encode(order))
            modules = {name: _in_memory(held, code).fileno() for name, code in _compiled().items()}
            info_out, info_in = pipe(held)
            ready_out, ready_in = pipe(held) if as_root else (None, None)
            ready = ready_out.fileno() if ready_out else None
            passed = [
                *(end.fileno() for end in pipes),
                *modules.values(),
                info_in.fileno(),
                *([] if ready is None else [ready]),
            ]
            try:
                self._process = subprocess.Popen(
                    [*_command(info_in.fileno(), ready, modules), "--", *python],
                    stdin=text,
                    stdout=output,
                    stderr=output,
                    pass_fds=passed,
                    env={},
                )
            except OSError as error:
                raise SandboxError(f"bwrap cannot be started: {error}") from error
            info_in.close()
            try:
                first = _first_process(info_out.fileno())
                self._first = os.pidfd_open(first)
            except (SandboxError, OSError) as error:
                self._process.kill()
                self._process.wait()
                raise SandboxError(str(error)) from error
            if ready_in is not None:
                try:
                    _map_users(first)
                    ready_in.write(b"1")
                except OSError as error:
                    self.end()
                    raise SandboxError(f"the users of the containment cannot be mapped: {error}") from error

    def returned(self, within: float) -> int | None:
        """The exit status, 128 and more for a signal; None where it still runs after `within` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(within)
        return None

    def end(self) -> None:
        """Kill every process of the containment, and return once there is none.

        The kernel ends a namespace of processes with its first, and lets that one go only when all others have gone.
        """
        if self._first < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._first, signal.SIGKILL)
        os.close(self._first)
        self._first = -1
        self._process.wait(_SECONDS_TO_END)


def pipe(held: contextlib.ExitStack) -> tuple[IO[bytes], IO[bytes]]:
    """The two ends of a pipe, to read from and to write to, unbuffered and closed with `held` at the latest."""
    out, into = os.pipe()
    return held.enter_context(os.fdopen(out, "rb", 0)), held.enter_context(os.fdopen(into, "wb", 0))


def _first_process(info: int) -> int:
    """The process that is number one inside, by its number outside."""
    said = b""
    while b"}" not in said:
        if not select.select([info], [], [], _SECONDS_TO_START)[0]:
            raise SandboxError("bwrap does not start")
        if not (more := os.read(info, 4096)):
            raise SandboxError("bwrap gave up")
        said += more
    return int(json.loads(said)["child-pid"])


def _map_users(first: int) -> None:
    """Let root inside be root for as long as it takes to set up, and nobody inside a user that owns nothing outside."""
    user = _FIRST_USER + secrets.randbelow(_USERS)
    for kind in ("uid_map", "gid_map"):
        Path(f"/proc/{first}/{kind}").write_text(f"0 0 1\n{NOBODY} {user} 1\n")
