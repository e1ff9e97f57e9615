"""The local model, served on loopback by a child process that ends with this one.

Here: starting the server on a free port, its health, and how many of them there are.
Not here: which models there are and where their weights come from (local_weights); calling one (endpoint), which is
the same as calling any other.

The figures behind the options (two shared cores): one thread and no more, because threads that outnumber idle cores
cost a factor of five; logits of the last token only, which saves 120 MB; no flash attention, with which a text depends
on what the prompt cache held before. A second server on a second idle core makes 165 tokens/s of 89; on a busy machine
it makes nothing, so how many there are is decided by what is idle when they start.
"""

import atexit
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from functools import cache
from pathlib import Path
from typing import IO

from orchestration.model.local_weights import LOCAL_MODELS, LocalModel, weights_of
from orchestration.model.troubles import EndpointRefused

CONTEXT_TOKENS = 4096
BATCH_TOKENS = 256  # the server keeps a number for every word of the vocabulary and token of a batch
MOST_SERVERS = 2
START_SECONDS = 60.0
_SERVER = Path(__file__).with_name("local_process.py")
# Its settings also come from the environment under bare names such as MODEL and CACHE, so it gets only what it needs.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")


class LocalServer:
    """One server process. `url` is its address and `key` what it wants as API key, so that nobody else can use it."""

    def __init__(
        self, model: LocalModel, process: "subprocess.Popen[bytes]", url: str, key: str, output: IO[bytes]
    ) -> None:
        self._model, self._process, self._output = model, process, output
        self.url, self.key = url, key

    @classmethod
    def start(cls, model: LocalModel) -> "LocalServer":
        """Start a server; it loads the model while this returns. Raises EndpointRefused when it is not installed."""
        weights = weights_of(model)
        key, port, output = secrets.token_hex(16), _free_port(), tempfile.TemporaryFile()  # noqa: SIM115 - see stop
        options = {
            "model": weights,
            "model_alias": model.served_as,
            "host": "127.0.0.1",
            "port": port,
            "n_threads": 1,
            "n_threads_batch": 1,
            "n_ctx": CONTEXT_TOKENS,
            "n_batch": BATCH_TOKENS,
            "logits_all": "false",
            "flash_attn": "false",
            "cache": "true",
            "verbose": "false",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | {"API_KEY": key}
        process = subprocess.Popen(
            [sys.executable, "-P", str(_SERVER), *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        return cls(model, process, f"http://127.0.0.1:{port}/v1", key, output)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Return when it answers. Raises EndpointRefused, with its last words, when it ends or takes too long."""
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if not self.alive:
                raise EndpointRefused(f"The local model's server ended: {self._last_words()} {self._model.remedy}")
            if time.monotonic() > until:
                self.stop()
                raise EndpointRefused(
                    f"The local model's server is not ready after {START_SECONDS:g} s. {self._model.remedy}"
                )
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def _answers(self) -> bool:
        asking = urllib.request.Request(f"{self.url}/models", headers={"Authorization": f"Bearer {self.key}"})
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(asking, timeout=2) as answer:
                return json.load(answer)["data"][0]["id"] == self._model.served_as
        except (OSError, ValueError, LookupError):
            return False

    def _last_words(self) -> str:
        self._output.seek(0)
        return " ".join(self._output.read().decode(errors="replace").split())[-400:]


class LocalServers:
    """The servers of a model in this process: started on first use, one or two, and again when one has died."""

    def __init__(self, model: LocalModel) -> None:
        self._model = model
        self._servers: list[LocalServer] = []
        self._lock = threading.Lock()
        atexit.register(self.stop)

    def ready(self) -> list[LocalServer]:
        """Servers that answer. Blocks for a second or so the first time. Raises EndpointRefused."""
        with self._lock:
            if not self._servers or not all(server.alive for server in self._servers):
                self._stop()
                self._servers = [LocalServer.start(self._model) for _ in range(min(MOST_SERVERS, max(1, idle_cores())))]
                for server in self._servers:
                    server.wait_until_ready()
            return list(self._servers)

    def stop(self) -> None:
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        while self._servers:
            self._servers.pop().stop()


@cache
def local_servers(name: str) -> LocalServers:
    """The servers of a model of LOCAL_MODELS that all turns of this process share: a start takes a second or more, and
    as much memory as the model's file."""
    return LocalServers(LOCAL_MODELS[name])


def idle_cores(seconds: float = 0.25) -> int:
    """Cores that had nothing to do just now, of those that we may use; 1 where the system does not say."""
    try:
        idle_before, all_before = _cpu_times()
        time.sleep(seconds)
        idle, total = _cpu_times()
        usable = len(os.sched_getaffinity(0))
    except (OSError, AttributeError, ValueError):
        return 1
    elapsed = max(total - all_before, 1)
    return min(usable, round((idle - idle_before) / elapsed * (os.cpu_count() or 1)))


def _cpu_times() -> tuple[int, int]:
    """Idle and total ticks of all cores since boot."""
    ticks = [int(count) for count in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return ticks[3] + ticks[4], sum(ticks[:8])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
