"""What the wheel teaches a model: fine-tuning sets in the chat formats that the OpenAI endpoint takes.

Here: examples from winners, preference pairs from edits and from read-outs, and the check of every line.
Not here: reading the warehouse and writing files (exporting).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

Kind = Literal["sft", "dpo"]
ROLES = ("system", "user", "assistant")
MOST_BYTES = 512 * 1024 * 1024  # the endpoint's limit of a file
LEAST_LINES = 10  # fewer are refused by the endpoint
Z = 1.96


def supervised(messages: Sequence[Mapping[str, str]], text: str) -> dict[str, Any]:
    """One supervised example: the chat that was sent, answered by the text that did well."""
    return {"messages": [*map(dict, messages), {"role": "assistant", "content": text}]}


def preference(messages: Sequence[Mapping[str, str]], better: str, worse: str) -> dict[str, Any]:
    """One preference pair for direct preference optimisation."""
    return {
        "input": {"messages": [dict(message) for message in messages]},
        "preferred_output": [{"role": "assistant", "content": better}],
        "non_preferred_output": [{"role": "assistant", "content": worse}],
    }


def preferred_pairs(
    subjects: Sequence[str], units: Sequence[float], rewards: Sequence[float], z: float = Z
) -> list[tuple[int, int]]:
    """(better, worse) indices of texts of the same subject whose rates differ by more than `z` standard errors.

    Two-proportion z-test with the pooled rate; at most one pair a subject, the clearest.
    """
    met, earned = np.asarray(units, dtype=float), np.asarray(rewards, dtype=float)
    by_subject: dict[str, list[int]] = {}
    for index, subject in enumerate(subjects):
        if met[index] > 0:
            by_subject.setdefault(subject, []).append(index)
    pairs = []
    for own in by_subject.values():
        best = max(own, key=lambda index: earned[index] / met[index])
        worst = min(own, key=lambda index: earned[index] / met[index])
        pooled = (earned[best] + earned[worst]) / (met[best] + met[worst])
        error = np.sqrt(pooled * (1 - pooled) * (1 / met[best] + 1 / met[worst])) if 0 < pooled < 1 else np.inf
        if earned[best] / met[best] - earned[worst] / met[worst] > z * error:
            pairs.append((best, worst))
    return pairs


def problems(line: str, kind: Kind) -> Iterator[str]:
    """What is wrong with a line of a fine-tuning file, in words; nothing when the endpoint would take it."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        yield f"is no JSON: {error}"
        return
    if not isinstance(value, dict):
        yield "is no object"
    elif kind == "sft":
        yield from _chat(value.get("messages"), ends_with="assistant")
    else:
        yield from _chat((value.get("input") or {}).get("messages"), ends_with="user")
        for side in ("preferred_output", "non_preferred_output"):
            yield from (f"{side} {problem}" for problem in _chat(value.get(side), ends_with="assistant"))
            if isinstance(value.get(side), list) and len(value[side]) != 1:
                yield f"{side} must be one message"
        if value.get("preferred_output") == value.get("non_preferred_output"):
            yield "prefers a text over itself"


def _chat(messages: object, ends_with: str) -> Iterator[str]:
    if not isinstance(messages, list) or not messages:
        yield "has no messages"
        return
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            yield f"message {number} has no role of {ROLES}"
        elif not isinstance(message.get("content"), str) or not message["content"].strip():
            yield f"message {number} is empty"
    if isinstance(messages[-1], dict) and messages[-1].get("role") != ends_with:
        yield f"must end with the {ends_with}"
