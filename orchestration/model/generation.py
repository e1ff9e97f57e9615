"""Generation: all requests of one turn and loop, from what is kept already to the last answer.

Here: who waits for whom, what is asked for a second time, and the rows that say what happened.
Not here: buying one reply (purchases), and what a reply says (replies).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.generation.calls import Answer, Call, Request, call_id_of
from orchestration.model.batches import Batches
from orchestration.model.capabilities import Capabilities
from orchestration.model.completions import ending_of
from orchestration.model.endpoint import Endpoint
from orchestration.model.purchases import Purchases, Wish, canonical
from orchestration.model.replies import AnswerForm, Unreadable
from orchestration.model.responses import Paid
from orchestration.model.troubles import Trouble

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

ATTEMPTS = 2  # the first reply, and one repair
PROGRESS_SECONDS = 1.0


@dataclass(frozen=True)
class Group:
    """Requests with the same content, which one reply answers. The first one pays, unless another did before."""

    wish: Wish
    places: tuple[int, ...]
    members: tuple[Request, ...]

    def payer(self, paid: Paid) -> Request:
        """Whose reply it is among those of this turn; the same one in every run."""
        return next((member for member in self.members if member.brief_id == paid.brief_id), self.members[0])


@dataclass(frozen=True)
class Step:
    """One call of a conversation: the reply that was paid for, or the trouble there was."""

    key: str
    attempt: int
    status: str
    result: Paid | Trouble


def grouped(requests: Sequence[Request], form: AnswerForm, can: Capabilities, model: str) -> list[Group]:
    """Requests by content, in the order in which each content comes first."""
    response_format = form.response_format(can.form)
    wishes: dict[str, Wish] = {}
    places: dict[str, list[int]] = {}
    for place, request in enumerate(requests):
        wish = Wish.of(
            can.body(
                model,
                form.messages(request.messages, can.form),
                response_format,
                seed=request.seed,
                max_tokens=request.max_tokens,
                temperature=request.temperature,
            )
        )
        wishes.setdefault(wish.key, wish)
        places.setdefault(wish.key, []).append(place)
    return [Group(wishes[key], tuple(at), tuple(requests[one] for one in at)) for key, at in places.items()]


class Generation:
    """One run over the requests of a turn and loop. Use once, in one event loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        purchases: Purchases,
        batches: Batches,
        form: AnswerForm,
        can: Capabilities,
        model: str,
    ) -> None:
        self._endpoint, self._purchases, self._batches = endpoint, purchases, batches
        self._form, self._can, self._model = form, can, model
        self._answers: dict[int, Answer] = {}
        self._problem: Exception | None = None

    async def run(self, requests: Sequence[Request], progress: Progress | None) -> list[Answer]:
        """Answers in the order of the requests. Raises EndpointRefused, with all that was paid for kept."""
        self._total, self._progress, self._told_at = len(requests), progress, time.monotonic()
        groups = grouped(requests, self._form, self._can, self._model)
        kept = self._purchases.recall([group.wish.key for group in groups])
        # Kept ones first: a repair that one of them still needs is bought in passing.
        await self._work([group for group in groups if group.wish.key in kept])
        missing = [group for group in groups if group.wish.key not in kept]
        if missing and self._problem is None:
            await self._endpoint.open()
            if self._endpoint.is_local:  # requests that share their examples in a row, for the server's prompt cache
                missing.sort(key=lambda group: canonical(group.wish.body["messages"][:-1]))
            await self._batches.buy([(group.members[0], group.wish) for group in missing])
            await self._work(missing)
        self._purchases.end()
        if self._purchases.without_usage:
            log.warning("%d replies report no tokens that can be meant: theirs are estimated.", self.without_usage)
        if self._problem is not None:
            raise self._problem
        if progress is not None:
            progress(len(self._answers), self._total)
        return [self._answers[place] for place in range(self._total)]

    @property
    def without_usage(self) -> int:
        """Replies bought in this run whose tokens are estimated."""
        return self._purchases.without_usage

    async def _work(self, groups: list[Group]) -> None:
        waiting = deque(groups)

        async def worker(lane: int) -> None:
            while waiting and self._problem is None:
                # A second local server starts at the other end, so that each has its own examples in its cache.
                group = waiting.popleft() if lane == 0 else waiting.pop()
                try:
                    await self._answer(group, lane)
                # Whatever it is, let the calls in flight end: they are being paid for.
                except Exception as problem:
                    self._problem = self._problem or problem

        lanes = enumerate(self._endpoint.lanes or [1])
        await asyncio.gather(*(worker(lane) for lane, at_once in lanes for _ in range(at_once)))

    async def _answer(self, group: Group, lane: int) -> None:
        """Have a group's conversation, and note what it means for each member."""
        steps: list[Step] = []
        wish, status, error = group.wish, "", None
        text: str | None = None
        value: dict[str, Any] | None = None
        for attempt in range(1, ATTEMPTS + 1):
            try:
                paid = await self._purchases.reply(group.members[0], wish, attempt=attempt, lane=lane)
            except Trouble as trouble:
                error = trouble.sentence if not steps else f"{error} It could not be asked again: {trouble.sentence}"
                status = trouble.status
                steps.append(Step(wish.key, attempt, status, trouble))
                break
            status, error, text, value = self._understood(paid)
            steps.append(Step(wish.key, attempt, status, paid))
            if status != "parse_failed" or self._can.form == "text":
                break
            again = self._form.repair(wish.body["messages"], paid.text, error or "")
            wish = Wish.of({**wish.body, "messages": again})
        for place, member in zip(group.places, group.members, strict=True):
            rows = (self._row(step, group, member) for step in steps)
            calls = tuple(row for row in rows if row is not None)
            self._answers[place] = Answer(member.brief_id, status, text, value, error, calls)
        if self._progress is not None and time.monotonic() - self._told_at >= PROGRESS_SECONDS:
            self._told_at = time.monotonic()
            self._progress(len(self._answers), self._total)

    def _understood(self, paid: Paid) -> tuple[str, str | None, str | None, dict[str, Any] | None]:
        """What a reply amounts to: status, error, text and answer."""
        ending = ending_of(paid.finish_reason)
        if ending == "content_filter":
            return "content_filter", "The endpoint's content filter kept the reply.", None, None
        if paid.refusal or ending == "refused":
            return "refused", "The model declined to answer.", None, None
        if ending == "truncated":
            return "truncated", "The reply was cut off: raise max_tokens in the recipe.", None, None
        try:
            text, value = self._form.read(paid.text, self._can.form)
        except Unreadable as problem:
            return "parse_failed", str(problem), None, None
        return "ok", None, text, value

    def _row(self, step: Step, group: Group, member: Request) -> Call | None:
        """The row of a step for one member; None when no call was made for it."""
        result, bought, model = step.result, None, self._model
        if isinstance(result, Trouble):
            if result.called_at is None or member is not group.members[0]:
                return None
            called_at, latency_s, hit = result.called_at, result.latency_s, False
            bought = result.paid
        else:
            ours = (result.turn, result.loop) == (self._purchases.turn, self._purchases.loop)
            bought = result if ours and member is group.payer(result) else None
            hit, model, called_at = bought is None, result.model, result.called_at
            latency_s = bought.latency_s if bought else 0.0
        return Call(
            call_id=call_id_of(step.key, member.brief_id, step.attempt),
            brief_id=member.brief_id,
            prompt_name=member.prompt_name,
            prompt_version=member.prompt_version,
            model=model,
            seed=member.seed,
            status=step.status,
            input_tokens=bought.input_tokens if bought else 0,
            output_tokens=bought.output_tokens if bought else 0,
            cost_usd=bought.cost_usd if bought else 0.0,
            latency_s=latency_s,
            cache_hit=hit,
            called_at=called_at,
        )
