"""Briefs to ask a language model, and the loopback endpoint to ask them of.

Here: what the tests of the language model share; run as a module, for those that kill who asks.
Not here: the endpoint itself (loopback).
"""

import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from orchestration.model.language_model import Answer, LanguageModel, Request
from orchestration.settings import Settings
from orchestration.testing.loopback import Loopback

KEY = "sk-loopback-very-secret-0123456789"
TURN, LOOP = "2026-01-05", "content"


class Copy(BaseModel):
    """What is asked for."""

    text: str = Field(min_length=1)


def briefs(number: int = 12, *, start: int = 0, **changes: Any) -> list[Request]:
    return [
        Request(
            **{
                "brief_id": f"brief-{one}",
                "messages": (
                    {"role": "system", "content": "Write about the product."},
                    {"role": "user", "content": f"product: number {one}"},
                ),
                "seed": 7,
                "max_tokens": 40,
                "temperature": 0.5,
                "prompt_name": "content-description",
                "prompt_version": 1,
                **changes,
            }
        )
        for one in range(start, start + number)
    ]


def ask(settings: Settings, requests: list[Request], *, turn: str = TURN, answer: Any = Copy) -> list[Answer]:
    return LanguageModel(settings).answer_all(requests, answer, text_field="text", turn=turn, loop=LOOP)


def forget_probe(server: Loopback) -> None:
    """Count from here on, the finding out of what the endpoint can do left out."""
    server.counts.asked.clear()
    server.counts.answered.clear()


if __name__ == "__main__":
    url, home, number = sys.argv[1:]
    ask(Settings(home=Path(home), openai_base_url=url, openai_api_key=KEY, max_concurrency=8), briefs(int(number)))
