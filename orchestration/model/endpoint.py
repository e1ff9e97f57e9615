"""One OpenAI-compatible endpoint: its address, its model, and one call to it.

Here: the SDK's clients, one call, and nothing but Trouble and EndpointRefused whatever comes of it.
Not here: what a reply (completions) or an error (refusals) says, what the endpoint can do (capabilities), which calls
to make (generation), the local server (local_model).
"""

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from orchestration.model.completions import Reply, models_in, reply_in
from orchestration.model.foreign_json import parsed
from orchestration.model.local_model import local_servers
from orchestration.model.local_weights import LOCAL_MODELS
from orchestration.model.refusals import REMEDIES, complaint_in, trouble_of
from orchestration.model.responses import Responses
from orchestration.model.troubles import EndpointRefused, Trouble
from orchestration.settings import Settings

if TYPE_CHECKING:
    import httpx2
    import openai

T = TypeVar("T")

OFFICIAL = "https://api.openai.com/v1"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LONGEST_PAUSE = 120.0  # seconds that the SDK waits before a retry, at most
_SHORTEST_SECRET = 16  # characters from which a key is told from a word that happens to be the same


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
        self._local_name = LOCAL_MODELS[settings.local_model].served_as
        if self.is_local and settings.model not in (None, self._local_name):
            raise EndpointRefused(
                f"FLYWHEEL_MODEL is {settings.model!r}, but there is no endpoint to ask for it: set OPENAI_API_KEY or "
                "OPENAI_BASE_URL, or leave FLYWHEEL_MODEL out to use the local model (FLYWHEEL_LOCAL_MODEL)."
            )
        self.address = "local" if self.is_local else url.rstrip("/")
        self.is_official = not self.is_local and (parts.hostname or "").endswith("api.openai.com")
        self._on_loopback = self.is_local or parts.hostname in _LOOPBACK
        self._opening = asyncio.Lock()
        self._clients: list[openai.AsyncOpenAI] = []

    @property
    def secrets(self) -> list[str]:
        """What no message may show."""
        return [self._key] if self._key else []

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
                for server in await asyncio.to_thread(local_servers(self._settings.local_model).ready):
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
                event_hooks={"request": [_stays_at(httpx2.URL(url))]},
            ),
        )

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        self._clients.clear()

    @property
    def settled_model(self) -> str | None:
        """The model's name where the settings decide it."""
        return self._local_name if self.is_local else self._settings.model

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
            names = models_in(await self.bytes_of("GET", "/models"))
        except Trouble as trouble:
            if trouble.access:
                raise EndpointRefused(trouble.sentence, trouble.code) from None
            names = self._known_names(responses)
            if names is None:
                raise
        if names is None:
            names = self._known_names(responses)
        if names is None:
            raise EndpointRefused(
                f"{self.address} does not answer with a list of models: check OPENAI_BASE_URL, which often ends in "
                "/v1, or set FLYWHEEL_MODEL."
            )
        if len(names) != 1:
            some = ", ".join(sorted(names)[:10]) or "none"
            raise EndpointRefused(f"{self.address} offers {len(names)} models ({some}): set FLYWHEEL_MODEL to one.")
        responses.remember(self.address, "model", {"model": names[0]})
        return names[0]

    def _known_names(self, responses: Responses) -> list[str] | None:
        known = self.known_model(responses)
        return None if known is None else [known]

    async def send(self, content: bytes, lane: int = 0) -> Reply:
        """One call, with the SDK's retries. Raises Trouble when there is no reply, EndpointRefused when none can be."""
        tries = self._settings.max_retries + 1
        try:  # an endpoint that sends a byte now and then keeps within the time for each, and would never end
            async with asyncio.timeout(tries * (self._settings.request_timeout_s + _LONGEST_PAUSE)):
                answered = await self.bytes_of("POST", "/chat/completions", content, lane)
        except TimeoutError:
            raise Trouble("timeout", f"No whole answer in {tries} times FLYWHEEL_REQUEST_TIMEOUT_S.") from None
        return reply_in(self._without_secret(answered))

    async def bytes_of(self, method: str, path: str, content: bytes | None = None, lane: int = 0) -> bytes:
        """What is answered to a request, unread; `content` is JSON. Raises Trouble and EndpointRefused."""
        import httpx2

        if not self._clients:
            await self.open()
        client = self._clients[lane]
        if method == "GET":
            return (await self.asked(client.get(path, cast_to=httpx2.Response))).content
        return (await self.asked(client.post(path, cast_to=httpx2.Response, content=content))).content

    async def document_of(self, method: str, path: str, content: bytes | None = None) -> dict[str, Any]:
        """The JSON object that is answered to a request. Raises Trouble and EndpointRefused."""
        return document_in(await self.bytes_of(method, path, content))

    async def client(self) -> "openai.AsyncOpenAI":
        """The SDK's client, for what is more than a request with JSON; await what it does with `asked`."""
        await self.open()
        return self._clients[0]

    async def asked(self, waiting: Awaitable[T]) -> T:
        """Await the SDK. What it raises is put into our words outside of its handler, so that no message of an
        endpoint, which may repeat the key, is chained to it."""
        import openai

        problem: Exception
        try:
            return await waiting
        except (EndpointRefused, Trouble):
            raise
        except openai.APIError as error:
            problem = self._problem(error)
        # What the SDK does not know as its own, such as an answer that is no HTTP or a header that is no text: what an
        # endpoint sends decides what is raised, so that no list of it would be whole.
        except Exception as error:
            name = type(error).__name__
            problem = Trouble("connection_error", f"{self.address} does not speak HTTP as it should ({name}).")
        raise problem

    def _problem(self, error: "openai.APIError") -> Exception:
        import openai

        if isinstance(error, openai.APIConnectionError):
            if _timed_out(error):
                return Trouble("timeout", f"No answer within {self._settings.request_timeout_s:g} s, on any try.")
            return Trouble("connection_error", f"{self.address} cannot be reached, or hung up.")
        if not isinstance(error, openai.APIStatusError):
            return Trouble("server_error", f"The endpoint failed ({type(error).__name__}).")
        said = complaint_in(_body_of(error.response), self.secrets)
        if error.status_code == 401:
            return EndpointRefused(REMEDIES[401].format(self.address, f"401: {said.words}"), 401)
        return trouble_of(error.status_code, said, self.address)

    def _without_secret(self, answered: bytes) -> bytes:
        """An endpoint that repeats the key in a reply would have it kept and published."""
        key = self._key.encode()
        return answered.replace(key, b"***") if len(key) >= _SHORTEST_SECRET and key in answered else answered


