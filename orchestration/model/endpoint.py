"""One OpenAI-compatible endpoint: its address, its model, and one call to it.

Here: the SDK's clients, one call, and what each of its failures means.
Not here: what the endpoint can do (capabilities), which calls to make (generation), the local server (local_model).
"""

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from orchestration.model.local_model import MODEL_NAME, local_servers
from orchestration.model.responses import Responses
from orchestration.model.troubles import EndpointRefused, Trouble
from orchestration.settings import Settings

if TYPE_CHECKING:
    import openai

T = TypeVar("T")

OFFICIAL = "https://api.openai.com/v1"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_MESSAGE_LIMIT = 300  # characters of an endpoint's own words that are passed on
ADJUSTABLE = ("max_completion_tokens", "max_tokens", "temperature", "seed", "response_format")
_REFUSALS = {
    401: "{} refuses the key ({}). Set OPENAI_API_KEY to a valid one.",
    403: "{} denies access ({}). Ask its operator for it, or set another FLYWHEEL_MODEL.",
    404: "{} knows no such model or path ({}). Check FLYWHEEL_MODEL, and OPENAI_BASE_URL, which often ends in /v1.",
}


@dataclass(frozen=True)
class Reply:
    """What a model wrote, as the endpoint reports it. Tokens are None when it reports none."""

    model: str
    text: str
    refusal: str | None
    finish_reason: str
    input_tokens: int | None
    output_tokens: int | None


