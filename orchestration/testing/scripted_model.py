"""A language model that a test scripts: it answers every request at once by a function of its messages.

Here: answers and the rows of their calls.
Not here: product copy (instant_model) and endpoints that misbehave (loopback).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import BaseModel

from orchestration.generation.calls import Answer, Call, Request, call_id_of

Script = Callable[[Request], str | Mapping[str, Any]]
"""From a request to a text, or to the fields of an answer."""


@dataclass(frozen=True)
class ScriptedModel:
    """Has the interface of the `LanguageModel` resource."""

    script: Script
    name: str = "scripted"
    capabilities: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def answer_all(
        self,
        requests: Sequence[Request],
        answer: type[BaseModel],
        *,
        text_field: str,
        turn: str,  # noqa: ARG002
        loop: str,  # noqa: ARG002
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Answer]:
        """One answer per request, in their order."""
        answers = [self._answer(request, answer, text_field) for request in requests]
        if progress:
            progress(len(answers), len(answers))
        return answers

    def _answer(self, request: Request, answer: type[BaseModel], text_field: str) -> Answer:
        said = self.script(request)
        fields = {text_field: said} if isinstance(said, str) else dict(said)
        value = answer.model_validate(fields).model_dump(mode="json")
        call = Call(
            call_id=call_id_of(f"{request.messages}{request.seed}", request.brief_id, 1),
            brief_id=request.brief_id,
            prompt_name=request.prompt_name,
            prompt_version=request.prompt_version,
            model=self.name,
            seed=request.seed,
            status="ok",
            input_tokens=sum(len(message["content"]) for message in request.messages) // 4,
            output_tokens=len(str(said)) // 4,
            cost_usd=0.0,
            latency_s=0.0,
            cache_hit=False,
            called_at=datetime.now(UTC).replace(tzinfo=None),
        )
        return Answer(request.brief_id, "ok", str(value[text_field]), value, None, (call,))
