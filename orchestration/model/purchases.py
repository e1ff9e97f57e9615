"""Buying replies: each at most once, within the budget, and only while the endpoint answers.

Here: what happens between the wish for a reply and the reply that is kept.
Not here: which replies are wished for, and what they mean (generation).
"""

import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from orchestration.generation.calls import Request
from orchestration.model.budget import Budget, Prices, Reservation, worst_case
from orchestration.model.completions import Reply, ending_of
from orchestration.model.endpoint import Endpoint
from orchestration.model.responses import Order, Paid, Responses
from orchestration.model.troubles import EndpointRefused, Trouble
from orchestration.settings import Settings

log = logging.getLogger(__name__)

GIVE_UP_AFTER = {"connection_error": 5, "timeout": 5, "rate_limited": 20, "server_error": 20, "rejected": 20}
"""Failed calls in a row, each after all of the SDK's retries, that mean an endpoint has gone. Of those that it rejected
only the ones count that say that there is no way in, such as 403 and 404."""
REFUSED_AFTER = 5  # of those, before anything was answered: the endpoint is set up wrongly
BYTES_PER_TOKEN = 4  # what a token is taken for where an endpoint reports no usage


@dataclass(frozen=True)
class Wish:
    """What is to be sent: `content` is the body's canonical JSON, so that the same wish gives the same bytes.

    `key` is their hash: all that shapes the reply, and neither the address nor who it is for. A model keeps its replies
    when its server moves. `bytes_read` is what the model reads of it: the contents of the chat, and the schema.
    """

    body: Mapping[str, Any]
    content: bytes
    key: str
    bytes_read: int

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Wish":
        content = canonical(body)
        read = sum(len(message["content"].encode(errors="replace")) for message in body["messages"])
        read += len(canonical(body["response_format"])) if "response_format" in body else 0
        return cls(body, content, hashlib.sha256(content).hexdigest(), read)

    def worst_case(self, max_tokens: int, prices: Prices) -> Reservation:
        return worst_case(self.bytes_read, len(self.body["messages"]), max_tokens, prices)


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def order_of(request: Request, wish: Wish, attempt: int = 1) -> Order:
    return Order(
        key=wish.key,
        brief_id=request.brief_id,
        attempt=attempt,
        prompt_name=request.prompt_name,
        prompt_version=request.prompt_version,
        model=wish.body["model"],
        seed=request.seed,
        bytes_read=wish.bytes_read,
    )


