"""The Batch API for large turns: half the price, within a day.

Here: submitting, waiting, collecting, and finding again what a killed run had submitted.
Not here: single calls (purchases), which also make up for whatever a batch did not bring.

At most 50,000 requests and 200 MB a file; results come in any order, failures in a file of their own, and some not at
all: they are joined on `custom_id`, which is the key of the request.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestration.generation.calls import Request
from orchestration.model.budget import Reservation
from orchestration.model.endpoint import Endpoint, reply_in
from orchestration.model.purchases import Purchases, Wish, order_of
from orchestration.model.responses import Paid, Pending, Responses
from orchestration.model.troubles import EndpointRefused, Trouble
from orchestration.settings import Settings

if TYPE_CHECKING:
    from openai.types import Batch

log = logging.getLogger(__name__)

MOST_REQUESTS, MOST_BYTES = 50_000, 190_000_000
ROUNDS = 2  # what a first batch does not bring is asked for in a second one, then singly
POLL_SECONDS = (0.2, 60.0)  # the first wait, and the longest
_ENDED = ("completed", "failed", "expired", "cancelled")
_MARK = "flywheel"


class Batches:
    """Batches of one turn and loop. Afterwards `purchases` knows what came, and what is still on its way."""

    def __init__(self, settings: Settings, endpoint: Endpoint, responses: Responses, purchases: Purchases) -> None:
        self._settings, self._endpoint, self._responses, self._purchases = settings, endpoint, responses, purchases
        self._wanted: dict[str, tuple[Request, Wish]] = {}
        self._reserved: dict[str, Reservation] = {}
        self._give_up_at = time.monotonic() + settings.batch_wait_s

    async def buy(self, wanted: Sequence[tuple[Request, Wish]]) -> None:
        """Collect what is pending, and submit what is many enough. Falls back to single calls, in the open, where an
        endpoint has no batches."""
        self._wanted = {wish.key: (request, wish) for request, wish in wanted}
        address, threshold = self._endpoint.address, self._settings.batch_from
        if self._endpoint.is_local:
            return
        try:
            for batch in self._responses.pending(address, self._purchases.turn, self._purchases.loop):
                self._set_aside(batch.orders)
                await self._collect(batch)
            for _ in range(ROUNDS if threshold is not None else 0):
                missing = [key for key in self._wanted if not self._purchases.settled(key)]
                if len(missing) < (threshold or 0):
                    return
                for chunk in self._chunks(missing):
                    await self._collect(await self._submit(chunk))
        except (Trouble, EndpointRefused) as problem:
            log.warning("Going on with single calls, for batches do not work here: %s", problem)
        finally:
            while self._reserved:
                self._purchases.hand_back(self._reserved.popitem()[1])

    def _set_aside(self, keys: Iterable[str]) -> list[str]:
        """Reserve the worst case of each key that is wanted; the keys for which it fits."""
        for key in keys:
            if key in self._wanted and key not in self._reserved:
                request, wish = self._wanted[key]
                reservation = self._purchases.set_aside(request, wish, self._settings.batch_price)
                if reservation is not None:
                    self._reserved[key] = reservation
        return [key for key in keys if key in self._reserved]

    def _chunks(self, keys: Sequence[str]) -> Iterator[dict[str, bytes]]:
        """Lines by key, in portions that one file may hold."""
        chunk: dict[str, bytes] = {}
        size = 0
        for key in self._set_aside(keys):
            body = self._purchases.content_of(*self._wanted[key])
            line = b'{"custom_id":"%b","method":"POST","url":"/v1/chat/completions","body":%b}' % (key.encode(), body)
            if chunk and (len(chunk) == MOST_REQUESTS or size + len(line) + 1 > MOST_BYTES):
                yield chunk
                chunk, size = {}, 0
            chunk[key] = line
            size += len(line) + 1
        if chunk:
            yield chunk

    async def _submit(self, lines: dict[str, bytes]) -> Pending:
        """Submit a batch, or find the one that a run submitted which was killed before it could note so."""
        client, content = await self._endpoint.client(), b"\n".join(lines.values())
        whose = f"{self._purchases.turn}:{self._purchases.loop}".encode()
        mark = hashlib.sha256(content + whose).hexdigest()
        batch = await self._found(mark)
        if batch is None:
            file = await self._endpoint.asked(
                client.files.create(file=("requests.jsonl", content, "application/jsonl"), purpose="batch")
            )
            # Never tried twice: one that the endpoint accepted without our hearing of it would be paid twice.
            creating = client.with_options(max_retries=0).batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={_MARK: mark},
            )
            try:
                batch = await self._endpoint.asked(creating)
            except Trouble:
                batch = await self._found(mark)
                if batch is None:
                    raise
        orders = {key: order_of(*self._wanted[key]) for key in lines}
        pending = Pending(batch.id, orders, datetime.now(UTC))
        self._responses.submit(self._endpoint.address, self._purchases.turn, self._purchases.loop, pending)
        log.info("Batch %s asks for %d replies.", batch.id, len(lines))
        return pending

    async def _found(self, mark: str) -> "Batch | None":
        client = await self._endpoint.client()
        known = await self._endpoint.asked(client.batches.list(limit=100))
        return next((one for one in known.data if (one.metadata or {}).get(_MARK) == mark and _may_bring(one)), None)

    async def _collect(self, pending: Pending) -> None:
        """Wait for a batch, and keep what it brought; what it did not bring is free to be asked for again."""
        try:
            batch = await self._ended(pending)
            brought = await self._results(batch, pending) if batch is not None else []
        except Trouble as trouble:
            batch, why = None, trouble.sentence
        except EndpointRefused as refused:
            if refused.code != 404:
                raise
            log.warning("Batch %s is gone, and is asked anew.", pending.batch_id)
            self._responses.collect(pending.batch_id, [])
            return
        else:
            why = "It was still running after FLYWHEEL_BATCH_WAIT_S."
        if batch is None:
            sentence = f"Batch {pending.batch_id} is not there yet: run the turn again to collect it. {why}"
            for key in pending.orders:
                self._purchases.put_off(self._reserved.pop(key, None), key, sentence)
            return
        self._responses.collect(pending.batch_id, brought)
        for key in pending.orders:
            if key in self._reserved:
                self._purchases.hand_back(self._reserved.pop(key))
        for paid in brought:
            self._purchases.collected(paid)
        if len(brought) < len(pending.orders):
            said = batch.errors.data[0].message if batch.errors and batch.errors.data else "see its error file"
            counts = f"{len(brought)} of {len(pending.orders)} replies"
            log.warning("Batch %s is %s with %s (%s).", batch.id, batch.status, counts, said)

    async def _ended(self, pending: Pending) -> "Batch | None":
        """The batch when it has ended; None when that takes too long."""
        client, (pause, longest) = await self._endpoint.client(), POLL_SECONDS
        while True:
            batch = await self._endpoint.asked(client.batches.retrieve(pending.batch_id))
            if batch.status in _ENDED:
                return batch
            if time.monotonic() + pause > self._give_up_at:
                return None
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _results(self, batch: "Batch", pending: Pending) -> list[Paid]:
        """Replies in a batch's output, in the order asked; failures, which cost nothing, are left out."""
        if batch.output_file_id is None:
            return []
        client = await self._endpoint.client()
        content = await self._endpoint.asked(client.files.content(batch.output_file_id))
        found: dict[str, Paid] = {}
        for line in content.content.splitlines():
            result = json.loads(line)
            order, response = pending.orders.get(result["custom_id"]), result.get("response") or {}
            if order is None or response.get("status_code") != 200:
                continue
            try:
                reply = reply_in(response["body"])
            except Trouble as trouble:
                log.warning("A reply of batch %s is left out: %s", pending.batch_id, trouble)
                continue
            waited = (datetime.now(UTC) - pending.submitted_at).total_seconds()
            share = self._settings.batch_price
            found[order.key] = self._purchases.priced(order, reply, pending.submitted_at, waited, share)
        return [found[key] for key in pending.orders if key in found]


def _may_bring(batch: "Batch") -> bool:
    return batch.status not in ("failed", "expired", "cancelled", "cancelling")
