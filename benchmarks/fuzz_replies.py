"""Replies of an endpoint that nobody would think of: what becomes of a turn that gets them.

Here: generating replies, refusals and lists, having each read as a turn reads it, and counting what must not happen.
Not here: the other inputs that are generated (fuzz_*), and the report (fuzz).
"""

import json
import logging
import random
import string
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestration.model.language_model import STATUSES
from orchestration.settings import Settings
from orchestration.testing.asking import KEY, ask, briefs
from orchestration.testing.loopback import Behaviour, Loopback, serve

CHUNK = 250  # replies a turn
SECONDS = 120  # after which a turn of that many is taken to hang
GOOD = 10  # every how many replies one is left as it is
STATUS_CODES: tuple[int, ...] = (200,) * 12
STATUS_CODES += (201, 204, 301, 304, 307, 400, 401, 402, 403, 404, 405, 409, 413, 418, 422, 429, 451)
STATUS_CODES += (500, 501, 502, 503, 529, 599)
NAMES: tuple[str, ...] = ("choices", "message", "content", "text", "type", "refusal", "finish_reason", "usage", "model")
NAMES += ("prompt_tokens", "completion_tokens", "error", "code", "param", "detail", "loc", "msg", "id", "data", "", "a")
WORDS: tuple[str, ...] = ("stop", "length", "error", "SAFETY", "max_tokens", "text", "refusal", "seed", "<think>")
WORDS += (
    "<|channel|>final<|message|>",
    "analysis",
    "◁think▷",
    '{"text": "x"}',
    "```json\n",
    "\ud83d",
    "\x00",
    "[THINK]",
)
WORDS += ("</think>", "Beans.", '{"text": NaN}', "{" * 200, "\\", '"', "“", "Title:", "\u202e", "\ufeff", "1" * 5_000)
WORDS += ("[THINK]", KEY)
NUMBERS = (0, -1, 1, 12, 2**31, 2**63, 2**70, 10**400, 0.5, float("nan"), float("inf"), -0.0, 1e308)
PAID_FOR = ("ok", "parse_failed", "truncated", "refused")  # statuses of a reply that is kept


def fuzz_replies(count: int, seed: int) -> dict[str, int]:
    """Have `count` generated replies answered to briefs, each turn run twice.

    `tracebacks`: turns that raised, though an endpoint's reply may not; `hangs`: turns that took over two minutes;
    `paid_twice`: briefs asked again though their reply was kept, or twice in one run; `lost`: good replies that became
    no answer; `read`: replies that got a status.
    """
    found: Counter[str] = Counter(read=0, tracebacks=0, hangs=0, paid_twice=0, lost=0)
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with tempfile.TemporaryDirectory() as folder, serve(Behaviour(key=KEY)) as server:
            settings = Settings(
                home=Path(folder),
                openai_base_url=server.url,
                openai_api_key=KEY,
                model="loopback",
                structured_output="text",
                max_retries=0,
                request_timeout_s=10,
                max_concurrency=1,  # so that good replies come between bad ones, which alone would be given up on
            )
            ask(settings, briefs(1, start=count))
            for start in range(0, count, CHUNK):
                _timed(settings, server, range(start, min(start + CHUNK, count)), seed, found)
    finally:
        logging.disable(level)
    return dict(found)


def _timed(settings: Settings, server: Loopback, numbers: range, seed: int, found: Counter[str]) -> None:
    def run() -> None:
        try:
            _turn(settings, server, numbers, seed, found)
        except Exception as error:
            found["tracebacks"] += 1
            print(f"replies {numbers.start} to {numbers.stop} of seed {seed}: {type(error).__name__}: {error}"[:500])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    if thread.is_alive():
        found["hangs"] += 1
        print(f"replies {numbers.start} to {numbers.stop} of seed {seed} hang")