class Endpoint:
    """The endpoint that the settings name, or the local server when they name none.

    Its clients belong to an event loop: make one in each, `open` it there, and `close` it before the loop ends.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        key = settings.openai_api_key
        self._key = key.get_secret_value().strip() if key is not None else ""
        self.is_local = not self._key and not settings.openai_base_url
        url = settings.openai_base_url or OFFICIAL
        parts = urlsplit(url)
        if parts.username or parts.password or parts.query:
            raise EndpointRefused(
                "OPENAI_BASE_URL holds a user name, a password or a query, and addresses are logged. "
                "Leave them out, and put the credential into OPENAI_API_KEY."
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise EndpointRefused(f"OPENAI_BASE_URL must start with http:// or https://, unlike {url!r}.")
        if self.is_local and settings.model not in (None, MODEL_NAME):
            raise EndpointRefused(
                f"FLYWHEEL_MODEL is {settings.model!r}, but there is no endpoint to ask for it: set OPENAI_API_KEY or "
                "OPENAI_BASE_URL, or leave FLYWHEEL_MODEL out to use the local model."
            )
        self.address = "local" if self.is_local else url.rstrip("/")
        self.is_official = not self.is_local and (parts.hostname or "").endswith("api.openai.com")
        self._on_loopback = self.is_local or parts.hostname in _LOOPBACK
        self._opening = asyncio.Lock()
        self._clients: list[openai.AsyncOpenAI] = []

    @property
    def lanes(self) -> list[int]:
        """Once open: how many calls each lane takes at once. The local model has a lane a server, of one call each."""
        return [1] * len(self._clients) if self.is_local else [self._settings.max_concurrency]

    async def open(self) -> None:
        """Make the clients; the local model is started when it is not running. Raises EndpointRefused."""
        async with self._opening:
            if self._clients:
                return
            if self.is_local:
                for server in await asyncio.to_thread(local_servers().ready):
                    self._clients.append(self._client(server.url, server.key, 1))
            else:  # the SDK wants a key, even where the endpoint does not
                self._clients.append(self._client(self.address, self._key or "none", self._settings.max_concurrency))

    def _client(self, url: str, key: str, at_once: int) -> "openai.AsyncOpenAI":
        import httpx2
        import openai

        return openai.AsyncOpenAI(
            api_key=key,
            base_url=url,
            max_retries=self._settings.max_retries,
            http_client=openai.DefaultAioHttpClient(  # half the time of httpx's own connections for each call
                limits=httpx2.Limits(max_connections=at_once, max_keepalive_connections=at_once),
                timeout=httpx2.Timeout(self._settings.request_timeout_s, connect=5.0, pool=None),
                trust_env=not self._on_loopback,  # a proxy has no business on loopback
            ),
        )

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        self._clients.clear()

    @property
    def settled_model(self) -> str | None:
        """The model's name where the settings decide it."""
        return MODEL_NAME if self.is_local else self._settings.model

    def known_model(self, responses: Responses) -> str | None:
        """The model's name as far as it is known without asking."""
        if self.settled_model:
            return self.settled_model
        known = responses.recall(self.address, "model")
        return known["model"] if known else None

    async def model(self, responses: Responses) -> str:
        """The model's name: the one set, or the only one there. Raises EndpointRefused, and Trouble."""
        if self.settled_model:
            return self.settled_model
        await self.open()
        try:
            names = await self.asked(self._listed_models())
        except Trouble:
            known = self.known_model(responses)
            if known is None:
                raise
            return known
        if len(names) != 1:
            some = ", ".join(sorted(names)[:10]) or "none"
            raise EndpointRefused(f"{self.address} offers {len(names)} models ({some}): set FLYWHEEL_MODEL to one.")
        responses.remember(self.address, "model", {"model": names[0]})
        return names[0]

    async def send(self, content: bytes, lane: int = 0) -> Reply:
        """One call, with the SDK's retries. Raises Trouble when there is no reply, EndpointRefused when none can be."""
        import httpx2

        if not self._clients:
            await self.open()
        posting = self._clients[lane].post("/chat/completions", cast_to=httpx2.Response, content=content)
        response = await self.asked(posting)
        try:
            return reply_in(json.loads(response.content))
        except ValueError:
            raise Trouble("server_error", "The endpoint answered 200 with something that is no JSON.") from None

    async def client(self) -> "openai.AsyncOpenAI":
        """The SDK's client, for all that is not a chat; await what it does with `asked`."""
        await self.open()
        return self._clients[0]

    async def _listed_models(self) -> list[str]:
        return [model.id async for model in self._clients[0].models.list()]

    async def asked(self, waiting: Awaitable[T]) -> T:
        """Await the SDK. What it raises is put into our words outside of its handler, so that no message of an
        endpoint, which may repeat the key, is chained to it."""
        import aiohttp
        import openai

        problem: Exception
        try:
            return await waiting
        except openai.APIError as error:
            problem = self._problem(error)
        except aiohttp.ClientError:  # what the SDK does not know as its own, such as an answer that is no HTTP
            problem = Trouble("connection_error", f"{self.address} does not speak HTTP.")
        raise problem

    def _problem(self, error: "openai.APIError") -> Exception:
        import openai

        said = self._words(error)
        if isinstance(error, openai.APIConnectionError):
            if _timed_out(error):
                return Trouble("timeout", f"No answer within {self._settings.request_timeout_s:g} s, on any try.")
            return Trouble("connection_error", f"{self.address} cannot be reached, or hung up.")
        status = getattr(error, "status_code", 500)
        if status in _REFUSALS:
            return EndpointRefused(_REFUSALS[status].format(self.address, f"{status}: {said}"), status)
        if status == 429:
            sentence = f"The endpoint takes no more requests now (429: {said})."
            return Trouble("rate_limited", sentence, lasting=error.code == "insufficient_quota")
        if status == 408:
            return Trouble("timeout", f"The endpoint gave up waiting (408: {said}).")
        if status >= 500 or status == 409:
            return Trouble("server_error", f"The endpoint failed ({status}: {said}).")
        if error.code in ("content_filter", "content_policy_violation"):
            return Trouble("content_filter", f"The endpoint's content filter kept the request ({status}: {said}).")
        named = error.param or min((name for name in ADJUSTABLE if name in said), key=said.index, default=None)
        sentence = f"The endpoint finds the request invalid ({status}: {said})."
        return Trouble("rejected", sentence, parameter=named)

    def _words(self, error: "openai.APIError") -> str:
        """An endpoint's own words, short and without the key."""
        body = error.body if isinstance(error.body, dict) else {}
        said = str(body.get("message") or error.message)
        if self._key:
            said = said.replace(self._key, "***")
        return " ".join(said.split())[:_MESSAGE_LIMIT].rstrip(".")


def _timed_out(error: BaseException) -> bool:
    """Whether a lack of time is at the root. Over aiohttp the SDK calls refused and broken connections timeouts too."""
    while error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, TimeoutError)


def reply_in(document: Any) -> Reply:
    """Read a chat completion; the SDK's models would cost half of a call's time. Raises Trouble."""
    try:
        choice, usage = document["choices"][0], document.get("usage") or {}
        message = choice["message"]
        return Reply(
            model=document.get("model") or "",
            text=message.get("content") or "",
            refusal=message.get("refusal"),
            finish_reason=choice.get("finish_reason") or "stop",
            input_tokens=usage.get("prompt_tokens"),
            output_tokens=usage.get("completion_tokens"),
        )
    except (LookupError, TypeError, AttributeError):
        raise Trouble("server_error", "The endpoint answered with something that is no chat completion.") from None
