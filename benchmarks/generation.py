"""Generation: 2,000 calls to a loopback endpoint of 64 slots and 200 ms, against the ideal and against bare calls.

Here: `python -m benchmarks.generation`. Not here: the endpoint (orchestration.testing.loopback).

The ideal is calls x latency / slots, with no time for anything else. On both sides half as many requests again as there
are slots are in flight: the endpoint queues them, as servers do, so that no slot waits for its client. The peer is what
a team writes first: one AsyncOpenAI, a semaphore and asyncio.gather, which keeps nothing and counts nothing. Both run
in this process, in turns, against the same server in a process of its own. That the endpoint takes a schema is known
beforehand, as in every turn but the first.
"""

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from benchmarks.report import Row, measured, write
from orchestration.model.language_model import Answer, LanguageModel, Request
from orchestration.settings import Settings

CALLS, SLOTS, LATENCY_S = 2000, 64, 0.2
IN_FLIGHT = 96
IDEAL_S = CALLS * LATENCY_S / SLOTS
REPETITIONS = 5
FAILURES = {"rate-limited": 0.05, "server-error": 0.05}
RETRIES = 4
SYSTEM = "You write product descriptions for a grocer. Use the facts given and nothing else. " * 4


class Description(BaseModel):
    """What is asked for."""

    text: str


@contextlib.contextmanager
def endpoint(**behaviour: float) -> Iterator[str]:
    """The loopback endpoint in a process of its own, until the block ends."""
    options = {"latency-s": LATENCY_S, "slots": SLOTS, **behaviour}
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    server = subprocess.Popen(
        [sys.executable, "-m", "orchestration.testing.loopback", *arguments], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def requests(repetition: int) -> list[Request]:
    """2,000 briefs, new ones in each repetition."""
    return [
        Request(
            brief_id=f"brief-{number}",
            messages=(
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": f"product: number {number}\nbrand: National\nsize: {repetition} oz"},
            ),
            seed=number,
            max_tokens=60,
            temperature=0.7,
            prompt_name="content-description",
            prompt_version=1,
        )
        for number in range(CALLS)
    ]


def ours(url: str, home: Path, repetition: int) -> tuple[float, list[Answer]]:
    model = LanguageModel(
        Settings(
            home=home,
            OPENAI_BASE_URL=url,
            OPENAI_API_KEY="key",
            model="loopback",
            max_concurrency=IN_FLIGHT,
            max_retries=RETRIES,
            usd_per_million_input_tokens=0.1,
            usd_per_million_output_tokens=0.4,
        )
    )
    briefs, started = requests(repetition), time.perf_counter()
    answers = model.answer_all(briefs, Description, text_field="text", turn=f"repetition-{repetition}", loop="content")
    return time.perf_counter() - started, answers


def peer(url: str, repetition: int) -> tuple[float, list[str | BaseException]]:
    """Bare calls, as the SDK's documentation shows them."""
    import openai

    response_format = {
        "type": "json_schema",
        "json_schema": {"name": "Description", "schema": Description.model_json_schema()},
    }

    async def run(briefs: list[Request]) -> list[str | BaseException]:
        slots = asyncio.Semaphore(IN_FLIGHT)
        async with openai.AsyncOpenAI(base_url=url, api_key="key", max_retries=RETRIES) as client:

            async def one(brief: Request) -> str:
                async with slots:
                    completion = await client.chat.completions.create(  # type: ignore[call-overload]
                        model="loopback",
                        messages=brief.messages,
                        seed=brief.seed,
                        max_tokens=brief.max_tokens,
                        temperature=brief.temperature,
                        response_format=response_format,
                    )
                    return Description.model_validate_json(completion.choices[0].message.content or "").text

            return await asyncio.gather(*map(one, briefs), return_exceptions=True)

    briefs, started = requests(repetition), time.perf_counter()
    texts = asyncio.run(run(briefs))
    return time.perf_counter() - started, texts


def counts(url: str, *, reset: bool = False) -> dict:
    with urllib.request.urlopen(url.removesuffix("/v1") + ("/reset" if reset else "/counts")) as answer:
        return json.load(answer)


def undisturbed(home: Path) -> list[Row]:
    mine, theirs, again = [], [], []
    with endpoint() as url:
        ours_warm(url, home)
        for repetition in range(REPETITIONS):
            theirs.append(peer(url, repetition)[0])
            seconds, answers = ours(url, home, repetition)
            assert all(answer.status == "ok" for answer in answers)
            mine.append(seconds)
            counts(url, reset=True)
            seconds, once_more = ours(url, home, repetition)
            assert once_more == answers
            assert counts(url)["asked"] == 0
            again.append(seconds)
            print(f"  {repetition + 1}/{REPETITIONS}: ours {mine[-1]:.2f} s, bare calls {theirs[-1]:.2f} s", flush=True)
    return [
        measured("2,000 calls, 64 slots of 200 ms", mine, "s", peer=IDEAL_S, peer_name="ideal", goal=1.1),
        measured("the same", mine, "s", peer=theirs, peer_name="AsyncOpenAI, semaphore and gather", goal=1.1),
        measured("the same once more, all kept", again, "s", goal=1.0),
    ]


def disturbed(home: Path) -> list[Row]:
    mine, theirs, lost, twice = [], [], 0, 0
    with endpoint(**FAILURES) as url:
        ours_warm(url, home)
        for repetition in range(REPETITIONS):
            theirs.append(peer(url, repetition)[0])
            counts(url, reset=True)
            seconds, answers = ours(url, home, repetition)
            mine.append(seconds)
            seen = counts(url)
            failures = seen["asked"] - seen["answered"]
            missing = [answer for answer in answers if answer.status != "ok"]
            lost += CALLS - len(answers) + sum(answer.error is None for answer in missing)
            lost += seen["contents"] - sum(answer.status == "ok" for answer in answers)
            twice += seen["paid_twice"]
            print(f"  {repetition + 1}/{REPETITIONS}: ours {seconds:.2f} s, {failures} failures met", flush=True)
    what = "10 % answer 429 or 500"
    return [
        measured(what, mine, "s", peer=theirs, peer_name="AsyncOpenAI, semaphore and gather", goal=1.1),
        measured(f"{what}: briefs lost", lost, "briefs", goal=0),
        measured(f"{what}: calls paid for twice", twice, "calls", goal=0),
    ]


def ours_warm(url: str, home: Path) -> None:
    """Find out what the endpoint can do, and load what both sides load."""
    shutil.rmtree(home, ignore_errors=True)
    model = LanguageModel(Settings(home=home, OPENAI_BASE_URL=url, OPENAI_API_KEY="key", model="loopback"))
    model.answer_all(requests(-1)[:1], Description, text_field="text", turn="warm", loop="content")


def main() -> None:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        rows = [*undisturbed(Path(folder) / "calm"), *disturbed(Path(folder) / "rough")]
    write("generation", rows, time.perf_counter() - started)


if __name__ == "__main__":
    main()
