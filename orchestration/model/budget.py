"""The hard budget of a turn: nothing is sent unless the worst it can cost still fits.

Here: prices, the worst case of a request, and reservations. Not here: what was spent before (responses).
"""

import asyncio
from collections import deque
from dataclasses import dataclass

from orchestration.model.troubles import Trouble
from orchestration.settings import Settings

_MARKUP_TOKENS = 64  # a template's own system prompt, and the marks around a chat
_MESSAGE_TOKENS = 16


@dataclass(frozen=True)
class Prices:
    """US dollars per million tokens."""

    input_usd: float
    output_usd: float

    def of(self, input_tokens: float, output_tokens: float) -> float:
        return (input_tokens * self.input_usd + output_tokens * self.output_usd) / 1e6


@dataclass(frozen=True)
class Reservation:
    """The worst that one call can cost."""

    usd: float
    tokens: int


def worst_case(bytes_read: int, messages: int, max_tokens: int, prices: Prices) -> Reservation:
    """The most that a call can cost. A byte-level tokenizer never makes more tokens than there are bytes."""
    tokens_in = bytes_read + _MESSAGE_TOKENS * messages + _MARKUP_TOKENS
    return Reservation(prices.of(tokens_in, max_tokens), tokens_in + max_tokens)


class Budget:
    """What one turn of one loop may still spend. Use in one event loop.

    Requests are admitted in the order in which they ask. One that does not fit waits until the calls in flight have
    said what they really cost, so what is deferred depends on costs and order, and not on timing.
    """

    def __init__(self, settings: Settings, spent_usd: float, spent_tokens: int) -> None:
        self._usd, self._tokens = settings.budget_usd, settings.budget_tokens
        self._spent_usd, self._spent_tokens = spent_usd, spent_tokens
        self._reserved_usd, self._reserved_tokens, self._in_flight = 0.0, 0, 0
        self._waiting: deque[tuple[Reservation, asyncio.Future[None]]] = deque()

    async def reserve(self, reservation: Reservation) -> None:
        """Set the worst case aside. Raises Trouble with status `deferred`, naming the setting, when it cannot fit."""
        if not self._waiting and self._fits(reservation):
            self._admit(reservation)
            return
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((reservation, admitted))
        self._decide()
        await admitted

    def fits_now(self, reservation: Reservation) -> bool:
        """Set the worst case aside if that is possible without waiting."""
        if self._waiting or not self._fits(reservation):
            return False
        self._admit(reservation)
        return True

    def settle(self, reservation: Reservation, usd: float, tokens: int) -> None:
        """Replace a reservation by what the call cost."""
        self._in_flight -= 1
        self._reserved_usd -= reservation.usd
        self._reserved_tokens -= reservation.tokens
        self.spend(usd, tokens)
        if not self._in_flight:
            self._reserved_usd, self._reserved_tokens = 0.0, 0  # no drift from rounding
        self._decide()

    def spend(self, usd: float, tokens: int) -> None:
        """Count what was spent without a reservation."""
        self._spent_usd += usd
        self._spent_tokens += tokens

    def _admit(self, reservation: Reservation) -> None:
        self._in_flight += 1
        self._reserved_usd += reservation.usd
        self._reserved_tokens += reservation.tokens

    def _fits(self, reservation: Reservation) -> bool:
        usd = self._spent_usd + self._reserved_usd + reservation.usd
        tokens = self._spent_tokens + self._reserved_tokens + reservation.tokens
        return (reservation.usd == 0 or usd <= self._usd) and (self._tokens is None or tokens <= self._tokens)

    def _decide(self) -> None:
        while self._waiting:
            reservation, admitted = self._waiting[0]
            fits = self._fits(reservation)
            if not fits and self._in_flight:
                return
            self._waiting.popleft()
            if admitted.done():  # its caller was cancelled
                continue
            if fits:
                self._admit(reservation)
                admitted.set_result(None)
            else:
                admitted.set_exception(Trouble("deferred", self._why(reservation)))

    def _why(self, reservation: Reservation) -> str:
        tokens = self._spent_tokens + reservation.tokens
        if self._tokens is not None and tokens > self._tokens:
            worst, limit = f"{reservation.tokens} tokens", f"FLYWHEEL_BUDGET_TOKENS ({self._tokens})"
        else:
            worst, limit = f"${reservation.usd:.6f}", f"FLYWHEEL_BUDGET_USD (${self._usd:.2f})"
        return (
            f"Not sent: in the worst case it costs {worst}, more than {limit} leaves to this turn and loop. "
            "Raise the setting and run the turn again."
        )
