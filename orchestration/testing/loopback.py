"""An OpenAI-compatible endpoint on loopback that can have a bad day, and remembers what it was asked.

Here: chat completions and models over plain HTTP/1.1, in a thread (`serve`) or in a process of its own
(`python -m orchestration.testing.loopback --port 0`).
Not here: how it can misbehave and what it counts (loopback_behaviour), files and batches (loopback_batches), and
anything a flywheel knows.
"""

import argparse
import asyncio
import contextlib
import hashlib
import importlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from orchestration.testing.loopback_batches import Batches
from orchestration.testing.loopback_behaviour import FATES, Behaviour, Counts, content_of, echo

__all__ = ["Behaviour", "Counts", "Loopback", "content_of", "echo", "serve"]

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


class Loopback:
    """The endpoint. `behaviour` and `counts` may be read and changed from the test's thread."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.counts = Counts()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.keep_bodies = True
        self.url = ""
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.batches = Batches(self)

    async def start(self, port: int = 0) -> None:
        self._slots = asyncio.Semaphore(self.behaviour.slots)
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", port, backlog=1024)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    def die(self) -> None:
        """Close every connection and take no more: what a killed process looks like from outside. In its loop only."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def end(self) -> None:
        self.die()
        if self._connections:
            await asyncio.wait(self._connections, timeout=5)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ", 2)
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
                content = await reader.readexactly(int(headers.get("content-length", 0)))
                answer = await self._answer(method, path, headers, content, reader, writer)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        content: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bytes | None:
        behaviour = self.behaviour
        if path == "/counts":
            return _response(200, self.counts.as_json())
        if path == "/reset":
            self.counts = Counts()
            return _response(200, {})
        if self.keep_bodies:
            self.headers.append(headers)
        if behaviour.key is not None and headers.get("authorization") != f"Bearer {behaviour.key}":
            given = headers.get("authorization", "").removeprefix("Bearer ")
            return _problem(401, f"Incorrect API key provided: {given}.", code="invalid_api_key")
        if path == "/v1/models" and behaviour.listed is not None:
            return _response(200, behaviour.listed)
        if path == "/v1/models":
            listed = [
                {"id": name, "object": "model", "created": 0, "owned_by": "loopback"} for name in behaviour.models
            ]
            return _response(200, {"object": "list", "data": listed})
        if path.startswith(("/v1/files", "/v1/batches")) and behaviour.offers_batches:
            status, document = self.batches.answer(method, path, content)
            return _response(status, document)
        if path != "/v1/chat/completions" or method != "POST":
            return _problem(404, f"Unknown request URL: {method} {path}.", code="unknown_url")
        if behaviour.moved_to is not None:
            return _response(307, {}, f"location: {behaviour.moved_to}\r\n")
        return await self._chat(json.loads(content), reader, writer)

    async def _chat(
        self, body: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        behaviour, counts, what = self.behaviour, self.counts, content_of(body)
        counts.asked[what] += 1
        counts.in_flight += 1
        counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
        if self.keep_bodies:
            self.bodies.append(body)
        try:
            async with self._slots:
                answered = counts.answered.total()
                if behaviour.dies_after is not None and answered >= behaviour.dies_after:
                    self.die()
                    return None
                if behaviour.holds_after is not None and answered >= behaviour.holds_after:
                    await reader.read(1)  # returns when the client gives up
                    return None
                if behaviour.latency_s:
                    await asyncio.sleep(behaviour.latency_s)
            fate = self.fate(what)
            counts.fates[fate] += 1
            if fate == "hangs":
                await reader.read(1)
            if fate in ("hangs", "drops") or reader.at_eof() or writer.is_closing():
                return None
            status, document = self.complete(body, fate)
            if fate in ("breaks_off", "garbles"):
                writer.write(_response(200, document)[:-20] if fate == "breaks_off" else b"Good day to you.\r\n\r\n")
                return None
            if status == 200:
                counts.answered[what] += 1
            headers = ""
            if status in (429, 500) and behaviour.retry_after_s is not None:
                headers = f"retry-after: {behaviour.retry_after_s}\r\n"
            return _response(status, document, headers)
        finally:
            counts.in_flight -= 1

    def fate(self, what: str) -> str:
        """What happens to this request: drawn from its content and how often it came before."""
        behaviour, times = self.behaviour, self.counts.asked[what]
        if behaviour.unauthorised_after is not None and self.counts.answered.total() >= behaviour.unauthorised_after:
            return "unauthorised"
        if behaviour.fails_at_most is not None and times > behaviour.fails_at_most:
            return "ok"
        digest = hashlib.sha256(f"{behaviour.seed}:{what}:{times}".encode()).hexdigest()
        drawn, upper = int(digest[:13], 16) / 16**13, 0.0
        for fate in FATES:
            upper += getattr(behaviour, fate)
            if drawn < upper:
                return fate
        return "ok"

    def complete(self, body: dict[str, Any], fate: str = "ok") -> tuple[int, Any]:
        """The answer to a chat request, as (status, document)."""
        behaviour = self.behaviour
        status, document = self._usual(body, fate)
        return behaviour.reshaped(body, status, document) if behaviour.reshaped else (status, document)

    def _usual(self, body: dict[str, Any], fate: str) -> tuple[int, dict[str, Any]]:
        behaviour = self.behaviour
        refused = next((name for name in behaviour.refuses_parameters if name in body), None)
        form = body.get("response_format", {}).get("type")
        if fate == "unauthorised":
            return 401, _error("Your key was revoked.", code="invalid_api_key")
        if fate == "rate_limited":
            code = "insufficient_quota" if behaviour.quota_used_up else "rate_limit_exceeded"
            return 429, _error("Rate limit reached.", code=code)
        if fate == "server_error":
            return 500, _error("The server had an error.", code="server_error")
        if refused is not None:
            return 400, _error(f"Unsupported parameter: '{refused}'.", code="unsupported_parameter", param=refused)
        if body.get("model") not in behaviour.models:
            return 404, _error(f"The model `{body.get('model')}` does not exist.", code="model_not_found")
        if form is not None and form != behaviour.structured and behaviour.structured in ("json_schema", "json_object"):
            return 400, _error(f"response_format {form} is not supported.", code="invalid", param="response_format")
        if form is not None and behaviour.structured == "rejected":
            return 400, _error("response_format is not supported.", code="invalid", param="response_format")
        if form is not None and behaviour.structured == "broken":
            return 500, _error("KeyError: schema", code="server_error")
        prompt = "".join(message["content"] for message in body["messages"])
        if behaviour.longest_prompt is not None and len(prompt) > behaviour.longest_prompt:
            return 400, _error("This model's maximum context length is exceeded.", code="context_length_exceeded")
        return 200, self._completion(body, fate, prompt)

    def _completion(self, body: dict[str, Any], fate: str, prompt: str) -> dict[str, Any]:
        behaviour = self.behaviour
        text: str | None = behaviour.text(body["messages"])
        asked = body.get("response_format", {})
        schema = asked.get("json_schema", {}).get("schema") or asked.get("schema")
        if schema is not None and behaviour.structured != "ignored":
            text = _structured(str(text), schema)
        finish = {"cut_off": "length", "filtered": "content_filter"}.get(fate, "stop")
        if fate in ("broken_json", "cut_off"):
            text = str(text)[: len(str(text)) // 2]
        message = {"role": "assistant", "content": text, "refusal": None}
        if fate == "filtered":
            message["content"] = ""
        if fate == "refused":
            message |= {"content": None, "refusal": "I cannot help with that."}
        usage = {"prompt_tokens": len(prompt) // 4 + 1, "completion_tokens": len(text or "") // 4 + 1}
        document = {
            "id": "chatcmpl-loopback",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        }
        if behaviour.reports_usage:
            document["usage"] = usage | {"total_tokens": sum(usage.values())}
        return document


def _structured(text: str, schema: dict[str, Any]) -> str:
    """An object of the schema that carries the text in every string; a text that is such an object stays."""
    with contextlib.suppress(json.JSONDecodeError):
        if isinstance(json.loads(text), dict):
            return text
    blank = {"integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}, "null": None}
    return json.dumps(
        {
            name: kind["enum"][0] if "enum" in kind else blank.get(kind.get("type", "string"), text)
            for name, kind in schema.get("properties", {}).items()
        }
    )


def _error(message: str, code: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def _problem(status: int, message: str, code: str) -> bytes:
    return _response(status, _error(message, code))


def _response(status: int, document: Any, headers: str = "") -> bytes:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\ncontent-type: application/json\r\n{headers}"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode("latin-1") + content


@contextlib.contextmanager
def serve(behaviour: Behaviour | None = None, port: int = 0) -> Iterator[Loopback]:
    """The endpoint in a thread of this process, until the block ends."""
    server, ready = Loopback(behaviour), threading.Event()
    handles: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        over = asyncio.Event()
        handles.append((asyncio.get_running_loop(), over))
        await server.start(port)
        ready.set()
        await over.wait()
        await server.end()

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="loopback", daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("The loopback endpoint did not start.")
    try:
        yield server
    finally:
        loop, over = handles[0]
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        assert not thread.is_alive(), "The loopback endpoint did not end."


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    """The faster loop where it is installed: a server that is measured against should cost its client little."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve an OpenAI-compatible endpoint on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(
        "--text", default="orchestration.testing.loopback:echo", help="module:function from messages to text"
    )
    known = {
        "reshaped",
        "listed",
        "moved_to",
        "batch_file",
        "text",
        "models",
        "refuses_parameters",
        "reports_usage",
        "quota_used_up",
        "offers_batches",
        "structured",
    }
    for option in fields(Behaviour):
        if option.name not in known:
            convert = int if "int" in str(option.type) else str if "str" in str(option.type) else float
            parser.add_argument("--" + option.name.replace("_", "-"), type=convert, default=option.default)
    parser.add_argument("--structured", default="json_schema")
    given = vars(parser.parse_args())
    port, (module, _, function) = given.pop("port"), given.pop("text").partition(":")
    server = Loopback(Behaviour(text=getattr(importlib.import_module(module), function), **given))
    server.keep_bodies = False

    async def run() -> None:
        await server.start(port)
        print(server.url, flush=True)
        await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_event_loop()) as runner:
        runner.run(run())


if __name__ == "__main__":
    main()
