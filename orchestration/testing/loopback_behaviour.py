"""How the loopback endpoint may answer, and what it remembers.

Here: its good and bad days as options, and counts by content. Not here: serving (loopback).
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Messages = Sequence[dict[str, str]]
FATES: tuple[str, ...] = ("rate_limited", "server_error", "hangs", "drops", "breaks_off", "garbles")
FATES += ("broken_json", "cut_off", "filtered", "refused")


def echo(messages: Messages) -> str:
    """A text that depends on the last message alone, so that a test can tell whose answer it got."""
    return f"Answer to: {' '.join(messages[-1]['content'].split())}"


@dataclass
class Behaviour:
    """How the endpoint answers. Shares are of requests; the same content asked for the nth time always meets the
    same fate, so a run can be repeated. May be changed while the server runs."""

    latency_s: float = 0.0
    slots: int = 64  # requests answered at once; further ones queue
    rate_limited: float = 0.0  # share answered 429
    retry_after_s: float | None = None  # Retry-After sent with a 429 or 500
    quota_used_up: bool = False  # every 429 says `insufficient_quota`
    server_error: float = 0.0  # share answered 500
    hangs: float = 0.0  # share never answered
    drops: float = 0.0  # share whose connection is closed without an answer
    breaks_off: float = 0.0  # share whose connection is closed in the middle of the answer
    garbles: float = 0.0  # share answered with something that is no HTTP
    broken_json: float = 0.0  # share of structured answers cut in the middle, though `finish_reason` says stop
    cut_off: float = 0.0  # share with finish_reason `length`
    filtered: float = 0.0  # share with finish_reason `content_filter`
    refused: float = 0.0  # share with a refusal in place of content
    fails_at_most: int | None = None  # how often one content may meet a bad fate
    dies_after: int | None = None  # answers after which the server is gone for good
    holds_after: int | None = None  # answers after which it accepts requests and never answers
    unauthorised_after: int | None = None  # answers after which the key is refused
    key: str | None = None  # key that is demanded
    models: tuple[str, ...] = ("loopback",)
    structured: Literal["json_schema", "json_object", "ignored", "rejected", "broken"] = "json_schema"
    refuses_parameters: tuple[str, ...] = ()  # parameters answered with a 400 that names them
    longest_prompt: int | None = None  # characters above which a request is a 400
    reports_usage: bool = True
    offers_batches: bool = False
    batch_looks: int = 1  # how often a batch is seen running before it has ended
    reshaped: Callable[[dict[str, Any], int, Any], tuple[int, Any]] | None = None
    """Makes another answer (status, document or bytes) of the body of a chat request and its answer."""
    listed: Any = None  # what /models answers in place of a list as OpenAI has it, a document or bytes
    moved_to: str | None = None  # where chat requests are redirected
    batch_file: Callable[[str, bytes], bytes] | None = None  # makes another of a batch's `output` or `error` file
    text: Callable[[Messages], str] = echo
    seed: int = 0


@dataclass
class Counts:
    """What was asked and answered. `answered` counts what was delivered in full, by content: what a provider bills."""

    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    fates: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0

    @property
    def paid_twice(self) -> list[str]:
        return [content for content, times in self.answered.items() if times > 1]

    def as_json(self) -> dict[str, Any]:
        return {
            "asked": self.asked.total(),
            "answered": self.answered.total(),
            "contents": len(self.answered),
            "paid_twice": len(self.paid_twice),
            "most_in_flight": self.most_in_flight,
            "fates": dict(self.fates),
        }


def content_of(body: dict[str, Any]) -> str:
    """Identity of a request: what it says, not who sends it."""
    kept = {name: value for name, value in body.items() if name != "safety_identifier"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]
