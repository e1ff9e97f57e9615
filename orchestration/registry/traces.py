"""Calls of the language model as MLflow traces: one for each call that was made.

Here: what a trace shows, how much of a prompt it keeps, and writing a turn's traces in one go.
Not here: the calls themselves (model), the table of them (graph.assets.candidates), experiments (tracking).

A trace has the identity of its call, so that a turn which is run again replaces its traces. A reply that an earlier
turn had paid for has its trace there. A user's identity, an endpoint's address and a key are in none of them.
"""

import hashlib
import json
import logging
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from orchestration.generation.calls import Answer, Call, Request

if TYPE_CHECKING:
    from mlflow.entities import Span

log = logging.getLogger(__name__)

Conversation = tuple[Request, Answer]

MESSAGES = 4  # of a chat that are kept: the first, which says what to do, and the last ones
CHARACTERS = 1_500  # of each message and of the answer
_AT_ONCE = 500  # traces in one transaction


def write_traces(uri: str, experiment: str, loop: str, turn: str, conversations: Sequence[Conversation]) -> int:
    """Write the calls that were made for a turn of a loop to an experiment; how many there were.

    Never raises: what can be looked at must not end what it looks at. About two milliseconds a call.
    """
    try:
        from mlflow.tracing.client import TracingClient

        client = TracingClient(uri)
        spans = list(spans_of(loop, turn, conversations))
        for start in range(0, len(spans), _AT_ONCE):
            client.log_spans(experiment, spans[start : start + _AT_ONCE])
    except Exception as problem:
        log.warning("The calls of %s of %s are not traced to MLflow: %s", turn, loop, problem)
        return 0
    return len(spans)


def spans_of(loop: str, turn: str, conversations: Iterable[Conversation]) -> "Iterator[Span]":
    """One span a call; a reply that was kept before is no call."""
    for request, answer in conversations:
        for number, call in enumerate(answer.calls, start=1):
            if not call.cache_hit:
                yield _span(loop, turn, request, call, answer if number == len(answer.calls) else None)


def _span(loop: str, turn: str, request: Request, call: Call, answer: Answer | None) -> "Span":
    """`answer` is there for the last call of a conversation, which decides what comes of it."""
    from mlflow.entities import Span

    name = hashlib.sha256(f"{loop}\x1f{turn}\x1f{call.call_id}".encode()).hexdigest()
    ended = call.called_at + timedelta(seconds=call.latency_s)
    written = {} if answer is None else {"text": _short(answer.text), "error": _short(answer.error)}
    attributes: dict[str, Any] = {
        "mlflow.traceRequestId": f"tr-{name[:32]}",
        "mlflow.spanType": "CHAT_MODEL",
        "mlflow.spanInputs": {"messages": _shortened(request.messages)},
        "mlflow.spanOutputs": {"status": call.status, **{field: value for field, value in written.items() if value}},
        "mlflow.chat.tokenUsage": {
            "input_tokens": call.input_tokens,
            "output_tokens": call.output_tokens,
            "total_tokens": call.input_tokens + call.output_tokens,
        },
        "mlflow.llm.cost": {"total_cost": call.cost_usd},
        "mlflow.llm.model": call.model,
        "session.id": f"{loop} {turn}",
        "prompt": f"{call.prompt_name}/{call.prompt_version}",
        "seed": call.seed,
    }
    tags = {"loop": loop, "turn": turn, "brief_id": call.brief_id, "call_id": call.call_id, "status": call.status}
    attributes |= {f"mlflow.traceTag.{tag}": value for tag, value in tags.items()}
    code, why = ("OK", "") if call.status == "ok" else ("ERROR", (answer.error if answer else None) or call.status)
    return Span.from_dict(
        {
            "trace_id": b64encode(bytes.fromhex(name[:32])).decode(),
            "span_id": b64encode(bytes.fromhex(name[32:48])).decode(),
            "parent_span_id": None,
            "name": call.prompt_name,
            "start_time_unix_nano": round(call.called_at.timestamp() * 1e9),
            "end_time_unix_nano": round(ended.timestamp() * 1e9),
            "events": [],
            "status": {"code": f"STATUS_CODE_{code}", "message": why},
            "attributes": {key: json.dumps(value, ensure_ascii=False) for key, value in attributes.items()},
        }
    )


def _shortened(messages: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """The first message and the last ones, with how many are left out between them."""
    kept = list(messages) if len(messages) <= MESSAGES else [messages[0], *messages[1 - MESSAGES :]]
    short: list[dict[str, Any]] = [{**message, "content": _short(message["content"])} for message in kept]
    if len(kept) < len(messages):
        short[0]["messages_left_out_after_this"] = len(messages) - len(kept)
    return short


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"