class Purchases:
    """What one turn of one loop buys. Use in one event loop."""

    def __init__(self, settings: Settings, endpoint: Endpoint, responses: Responses, turn: str, loop: str) -> None:
        self._endpoint, self._responses = endpoint, responses
        self.turn, self.loop = turn, loop
        self._prices = Prices(settings.usd_per_million_input_tokens, settings.usd_per_million_output_tokens)
        self._budget = Budget(settings, *responses.spent(turn, loop))
        self._kept: dict[str, Paid] = {}
        self._put_off: dict[str, str] = {}
        self._lost: dict[str, Trouble] = {}
        self._answered = self._bought = self._takes_less = False
        self.without_usage = 0
        self._failures: Counter[str] = Counter()
        self._given_up: Trouble | None = None

    def recall(self, keys: Iterable[str]) -> set[str]:
        """Look up what is kept for these keys, and say which ones have a reply."""
        found = self._responses.known(keys, self.turn, self.loop)
        self._kept |= found
        self._answered = self._answered or bool(found)
        return set(found)

    async def reply(self, request: Request, wish: Wish, *, attempt: int = 1, lane: int = 0) -> Paid:
        """The reply to a wish: the kept one, or a new one, committed before this returns. Raises Trouble with the
        reason why there is none, and EndpointRefused."""
        if wish.key in self._put_off:
            raise Trouble("deferred", self._put_off[wish.key])
        if wish.key in self._lost:
            raise self._lost[wish.key]
        if wish.key not in self._kept and attempt > 1:
            self.recall([wish.key])
        try:
            return self._kept.get(wish.key) or await self.bought(request, wish, attempt=attempt, lane=lane)
        except Trouble as trouble:
            self._takes_less = self._takes_less or trouble.parameter in wish.body
            raise

    def end(self) -> None:
        """Once all was asked. An endpoint that refused a parameter and answered nothing takes less than is known of it:
        the next run finds out anew."""
        if self._takes_less and not self._bought:
            self._responses.forget(self._endpoint.address)

    async def bought(self, request: Request, wish: Wish, *, attempt: int = 1, lane: int = 0) -> Paid:
        """A new reply, whatever is kept."""
        self._raise_if_given_up()
        worst = wish.worst_case(request.max_tokens, self._prices)
        await self._budget.reserve(worst)
        usd, tokens = 0.0, 0
        try:
            self._raise_if_given_up()  # it may have gone while this waited for the budget
            called_at, started = datetime.now(UTC), time.perf_counter()
            try:
                reply = await self._endpoint.send(self.content_of(request, wish), lane)
            except Trouble as trouble:
                trouble.called_at, trouble.latency_s = called_at, time.perf_counter() - started
                if trouble.status == "timeout":  # the endpoint may have gone on and billed it
                    usd, tokens = worst.usd, worst.tokens
                self._count(trouble)
                raise
            latency_s = time.perf_counter() - started
            paid = self.priced(order_of(request, wish, attempt), reply, called_at, latency_s)
            usd, tokens = paid.cost_usd, paid.input_tokens + paid.output_tokens
            if ending_of(paid.finish_reason) == "failed":
                unfinished = self._unfinished(paid)
                self._responses.keep(unfinished.paid or paid)
                self._count(unfinished)
                raise unfinished
            self._responses.keep(paid)
        finally:
            self._budget.settle(worst, usd, tokens)
        self._failures.clear()
        self._answered = self._bought = True
        self._kept[paid.key] = paid
        return paid

    def _unfinished(self, paid: Paid) -> Trouble:
        """A reply without a known end is no answer. What it cost is booked under a key of its own, so that it counts as
        spent, and the next run asks again."""
        end = f"finish_reason {paid.finish_reason!r}" if paid.finish_reason else "no finish_reason"
        trouble = Trouble("server_error", f"The endpoint did not finish the reply: {end} is no known clean end.")
        trouble.called_at, trouble.latency_s = paid.called_at, paid.latency_s
        trouble.paid = replace(paid, key=f"{paid.key}:unfinished:{paid.called_at.isoformat()}")
        return trouble

    def priced(
        self, order: Order, reply: Reply, called_at: datetime, latency_s: float, price_share: float = 1.0
    ) -> Paid:
        """A reply with what it cost, as it is kept. Tokens are estimated where the endpoint reports none."""
        self.without_usage += reply.input_tokens is None or reply.output_tokens is None
        tokens_in = order.bytes_read // BYTES_PER_TOKEN + 1 if reply.input_tokens is None else reply.input_tokens
        tokens_out = len(reply.text) // BYTES_PER_TOKEN + 1 if reply.output_tokens is None else reply.output_tokens
        return Paid(
            **{**vars(order), "model": reply.model or order.model},
            turn=self.turn,
            loop=self.loop,
            text=reply.text,
            refusal=reply.refusal,
            finish_reason=reply.finish_reason,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            cost_usd=self._prices.of(tokens_in, tokens_out) * price_share,
            latency_s=latency_s,
            called_at=called_at,
        )

    def set_aside(self, request: Request, wish: Wish, price_share: float) -> Reservation | None:
        """Reserve what a batched request costs at worst, without waiting; None when that does not fit now."""
        worst = wish.worst_case(request.max_tokens, self._prices)
        worst = Reservation(worst.usd * price_share, worst.tokens)
        return worst if self._budget.fits_now(worst) else None

    def hand_back(self, reservation: Reservation) -> None:
        """A batched request cost nothing, or what it cost comes through `collected`."""
        self._budget.settle(reservation, 0.0, 0)

    def booked(self, paid: Paid) -> Paid:
        """What a batch brought, as it is to be committed: a reply without a known end under a key of its own, and not
        asked again in this run."""
        if ending_of(paid.finish_reason) != "failed":
            return paid
        trouble = self._lost[paid.key] = self._unfinished(paid)
        return trouble.paid or paid

    def collected(self, paid: Paid) -> None:
        """A batched request has its reply, which is committed."""
        self._budget.spend(paid.cost_usd, paid.input_tokens + paid.output_tokens)
        self._kept[paid.key] = paid
        self._answered = True

    def lost(self, key: str, trouble: Trouble) -> None:
        """A batched request was answered with what nobody can read: this run does not pay for it once more."""
        self._lost[key] = trouble

    def put_off(self, reservation: Reservation | None, key: str, sentence: str) -> None:
        """A reply is on its way and will not come in this run: until it does, the worst case counts as spent."""
        if reservation is not None:
            self._budget.settle(reservation, reservation.usd, reservation.tokens)
        self._put_off[key] = sentence

    def settled(self, key: str) -> bool:
        """Whether a reply is kept, on its way, or lost for this run."""
        return key in self._kept or key in self._put_off or key in self._lost

    def content_of(self, request: Request, wish: Wish) -> bytes:
        """The body as sent. Only OpenAI is told whom it is for, and only as a hash."""
        if request.user is None or not self._endpoint.is_official:
            return wish.content
        return canonical({**wish.body, "safety_identifier": hashlib.sha256(request.user.encode()).hexdigest()})

    def _raise_if_given_up(self) -> None:
        if self._given_up is not None:
            raise Trouble(self._given_up.status, self._given_up.sentence)

    def _count(self, trouble: Trouble) -> None:
        """Note a failed call; give the endpoint up after too many in a row, or when it says that waiting is no use."""
        if trouble.status not in GIVE_UP_AFTER or self._given_up is not None:
            return
        if trouble.status == "rejected" and not trouble.access:
            self._failures["rejected"] = 0  # what is wrong with one request shows that there is a way in
            return
        self._failures[trouble.status] += 1
        in_a_row = self._failures[trouble.status]
        if trouble.access and in_a_row >= REFUSED_AFTER and not self._answered:
            raise EndpointRefused(trouble.sentence, trouble.code) from None
        if trouble.lasting or in_a_row >= GIVE_UP_AFTER[trouble.status]:
            self._given_up = Trouble(
                trouble.status,
                f"Not sent: {self._endpoint.address} was given up. {trouble.sentence} "
                "What was answered before is kept; run the turn again when the endpoint is back.",
            )
            log.warning("%s is given up after %d failed calls: %s", self._endpoint.address, in_a_row, trouble.sentence)
