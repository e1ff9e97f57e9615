"""Programs that mean harm, and a machine laid out so that harm would show.

Here: `hostile_programs` (kept as data in the folder of that name, a file a family), and `Ground`: planted secrets,
servers that listen, folders that anybody may write to, and what was found to have got through.
Not here: what holds the programs (trials), and what is asserted or measured (tests, benchmarks).
"""

import contextlib
import os
import secrets
import selectors
import socket
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from orchestration.generation.trials import Limits, TrialRequest, TrialResult

_FOLDER = Path(__file__).parent / "hostile_programs"
_LIMITS = Limits(seconds=2.0, memory_mb=128)
_ELSEWHERE = ("/", "/tmp", "/var/tmp", "/dev/shm", "/dev", "/run", "/etc", "/usr/lib", "/home", "/root")
_SECONDS_OF_GRACE = 1.0


@dataclass(frozen=True, kw_only=True)
class HostileProgram:
    """`program` defines `answer()`, which returns `through`, or the planted secret where that is None, if what it
    `tries` came off. `@NAME@` in it stands for something of the ground's."""

    name: str
    family: str
    tries: str
    program: str
    through: str | None = None


@cache
def hostile_programs() -> tuple[HostileProgram, ...]:
    """All of them, by family and in the order of the file."""
    return tuple(
        HostileProgram(name=name, family=path.stem, **program)
        for path in sorted(_FOLDER.glob("*.toml"))
        for name, program in tomllib.loads(path.read_text()).items()
    )


class Ground:
    """A place to run hostile programs from: use it as a context, and ask at the end what got through."""

    def __init__(self) -> None:
        self.secret = f"secret-{secrets.token_hex(16)}"
        self.reached: list[str] = []
        self._began = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._memory_before = _shared_memory()

    def __enter__(self) -> "Ground":
        self._held = contextlib.ExitStack()
        self._folder = Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="ground-")))
        self._folder.chmod(0o755)
        self.home, self.outside = self._folder / "home", self._folder / "outside"
        for folder in (self.home / ".ssh", self.outside):
            folder.mkdir(parents=True)
        self.outside.chmod(0o777)
        for name in ("secret.txt", ".ssh/id_ed25519", ".netrc"):
            (self.home / name).write_text(self.secret)
        os.environ["FLYWHEEL_PSEUDONYM_KEY_OF_THE_GROUND"] = self.secret
        self._held.callback(os.environ.pop, "FLYWHEEL_PSEUDONYM_KEY_OF_THE_GROUND", None)
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._listening.join()
        self._held.close()

    def request(self, hostile: HostileProgram) -> TrialRequest:
        """The trial of one: each of its two tests passes only for a program that got through."""
        program = hostile.program
        for name, value in {
            "SECRET_FILE": str(self.home / "secret.txt"),
            "HOME": str(self.home),
            "OUTSIDE": str(self.outside),
            "PORT": str(self._port),
            "UNIX_SOCKET": str(self._folder / "socket"),
            "ABSTRACT_SOCKET": self._abstract,
            "PARENT": str(os.getpid()),
        }.items():
            program = program.replace(f"@{name}@", value)
        through = hostile.through or self.secret
        tests = (f"assert answer() == {through!r}", f"assert {through!r} in answer()")
        return TrialRequest(program=program, tests=tests, limits=_LIMITS)

    def got_through(self, result: TrialResult) -> str | None:
        """How the program of this result got through, as far as its result can tell."""
        if result.passed_tests or result.score or result.status == "passed":
            return f"{result.passed_tests} tests passed ({result.status})"
        if result.status == "unjudged":
            return f"it kept its tests from being run: {'; '.join(result.failures)}"
        if result.seconds > _LIMITS.seconds + _SECONDS_OF_GRACE:
            return f"it ran for {result.seconds:.1f} s"
        if len(result.output) > _LIMITS.output_kb * 1024:
            return f"{len(result.output)} characters of its output were kept"
        return None

    def left_behind(self) -> list[str]:
        """What all programs together have reached or left: connections, files, shared memory, processes."""
        left = [f"reached {what}" for what in self.reached]
        left += [f"file {path}" for path in self.outside.iterdir()]
        left += [f"file {place}/hostile" for place in _ELSEWHERE if Path(place, "hostile").exists()]
        left += [f"shared memory {number}" for number in _shared_memory() - self._memory_before]
        until = time.monotonic() + 5
        while (processes := self.running()) and time.monotonic() < until:
            time.sleep(0.05)
        return left + [f"process {process}" for process in processes]

    def running(self) -> list[str]:
        """Contained processes that have started since the ground was laid out, and still run."""
        return list(_contained_since(self._began))

    def _listen(self) -> None:
        """Servers on every kind of address that a program on this machine could reach."""
        self._abstract = f"ground-{secrets.token_hex(8)}"
        tcp = socket.create_server(("127.0.0.1", 0))
        self._port = tcp.getsockname()[1]
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", self._port))
        listening = {"tcp": tcp, "udp": udp}
        with contextlib.suppress(OSError):  # a machine without IPv6
            listening["tcp by IPv6"] = socket.create_server(("::1", self._port), family=socket.AF_INET6)
        for name, address in (
            ("unix socket", str(self._folder / "socket")),
            ("abstract socket", f"\0{self._abstract}"),
        ):
            listening[name] = socket.socket(socket.AF_UNIX)
            listening[name].bind(address)
            listening[name].listen()
        (self._folder / "socket").chmod(0o777)
        self._stopping = threading.Event()
        self._listening = threading.Thread(target=self._serve, args=(listening,), daemon=True)
        self._listening.start()

    def _serve(self, listening: dict[str, socket.socket]) -> None:
        with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as held:
            for name, server in listening.items():
                held.enter_context(server)
                waiting.register(server, selectors.EVENT_READ, name)
            while not self._stopping.is_set():
                for key, _ in waiting.select(0.1):
                    self.reached.append(str(key.data))
                    server = listening[str(key.data)]
                    if server.type == socket.SOCK_DGRAM:
                        server.sendto(self.secret.encode(), server.recvfrom(1000)[1])
                    else:
                        connection, _ = server.accept()
                        with connection, contextlib.suppress(OSError):
                            connection.settimeout(1.0)
                            connection.sendall(f"HTTP/1.0 200 OK\r\n\r\n{self.secret}".encode())
                            connection.shutdown(socket.SHUT_WR)
                            connection.recv(65_536)


def _shared_memory() -> set[str]:
    table = Path("/proc/sysvipc/shm")
    return {line.split()[1] for line in table.read_text().splitlines()[1:]} if table.exists() else set()


def _contained_since(began: float) -> Iterator[str]:
    """Processes in another namespace of processes than this one's, that have started since `began`."""
    ours, tick = Path("/proc/self/ns/pid").readlink(), os.sysconf("SC_CLK_TCK")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            started = int((process / "stat").read_text().rpartition(")")[2].split()[19]) / tick
            if (process / "ns/pid").readlink() != ours and started > began:
                yield f"{process.name} {(process / 'cmdline').read_bytes()[-200:]!r}"
