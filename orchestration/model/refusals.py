"""What an endpoint says when it does not answer: its own words, and what they are about.

Here: reading the body of an error in any shape, and the trouble that it means. Pure.
Not here: the connection (endpoint), what is asked again without a refused parameter (capabilities).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.model.foreign_json import Place, parsed, printable, strings, whole
from orchestration.model.troubles import Trouble

WORDS = 300  # characters of an endpoint's own words that are passed on

LONGEST = 50_000  # characters of a body that are read

# Parameters that a request can do without, and how else endpoints write them.
_PARAMETERS = {
    "max_completion_tokens": r"max[-_ ]?completion[-_ ]?tokens",
    "max_tokens": r"max[-_ ]?(?:(?:output|new)[-_ ]?)?tokens",
    "temperature": r"temperature",
    "seed": r"(?:random[-_ ]?)?seed",
    "response_format": r"response[-_ ]?(?:format|schema)|json[-_ ]?(?:schema|object|mode)|structured[-_ ]outputs?",
}
_NAMED = re.compile(
    "(?<![A-Za-z0-9])(?:" + "|".join(f"(?P<{name}>{form})" for name, form in _PARAMETERS.items()) + ")(?![A-Za-z0-9])",
    re.IGNORECASE,
)
# Fields that say where in the request the fault lies: the first ones always, the others when they name a parameter.
_POINTERS = frozenset({"param", "parameter", "loc"})
_HINTS = frozenset(
    {"params", "parameters", "location", "field", "fields", "path", "property", "instancepath", "pointer"}
)
_HINTS |= {"instance_path", "argument", "unsupported_parameter", "name", "key"}
_WHOLE_REQUEST = frozenset({"", "body", "query", "request", "input", "none", "null", "root", "$", "/", "json"})
# Fields that repeat what was sent, in which a parameter stands without fault.
_ECHOES = frozenset({"input", "ctx", "request", "request_body", "requestbody", "prompt", "url", "messages"})
_MESSAGES = frozenset({"message", "msg", "detail", "details", "error", "errors", "description", "reason", "title"})
_MESSAGES |= {"error_description", "error_message", "errormessage"}

_OF_CONTENT = re.compile(
    r"flagged|moderation|content[_ -]?(?:filter|policy|management|violation|safety)|safety (?:system|filter|polic)"
    r"|responsible[_ ]?ai|data_inspection|inappropriate|prohibited content|sensitive (?:content|word)",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context[_ ]length|context[_ ]window|maximum context|too many tokens|too long|string_above", re.IGNORECASE
)
_OUT_OF_QUOTA = re.compile(r"insufficient[_ ](?:quota|balance|funds|credit)|exceeded your current quota|billing", re.I)
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.DOTALL | re.IGNORECASE)

REMEDIES = {
    401: "{} refuses the key ({}). Set OPENAI_API_KEY to a valid one.",
    403: "{} denies access ({}). Ask its operator for it, or set another FLYWHEEL_MODEL.",
    404: "{} knows no such model or path ({}). Check FLYWHEEL_MODEL, and OPENAI_BASE_URL, which often ends in /v1.",
    405: "{} takes no chat requests there ({}). Check OPENAI_BASE_URL, which often ends in /v1.",
    410: "{} no longer has this model or path ({}). Set another FLYWHEEL_MODEL, and check OPENAI_BASE_URL.",
}


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """What an endpoint said. `parameter` is one that it refuses and a request can do without."""

    words: str
    parameter: str | None = None
    of_content: bool = False
    out_of_quota: bool = False


def complaint_in(body: Any, secrets: Iterable[str] = ()) -> Complaint:
    """Read the body of an error: bytes or text, or a document. Never raises; no secret is in the words."""
    if isinstance(body, bytes | str):
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else whole(body)
        try:
            body = parsed(text)
        except ValueError:
            body = _TAGS.sub(" ", text[:LONGEST])
    places = [(place, whole(text)) for place, text in strings(body) if not _ECHOES & {name.lower() for name in place}]
    words = "; ".join(dict.fromkeys(_messages(places)))[:LONGEST] or str(body)[:LONGEST]
    for secret in secrets:
        words = words.replace(secret, "***") if secret else words
    everything = " ".join(text for _, text in places)[:LONGEST]
    of_content = bool(_OF_CONTENT.search(everything))
    return Complaint(
        words=printable(whole(words), WORDS).rstrip(".") or "without a word",
        parameter=None if of_content else _parameter(places, everything),
        of_content=of_content,
        out_of_quota=bool(_OUT_OF_QUOTA.search(everything)),
    )


def _messages(places: Iterable[tuple[Place, str]]) -> Iterator[str]:
    """What is meant to be read; where nothing is, every string there is. A pointer stands before its message."""
    pointing: list[str] = []
    found = False
    for place, text in places:
        if place and place[-1].lower() in _POINTERS:
            pointing.append(printable(text, 80))
        elif (not place or place[-1].lower() in _MESSAGES) and text.strip():
            yield f"{'.'.join(pointing)}: {text}" if pointing and place else text
            pointing, found = [], True
    if not found:
        yield from (text for _, text in places if text.strip())


def _parameter(places: Sequence[tuple[Place, str]], everything: str) -> str | None:
    """The parameter that is refused: the one pointed to; where nothing is pointed to, the first that is named."""
    pointed = [text for place, text in places if place and place[-1].lower() in _POINTERS]
    pointed = [text for text in pointed if text.strip().lower() not in _WHOLE_REQUEST]
    hints = [text for place, text in places if place and place[-1].lower() in _HINTS]
    hints += [name for place, _ in places for name in place if _named(name) and len(name) < 40]  # {"seed": ["unknown"]}
    if named := next((name for text in [*pointed, *hints] if (name := _named(text))), None):
        return named
    return None if pointed or _TOO_LONG.search(everything) else _named(everything)


def _named(text: str) -> str | None:
    """The first parameter that a text names. A word in camel case is told apart as one in snake case."""
    match = _NAMED.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text))
    return match.lastgroup if match else None


def trouble_of(status: int, said: Complaint, address: str = "The endpoint") -> Trouble:
    """What an answer with an HTTP status that is no success means for the one request that it answered."""
    words = f"{status}: {said.words}"
    if said.of_content and 400 <= status < 500:
        return Trouble("content_filter", f"The endpoint's content filter kept the request ({words}).", code=status)
    if status in (402, 429):
        sentence = f"The endpoint takes no more requests now ({words})."
        return Trouble("rate_limited", sentence, lasting=said.out_of_quota, code=status)
    if status == 408:
        return Trouble("timeout", f"The endpoint gave up waiting ({words}).", code=status)
    if status >= 500 or status == 409:
        return Trouble("server_error", f"The endpoint failed ({words}).", parameter=said.parameter, code=status)
    if status in REMEDIES and said.parameter is None:
        return Trouble("rejected", REMEDIES[status].format(address, words), access=True, code=status)
    if status < 400:
        sentence = f"{address} sends the request on to elsewhere ({words}). Set OPENAI_BASE_URL to where it is served."
        return Trouble("rejected", sentence, access=True, code=status)
    sentence = f"The endpoint finds the request invalid ({words})."
    return Trouble("rejected", sentence, parameter=said.parameter, code=status)
