"""A chat completion of any shape, as a status: what was written, how it ended, and what it used.

Here: the only reader of what endpoints answer with 200, single or in a batch, and of their lists of models. Pure.
Not here: answers with an error (refusals), and what the text says (replies).
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestration.model.foreign_json import parsed, printable, whole
from orchestration.model.refusals import complaint_in, trouble_of
from orchestration.model.troubles import Trouble

Ending = Literal["clean", "truncated", "content_filter", "refused", "failed"]

CLEAN = frozenset(
    {
        "stop",  # OpenAI and all that follow it; STOP at Gemini
        "stop_sequence",  # TGI, Anthropic, Cohere
        "end_turn",  # Anthropic
        "eos",  # Together, TensorRT-LLM
        "eos_token",  # TGI
        "complete",  # Cohere
    }
)
"""Documented words for a reply that the model ended by itself, in lower case."""
# Words for the other ends, by what they are about: each endpoint has its own.
_CUT_OFF = re.compile(r"length|max|token|limit|window|truncat|incomplete")
_FILTERED = re.compile(r"filter|safety|sensitive|moderat|block|recitation|prohibit|spii|violat|guardrail|policy")
_REFUSED = re.compile(r"refus|declin")
_LONGEST_NAME, _LONGEST_END = 200, 80
_MOST_TOKENS = 10**9  # what no single call reads or writes: a larger count is no count
_TEXT_PARTS = (None, "text", "output_text")


@dataclass(frozen=True)
class Reply:
    """What a model wrote, as the endpoint reports it. Tokens are None when it reports none that can be meant."""

    model: str
    text: str
    refusal: str | None
    finish_reason: str
    input_tokens: int | None
    output_tokens: int | None


def ending_of(finish_reason: str) -> Ending:
    """How a reply ended. Whatever is not known as a clean end is none: the text may lack its second half."""
    said = re.sub(r"[\s-]+", "_", finish_reason.strip().lower())
    if said in CLEAN:
        return "clean"
    if _FILTERED.search(said):
        return "content_filter"
    if _REFUSED.search(said):
        return "refused"
    return "truncated" if _CUT_OFF.search(said) else "failed"


def reply_in(content: bytes | str) -> Reply:
    """The reply in what an endpoint answered with 200. Raises Trouble, and nothing else."""
    try:
        document = parsed(content)
    except ValueError as problem:
        words = complaint_in(content).words
        raise Trouble("server_error", f"The endpoint answered 200 with no JSON ({problem}): {words}.") from None
    return reply_of(document)


def reply_of(document: Any) -> Reply:
    """The reply in a parsed document; the SDK's models would cost half of a call's time. Raises Trouble."""
    fields = _mapping(document)
    choices = fields.get("choices")
    choice = _mapping(choices[0] if isinstance(choices, list) and choices else None)
    message = choice.get("message")
    if "message" not in choice and "text" in choice:
        message = {"content": choice["text"]}
    if isinstance(message, str):
        message = {"content": message}
    if not isinstance(message, dict):
        if fields.get("error"):
            raise trouble_of(_code_in(fields["error"]), complaint_in(document))
        words = complaint_in(document).words
        raise Trouble("server_error", f"The endpoint answered with something that is no chat completion: {words}.")
    usage = _mapping(fields.get("usage"))
    text, declined = _text_of(message.get("content"))
    return Reply(
        model=_word(fields.get("model"), _LONGEST_NAME),
        text=whole(text),
        refusal=_refusal_of(message.get("refusal")) or declined,
        finish_reason=_word(choice.get("finish_reason"), _LONGEST_END),
        input_tokens=_tokens(usage.get("prompt_tokens", usage.get("input_tokens"))),
        output_tokens=_tokens(usage.get("completion_tokens", usage.get("output_tokens"))),
    )


def models_in(content: bytes | str) -> list[str] | None:
    """Names in a list of models of any form, each once; None where there is no list."""
    try:
        document = parsed(content)
    except ValueError:
        return None
    if isinstance(document, dict):
        holders = (document.get(name) for name in ("data", "models", "result", "items"))
        document = next((holder for holder in holders if isinstance(holder, list | dict)), None)
    if isinstance(document, dict):
        document = [name if isinstance(entry, dict) else entry for name, entry in document.items()]
    if not isinstance(document, list):
        return None
    names = (_model_name(entry) for entry in document)
    return list(dict.fromkeys(name for name in names if name))


def _model_name(entry: Any) -> str:
    if isinstance(entry, dict):
        entry = next((entry[name] for name in ("id", "name", "model", "key") if isinstance(entry.get(name), str)), None)
    return _word(entry, _LONGEST_NAME)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: Any, at_most: int) -> str:
    """A name or a reason: the string itself, or what an object says it is."""
    if isinstance(value, dict):
        value = next((value[name] for name in ("type", "reason", "id", "name") if isinstance(value.get(name), str)), "")
    return printable(whole(value), at_most) if isinstance(value, str) else ""


def _text_of(content: Any) -> tuple[str, str | None]:
    """The text in a message's content, and a refusal among its parts. Parts that are thoughts or images are left out;
    an object that is no part is an answer that the endpoint has parsed already."""
    if isinstance(content, str):
        return content, None
    if isinstance(content, dict) and "type" not in content:
        return json.dumps(content), None
    written, declined = [], None
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            written.append(part)
        elif isinstance(part, dict) and part.get("type") == "refusal":
            declined = _refusal_of(part.get("refusal") or part.get("text") or True)
        elif isinstance(part, dict) and part.get("type") in _TEXT_PARTS:
            text = part.get("text")
            text = text.get("value") if isinstance(text, dict) else text  # as assistants write it
            written.append(text if isinstance(text, str) else "")
    return "".join(written), declined


def _refusal_of(value: Any) -> str | None:
    if not value:
        return None
    return printable(whole(value if isinstance(value, str) else json.dumps(value)), 2_000) or "declined"


def _tokens(value: Any) -> int | None:
    """A number of tokens, also where it came as text; None where it cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if math.isfinite(number) and number.is_integer() and 0 <= number <= _MOST_TOKENS else None


def _code_in(error: Any) -> int:
    """The status that an error inside of a 200 stands for; 502 where it names none."""
    code = _mapping(error).get("code", _mapping(error).get("status"))
    number = _tokens(code)
    return number if number is not None and 400 <= number < 600 else 502
