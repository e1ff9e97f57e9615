"""What goes to the language model and what comes back, as values.

Here: a request, the calls made for it, and the answer with its status.
Not here: how a call is made, kept or read (model).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

STATUSES: Mapping[str, str] = MappingProxyType(
    {
        "ok": "There is an answer that fits the loop's answer model.",
        "parse_failed": "The reply fits no answer, nor did a second reply that was asked for.",
        "truncated": "The reply was cut off at the recipe's max_tokens.",
        "refused": "The model declined to answer.",
        "content_filter": "The endpoint's content filter kept the request or the reply.",
        "rate_limited": "The endpoint still answered 429 after the last retry.",
        "timeout": "No answer came within the time set, on any try.",
        "server_error": "The endpoint still answered 5xx, or no chat completion, after the last retry.",
        "connection_error": "The endpoint could not be reached, or hung up, on every try.",
        "rejected": "The endpoint found this one request invalid, such as a prompt that is too long.",
        "escalated": "Nobody was asked: the subject goes to a person, for the reason that stands with it.",
        "deferred": "Not sent: the budget has no room for it, or its batch is still running.",
    }
)


@dataclass(frozen=True)
class Request:
    """One brief as the model gets it. `user` is who it is written for, if anyone; only a hash of it is sent."""

    brief_id: str
    messages: tuple[dict[str, str], ...]
    seed: int
    max_tokens: int
    temperature: float
    prompt_name: str
    prompt_version: int
    user: str | None = None


@dataclass(frozen=True)
class Call:
    """One call: a row of flywheel.llm_calls without its turn and loop.

    `cost_usd` and the tokens are what this turn and loop paid: zero with `cache_hit`, when another turn, or another
    brief of this one, had paid for the same request. `called_at` is in UTC; for a hit, when the answer was paid.
    """

    call_id: str
    brief_id: str
    prompt_name: str
    prompt_version: int
    model: str
    seed: int
    status: str
    input_tokens: int
    output_tokens: int
    cost_usd: float
    latency_s: float
    cache_hit: bool
    called_at: datetime


@dataclass(frozen=True)
class Answer:
    """What came of one request. `text` and `answer` are there exactly when `status` is `ok`, `error` when it is not.

    `calls` are the calls made for it, in order: none when it was deferred or the endpoint had been given up.
    """

    brief_id: str
    status: str
    text: str | None
    answer: dict | None
    error: str | None
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Plan:
    """What requests would cost. `cached` are answered already; the tokens and dollars are for the other `calls`.

    `usd` is an estimate, `worst_usd` a bound; both count first calls only, no repairs.
    """

    calls: int
    cached: int
    input_tokens: int
    output_tokens: int
    usd: float
    worst_usd: float


def call_id_of(key: str, brief_id: str, attempt: int) -> str:
    """Identity of a call: the content sent, the brief it was for, and its number among the brief's calls from 1."""
    return hashlib.sha256(f"{key}:{brief_id}:{attempt}".encode()).hexdigest()[:16]