def _turn(settings: Settings, server: Loopback, numbers: range, seed: int, found: Counter[str]) -> None:
    """Two runs over the briefs of these numbers."""
    replies = {number: reply_of(seed, number) for number in numbers if number % GOOD}
    server.behaviour.reshaped = lambda body, status, document: _reshaped(replies, body, status, document)
    server.bodies.clear()
    requests = briefs(len(numbers), start=numbers.start)
    first = ask(settings, requests)
    asked_first = Counter(map(number_of, server.bodies))
    server.bodies.clear()
    ask(settings, requests)
    asked_again = Counter(map(number_of, server.bodies))
    found["paid_twice"] += sum(times > 1 for counted in (asked_first, asked_again) for times in counted.values())
    for number, answer in zip(numbers, first, strict=True):
        found["read"] += answer.status in STATUSES
        if number % GOOD == 0 and answer.status != "ok":
            found["lost"] += 1
            print(f"reply {number} of seed {seed} is lost: {answer.error}"[:300])
        found["paid_twice"] += answer.status in PAID_FOR and number in asked_again


def number_of(body: dict[str, Any]) -> int:
    """The number of the brief that a request is for; -1 for what finds out what the endpoint can do."""
    if len(body["messages"]) < 2:
        return -1
    return int(body["messages"][1]["content"].split()[-1])


def _reshaped(
    replies: dict[int, Callable[[Any], tuple[int, Any]]], body: dict[str, Any], status: int, document: Any
) -> tuple[int, Any]:
    change = replies.get(number_of(body))
    return change(document) if change is not None else (status, document)


def reply_of(seed: int, number: int) -> Callable[[Any], tuple[int, Any]]:
    """The change that makes the generated reply of a number out of a usual one: a part of it replaced, all of it, or
    bytes that may be no JSON."""
    chance = random.Random(f"{seed}:{number}")
    kind, status = chance.random(), chance.choice(STATUS_CODES)
    if status == 401:  # the key is refused: that does end a turn
        status = 400
    if kind < 0.6:
        return lambda document: (200, as_bytes(_with_replaced(chance, document)))
    if kind < 0.9:
        content = as_bytes(anything(chance, 5))
        return lambda _: (status, content)
    content = _broken(chance)
    return lambda _: (status, content)


def anything(chance: random.Random, deep: int) -> Any:
    """A JSON value, as Python has it."""
    kind = chance.random()
    if deep and kind < 0.3:
        return {chance.choice(NAMES): anything(chance, deep - 1) for _ in range(chance.randrange(5))}
    if deep and kind < 0.5:
        return [anything(chance, deep - 1) for _ in range(chance.randrange(4))]
    if kind < 0.75:
        return "".join(chance.choice(WORDS) for _ in range(chance.randrange(4)))
    if kind < 0.8:
        return "".join(chr(chance.choice((chance.randrange(0x250), chance.randrange(0x110000)))) for _ in range(12))
    return chance.choice((None, True, False, *NUMBERS))


def _with_replaced(chance: random.Random, document: Any) -> Any:
    """A usual reply in which one to three parts, at any place, are something else or are not there."""
    document = json.loads(json.dumps(document))
    for _ in range(chance.randrange(1, 4)):
        holder, part = None, document
        while isinstance(part, dict | list) and part and (holder is None or chance.random() < 0.75):
            name = chance.choice(list(part)) if isinstance(part, dict) else chance.randrange(len(part))
            holder, part = part, part[name]
        if holder is None:
            continue
        if chance.random() < 0.1:
            del holder[name]
        else:
            holder[name] = anything(chance, 4)
    return document


def as_bytes(document: Any) -> bytes:
    """JSON as a careless endpoint writes it: with NaN, with halves of surrogate pairs, with integers of any length."""
    return json.dumps(document).encode()


def _broken(chance: random.Random) -> bytes:
    deep = chance.choice((10, 100, 1_000, 3_000, 50_000))
    usual = json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}).encode()
    return chance.choice(
        (
            b"[" * deep + b"]" * deep,
            b'{"a":' * deep + b"1" + b"}" * deep,
            b"9" * deep,
            usual[: chance.randrange(len(usual))],
            usual + usual,
            b"\xef\xbb\xbf" + usual,
            usual.decode().encode("utf-16"),
            b"data: " + usual + b"\n\ndata: [DONE]\n\n",
            b"<html><head><title>502</title></head>" + b"<p>" * deep + b"</html>",
            chance.randbytes(chance.randrange(200)),
            "".join(chance.choice(string.printable) for _ in range(chance.randrange(200))).encode(),
            b"",
        )
    )