def document_in(content: bytes) -> dict[str, Any]:
    """A JSON object. Raises Trouble."""
    try:
        document = parsed(content)
    except ValueError as problem:
        raise Trouble("server_error", f"The endpoint answered 200 with no JSON ({problem}).") from None
    if not isinstance(document, dict):
        raise Trouble("server_error", "The endpoint answered with JSON that is no object.")
    return document


def _stays_at(home: "httpx2.URL") -> Any:
    """A hook that lets no request leave for another host: neither the key nor what is sent is meant for it."""

    async def check(request: "httpx2.Request") -> None:
        there = request.url
        same = (there.scheme, there.host, there.port) == (home.scheme, home.host, home.port)
        if not same and not (there.host == home.host and home.scheme == "http" and there.scheme == "https"):
            here, elsewhere = (f"{url.scheme}://{url.netloc.decode()}" for url in (home, there))
            raise Trouble(
                "rejected",
                f"{here} sends requests on to {elsewhere}, which got neither the key nor the request. "
                "Set OPENAI_BASE_URL to the address that is meant.",
                access=True,
            )

    return check


def _body_of(response: "httpx2.Response") -> bytes:
    """What came with an error; nothing where it could not be read, such as one that is compressed wrongly."""
    import httpx2

    try:
        return response.content
    except (httpx2.HTTPError, httpx2.StreamError):
        return b""


def _timed_out(error: BaseException) -> bool:
    """Whether a lack of time is at the root. Over aiohttp the SDK calls refused and broken connections timeouts too."""
    while error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, TimeoutError)
