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
from typing import Any
from urllib.parse import quote

from orchestration.generation.calls import Request
from orchestration.model.budget import Reservation
from orchestration.model.completions import reply_in, reply_of
from orchestration.model.endpoint import Endpoint, document_in
from orchestration.model.foreign_json import parsed, printable
from orchestration.model.purchases import Purchases, Wish, order_of
from orchestration.model.refusals import complaint_in
from orchestration.model.responses import Paid, Pending, Responses
from orchestration.model.troubles import EndpointRefused, Trouble
from orchestration.settings import Settings

log = logging.getLogger(__name__)

MOST_REQUESTS, MOST_BYTES = 50_000, 190_000_000
ROUNDS = 2  # what a first batch does not bring is asked for in a second one, then singly
POLL_SECONDS = (0.2, 60.0)  # the first wait, and the longest
_ENDED = ("completed", "failed", "expired", "cancelled")
_IN_VAIN = ("failed", "expired", "cancelled", "cancelling")
_MARK = "flywheel"
_SINGLY = "Leave FLYWHEEL_BATCH_FROM out to ask for replies one by one."


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
                    pending = await self._submit(chunk)
                    if pending is not None:
                        await self._collect(pending)
                        continue
                    self._put_off(chunk, "The endpoint does not say whether it took a batch: ", _SINGLY)
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

    async def _submit(self, lines: dict[str, bytes]) -> Pending | None:
        """Submit a batch, or find the one that a run submitted which was killed before it could note so; None when the
        endpoint took one and does not say which."""
        content = b"\n".join(lines.values())
        whose = f"{self._purchases.turn}:{self._purchases.loop}".encode()
        mark = hashlib.sha256(content + whose).hexdigest()
        name = await self._found(mark)
        if name is None:
            file = await self._uploaded(content)
            asked = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
            try:
                name = await self._created(json.dumps({**asked, "metadata": {_MARK: mark}}).encode())
            except Trouble as trouble:
                name = await self._found(mark)
                if name is None and trouble.code is not None:  # the endpoint said that it took none
                    raise
        if name is None:
            return None
        orders = {key: order_of(*self._wanted[key]) for key in lines}
        pending = Pending(name, orders, datetime.now(UTC))
        self._responses.submit(self._endpoint.address, self._purchases.turn, self._purchases.loop, pending)
        log.info("Batch %s asks for %d replies.", name, len(lines))
        return pending

    async def _uploaded(self, content: bytes) -> str:
        client = await self._endpoint.client()
        raw = client.files.with_raw_response
        file = ("requests.jsonl", content, "application/jsonl")
        uploaded = await self._endpoint.asked(raw.create(file=file, purpose="batch"))
        name = _name_in(document_in(uploaded.content), "id")
        if name is None:
            raise Trouble("server_error", "The endpoint took a file and does not say under which name.")
        return name

    async def _created(self, content: bytes) -> str | None:
        """The name of a new batch. Never tried twice: one that the endpoint accepted without our hearing of it would be
        paid twice."""
        import httpx2

        client = (await self._endpoint.client()).with_options(max_retries=0)
        posting = client.post("/batches", cast_to=httpx2.Response, content=content)
        return _name_in(document_in((await self._endpoint.asked(posting)).content), "id")

    async def _found(self, mark: str) -> str | None:
        """The name of the batch of that mark which may still bring something."""
        known = (await self._endpoint.document_of("GET", "/batches?limit=100")).get("data")
        for batch in known if isinstance(known, list) else []:
            metadata = batch.get("metadata") if isinstance(batch, dict) else None
            if isinstance(metadata, dict) and metadata.get(_MARK) == mark and batch.get("status") not in _IN_VAIN:
                return _name_in(batch, "id")
        return None

    async def _collect(self, pending: Pending) -> None:
        """Wait for a batch, and keep what it brought; what it did not bring is free to be asked for again."""
        why = "It was still running after FLYWHEEL_BATCH_WAIT_S."
        try:
            batch = await self._ended(pending)
            brought = await self._results(batch, pending) if batch is not None else []
        except (Trouble, EndpointRefused) as problem:
            if problem.code == 404:
                log.warning("Batch %s is gone, and is asked anew.", pending.batch_id)
                self._responses.collect(pending.batch_id, [])
                return
            batch, why = None, str(problem)
        if batch is None:
            self._put_off(pending.orders, f"Batch {printable(pending.batch_id, 80)} is not there yet: ", why)
            return
        booked = [self._purchases.booked(paid) for paid in brought]
        self._responses.collect(pending.batch_id, booked)
        for key in pending.orders:
            if key in self._reserved:
                self._purchases.hand_back(self._reserved.pop(key))
        for paid in booked:
            self._purchases.collected(paid)
        if len(brought) < len(pending.orders):
            counts = f"{len(brought)} of {len(pending.orders)} replies"
            said = await self._said(batch)
            log.warning("Batch %s is %s with %s (%s).", pending.batch_id, batch.get("status"), counts, said)

    def _put_off(self, keys: Iterable[str], what: str, why: str) -> None:
        for key in keys:
            sentence = f"{what}run the turn again to collect it. {why}"
            self._purchases.put_off(self._reserved.pop(key, None), key, sentence)

    async def _ended(self, pending: Pending) -> dict[str, Any] | None:
        """The batch when it has ended; None when that takes too long."""
        pause, longest = POLL_SECONDS
        while True:
            batch = await self._endpoint.document_of("GET", f"/batches/{quote(pending.batch_id, safe='')}")
            if batch.get("status") in _ENDED:
                return batch
            if time.monotonic() + pause > self._give_up_at:
                return None
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _lines(self, batch: dict[str, Any], which: str) -> list[bytes]:
        name = _name_in(batch, which)
        if name is None:
            return []
        content = await self._endpoint.bytes_of("GET", f"/files/{quote(name, safe='')}/content")
        return [line for line in content.split(b"\n") if line.strip()]

    async def _results(self, batch: dict[str, Any], pending: Pending) -> list[Paid]:
        """Replies in a batch's output, in the order asked; failures, which cost nothing, are left out."""
        found: dict[str, Paid] = {}
        for line in await self._lines(batch, "output_file_id"):
            key, answered = _result_in(line)
            order = pending.orders.get(key or "")
            if order is None or order.key in found or answered.get("status_code") not in (200, "200"):
                continue
            body = answered.get("body")
            try:
                reply = reply_in(body) if isinstance(body, str) else reply_of(body)
            except Trouble as trouble:
                log.warning("A reply of batch %s is left out: %s", pending.batch_id, trouble)
                self._purchases.lost(order.key, trouble)
                continue
            waited = (datetime.now(UTC) - pending.submitted_at).total_seconds()
            share = self._settings.batch_price
            found[order.key] = self._purchases.priced(order, reply, pending.submitted_at, waited, share)
        return [found[key] for key in pending.orders if key in found]

    async def _said(self, batch: dict[str, Any]) -> str:
        """Why replies are missing, in the endpoint's own words: the batch's, or those of its first failure."""
        if batch.get("errors"):
            return complaint_in(batch["errors"], self._endpoint.secrets).words
        try:
            lines = await self._lines(batch, "error_file_id")
        except (Trouble, EndpointRefused):
            lines = []
        return complaint_in(lines[0], self._endpoint.secrets).words if lines else "it does not say why"


def _name_in(document: dict[str, Any], field: str) -> str | None:
    """A name that the endpoint gave to something, which goes into a path and into a file of ours."""
    name = document.get(field)
    return name if isinstance(name, str) and 0 < len(name) <= 500 and name.isprintable() else None


def _result_in(line: bytes) -> tuple[str | None, dict[str, Any]]:
    """A line of a batch's output: whose it is, and what was answered; nothing where it is no such line."""
    try:
        result = parsed(line)
    except ValueError:
        return None, {}
    if not isinstance(result, dict):
        return None, {}
    answered = result.get("response")
    return _name_in(result, "custom_id"), answered if isinstance(answered, dict) else {}
