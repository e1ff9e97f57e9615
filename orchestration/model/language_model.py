"""The language model as the assets see it: requests in, answers out, whatever the endpoint does.

Here: the resource, and the run of its event loop. Not here: everything below, which is in modules of its own:
calls (the values), generation (the run), purchases and budget (what is bought), endpoint and capabilities (from whom),
replies (what it says), responses (what is kept), local_model (the model that needs no key).
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import dagster as dg
from pydantic import BaseModel

from orchestration.generation.calls import STATUSES, Answer, Call, Plan, Request
from orchestration.model.batches import Batches
from orchestration.model.budget import Prices
from orchestration.model.capabilities import PROBE_TOKENS, Capabilities, recalled, settled
from orchestration.model.endpoint import Endpoint
from orchestration.model.generation import Generation, Progress, grouped
from orchestration.model.purchases import BYTES_PER_TOKEN, Purchases, Wish
from orchestration.model.replies import AnswerForm
from orchestration.model.responses import Paid, Responses
from orchestration.model.troubles import EndpointRefused, Trouble
from orchestration.settings import Settings

__all__ = ["STATUSES", "Answer", "Call", "EndpointRefused", "LanguageModel", "Plan", "Request"]

log = logging.getLogger(__name__)
T = TypeVar("T")


class LanguageModel:
    """A model behind any OpenAI-compatible endpoint, or the local one. Safe to use from any thread.

    Making one costs nothing: the file of replies is opened, and the endpoint asked, when there is work to do.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises EndpointRefused when the settings cannot be meant."""
        self._settings = settings
        self._name = Endpoint(settings).settled_model
        self._capabilities: Capabilities | None = None
        self._without_usage = 0

    @property
    def name(self) -> str:
        """The model's name: the one set, or the only one that the endpoint offers; `unknown` while that is away.
        Raises EndpointRefused."""
        if self._name is None:
            try:
                self._name = _run(self._with_endpoint(lambda endpoint, responses: endpoint.model(responses)))
            except Trouble:
                return "unknown"
        return self._name

    def answer_all(
        self,
        requests: Sequence[Request],
        answer: type[BaseModel],
        *,
        text_field: str,
        turn: str,
        loop: str,
        progress: Progress | None = None,
    ) -> list[Answer]:
        """Answers in the order of the requests, for a turn of a loop, which is who pays.

        Never raises for what goes wrong with a request or an endpoint: that is a status. Raises EndpointRefused when
        the endpoint is set up wrongly, after a few calls, with every reply kept; running again pays for none twice.
        `progress` gets (answered, all), about once a second and at the end. Raises ValueError when two requests share
        a brief_id, or one has no messages.
        """
        if len({request.brief_id for request in requests}) < len(requests):
            raise ValueError("Two requests share a brief_id: each brief is answered once.")
        if any(not request.messages for request in requests):
            raise ValueError("A request has no messages.")
        if not requests:
            return []
        form = AnswerForm(answer, text_field)
        return _run(
            self._with_endpoint(
                lambda endpoint, responses: self._answer_all(requests, form, turn, loop, progress, endpoint, responses)
            )
        )

    def plan(
        self, requests: Sequence[Request], answer: type[BaseModel], *, text_field: str, turn: str, loop: str
    ) -> Plan:
        """What `answer_all` would buy, without asking the endpoint anything.

        Tokens per byte and per reply are those of the model's earlier calls; before the first, a token is taken for
        four bytes, and a reply for as long as it may be.
        """
        form, endpoint = AnswerForm(answer, text_field), Endpoint(self._settings)
        prices = _prices(self._settings)
        with Responses(self._settings.responses_path) as responses:
            model = endpoint.known_model(responses) or ""
            can = recalled(self._settings, endpoint, model, form, responses)
            groups = grouped(requests, form, can or Capabilities(form.plainest), model)
            # Before the form is known nothing can have been kept in it.
            kept = responses.known([group.wish.key for group in groups], turn, loop) if can else {}
            per_byte, per_reply = responses.typical(model) or (1 / BYTES_PER_TOKEN, float("inf"))
        missing = [group for group in groups if group.wish.key not in kept]
        tokens_in = sum(group.wish.bytes_read * per_byte for group in missing)
        tokens_out = sum(min(per_reply, group.members[0].max_tokens) for group in missing)
        return Plan(
            calls=len(missing),
            cached=len(requests) - len(missing),
            input_tokens=round(tokens_in),
            output_tokens=round(tokens_out),
            usd=prices.of(tokens_in, tokens_out),
            worst_usd=sum(group.wish.worst_case(group.members[0].max_tokens, prices).usd for group in missing),
        )

    def spent(self, turn: str, loop: str) -> tuple[float, int]:
        """Dollars and tokens that a turn of a loop has spent over all its runs, probes and lost rows included."""
        with Responses(self._settings.responses_path) as responses:
            return responses.spent(turn, loop)

    @property
    def capabilities(self) -> dict[str, str]:
        """How the endpoint was asked in the last run, for metadata; empty before it."""
        if self._capabilities is None:
            return {}
        can = self._capabilities
        return {
            "endpoint": Endpoint(self._settings).address,
            "model": self._name or "",
            "answer_form": can.form,
            "token_limit": can.limit,
            "parameters_left_out": ", ".join(can.without) or "none",
            "replies_with_estimated_tokens": str(self._without_usage),
        }

    async def _answer_all(
        self,
        requests: Sequence[Request],
        form: AnswerForm,
        turn: str,
        loop: str,
        progress: Progress | None,
        endpoint: Endpoint,
        responses: Responses,
    ) -> list[Answer]:
        settings = self._settings
        _warn_of_missing_prices(settings, endpoint)
        purchases = Purchases(settings, endpoint, responses, turn, loop)

        async def pay(body: dict[str, Any]) -> Paid:
            return await purchases.bought(_probe_like(requests[0]), Wish.of(body))

        try:
            self._name = model = await endpoint.model(responses)
            can = await settled(settings, endpoint, model, form, responses, requests[0], pay)
        except Trouble as trouble:
            return [Answer(one.brief_id, trouble.status, None, None, trouble.sentence, ()) for one in requests]
        self._capabilities = can
        batches = Batches(settings, endpoint, responses, purchases)
        answers = await Generation(endpoint, purchases, batches, form, can, model).run(requests, progress)
        self._without_usage = purchases.without_usage
        return answers

    async def _with_endpoint(self, work: Callable[[Endpoint, Responses], Coroutine[Any, Any, T]]) -> T:
        endpoint = Endpoint(self._settings)
        with Responses(self._settings.responses_path) as responses:
            try:
                return await work(endpoint, responses)
            finally:
                await endpoint.close()


def model_resource(settings: Settings) -> dg.ResourceDefinition:
    """Gives assets a LanguageModel (`model: dg.ResourceParam[LanguageModel]`) over these settings.

    A test puts a LanguageModel of its own in its place. It is made when a run starts, so that settings that cannot be
    meant stop that run and not the UI; it takes no configuration, in which Dagster would store a key or an address.
    """
    return dg.ResourceDefinition(lambda _: LanguageModel(settings), description="The language model of this home.")


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, also where an event loop is running in this thread."""
    if not _in_event_loop():
        return asyncio.run(work)
    with ThreadPoolExecutor(1, thread_name_prefix="language-model") as thread:
        return thread.submit(asyncio.run, work).result()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _probe_like(request: Request) -> Request:
    """Who pays for finding out what an endpoint can do."""
    return Request(
        brief_id="probe",
        messages=request.messages,
        seed=request.seed,
        max_tokens=max(PROBE_TOKENS, request.max_tokens),
        temperature=request.temperature,
        prompt_name="probe",
        prompt_version=0,
    )


def _prices(settings: Settings) -> Prices:
    return Prices(settings.usd_per_million_input_tokens, settings.usd_per_million_output_tokens)


def _warn_of_missing_prices(settings: Settings, endpoint: Endpoint) -> None:
    prices = _prices(settings)
    if settings.openai_api_key is not None and prices.of(1, 1) == 0 and settings.budget_tokens is None:
        log.warning(
            "No prices are set for %s, so costs read 0 and FLYWHEEL_BUDGET_USD limits nothing: set "
            "FLYWHEEL_USD_PER_MILLION_INPUT_TOKENS and _OUTPUT_TOKENS, or FLYWHEEL_BUDGET_TOKENS.",
            endpoint.address,
        )
