"""What an endpoint can do: found out once for each endpoint, model and answer, and remembered.

Here: the body of a request as the endpoint takes it, and the probe that settles it. Whatever is missing falls back in
the open: each step is logged, and the outcome is metadata of the turn.
Not here: one call (endpoint) and the forms themselves (replies).
"""

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from orchestration.generation.calls import Request
from orchestration.model.completions import ending_of
from orchestration.model.endpoint import Endpoint
from orchestration.model.foreign_json import parsed
from orchestration.model.replies import AnswerForm, Form, unwrapped
from orchestration.model.responses import Paid, Responses
from orchestration.model.troubles import EndpointRefused, Trouble
from orchestration.settings import Settings

log = logging.getLogger(__name__)

Pay = Callable[[dict[str, Any]], Awaitable[Paid]]
PROBE_TOKENS = 200
_PROBE = [{"role": "user", "content": "Fill in every field with the word 'ready'."}]


@dataclass(frozen=True)
class Capabilities:
    """What an endpoint takes: the form of an answer, the name of the token limit, and the parameters it refuses."""

    form: Form
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    without: tuple[str, ...] = ()

    def body(
        self,
        model: str,
        messages: Sequence[dict[str, str]],
        response_format: dict[str, Any] | None,
        *,
        seed: int,
        max_tokens: int,
        temperature: float,
    ) -> dict[str, Any]:
        """The body of a request, all but who it is for."""
        body = {
            "model": model,
            "messages": list(messages),
            self.limit: max_tokens,
            "seed": seed,
            "temperature": temperature,
        }
        if response_format is not None:
            body["response_format"] = response_format
        return {name: value for name, value in body.items() if name not in self.without}

    def without_parameter(self, parameter: str) -> "Capabilities | None":
        """What is left when a parameter is refused; None when there is nothing to give up."""
        if parameter in ("temperature", "seed") and parameter not in self.without:
            return replace(self, without=(*self.without, parameter))
        if parameter == "max_tokens" == self.limit:
            return replace(self, limit="max_completion_tokens")
        if parameter == "max_completion_tokens" == self.limit:
            return replace(self, limit="max_tokens")
        return None


def recalled(settings: Settings, endpoint: Endpoint, model: str, form: AnswerForm, responses: Responses) -> Any:
    """The capabilities as far as they are known without asking, or None."""
    if endpoint.is_local:  # a small model writes text, and its server fails on schemas
        return Capabilities(form.plainest)
    known = responses.recall(endpoint.address, _topic(settings, model, form))
    return Capabilities(known["form"], known["limit"], tuple(known["without"])) if known else None


async def settled(
    settings: Settings,
    endpoint: Endpoint,
    model: str,
    form: AnswerForm,
    responses: Responses,
    like: Request,
    pay: Pay,
) -> Capabilities:
    """The capabilities, asked for with small requests the first time. Raises Trouble and EndpointRefused."""
    found = recalled(settings, endpoint, model, form, responses)
    if found is None:
        found = await _probed(settings, endpoint, model, form, like, pay)
        responses.remember(endpoint.address, _topic(settings, model, form), asdict(found))
        log.info("%s answers %s as %s.", model, form.name, _in_words(found))
    return found


def _in_words(found: Capabilities) -> str:
    dropped = f", without {' and '.join(found.without)}" if found.without else ""
    return f"{found.form} with {found.limit}{dropped}"


async def _probed(
    settings: Settings, endpoint: Endpoint, model: str, form: AnswerForm, like: Request, pay: Pay
) -> Capabilities:
    wanted = settings.structured_output
    forms: list[Form] = [] if wanted == "text" else ["json_schema", "json_object"]
    forms += [] if wanted == "schema" else [form.plainest]
    found = first = Capabilities(forms[0], "max_completion_tokens" if endpoint.is_official else "max_tokens")
    tried: set[Capabilities] = set()
    while True:
        tried.add(found)
        body = found.body(
            model,
            form.messages(_PROBE, found.form),
            form.response_format(found.form),
            seed=like.seed,
            max_tokens=max(PROBE_TOKENS, like.max_tokens),
            temperature=like.temperature,
        )
        structured = "response_format" in body
        rejected: Trouble | None = None
        try:
            paid = await pay(body)
        except Trouble as trouble:
            if trouble.access or trouble.status not in ("rejected", "server_error"):
                raise _hopeless(endpoint, trouble) from None
            adjusted = found.without_parameter(trouble.parameter or "")
            if adjusted is not None and adjusted not in tried:
                log.warning("%s does not take %s: going on without it.", model, trouble.parameter)
                found = adjusted
                continue
            if not structured and trouble.status == "server_error":
                raise
            rejected, reason = trouble, trouble.sentence
        else:
            if not structured or _keeps_to_schema(paid, form):
                return found
            reason = "The reply did not keep to the schema."
        following = forms[forms.index(found.form) + 1 :]
        if following:
            log.warning("%s does not answer in the form %s (%s): trying %s.", model, found.form, reason, following[0])
            found = replace(found, form=following[0])
            continue
        # Something is refused that the endpoint does not name: give up what a request can do without, step by step.
        plainer = [one for one in _plainer(first) if one not in tried] if rejected is not None else []
        if rejected is not None and rejected.status == "rejected" and plainer:
            log.warning("%s rejects the request (%s): trying with less.", model, reason)
            found = plainer[0]
            continue
        if structured:
            raise EndpointRefused(
                f"{endpoint.address} takes no JSON schema ({reason}). Set FLYWHEEL_STRUCTURED_OUTPUT to auto or text."
            )
        raise _hopeless(endpoint, rejected or Trouble("rejected", reason))


def _plainer(first: Capabilities) -> list[Capabilities]:
    """Fewer and fewer parameters, and the other name of the token limit, each with the first form again."""
    other = first.without_parameter(first.limit) or first
    bare = ("seed", "temperature")
    return [replace(first, without=bare[:1]), replace(first, without=bare), replace(other, without=bare)]


def _hopeless(endpoint: Endpoint, trouble: Trouble) -> Exception:
    """Every call would be rejected as the smallest one was; any other trouble may pass."""
    if trouble.access:
        return EndpointRefused(trouble.sentence, trouble.code)
    if trouble.status != "rejected":
        return trouble
    return EndpointRefused(f"{endpoint.address} rejects the simplest request: {trouble.sentence} Set FLYWHEEL_MODEL.")


def _keeps_to_schema(paid: Paid, form: AnswerForm) -> bool:
    bare = unwrapped(paid.text)
    try:
        value = parsed(bare)
    except ValueError:
        # Cut off in the middle of an object, or while the model was still thinking: it was on its way.
        return ending_of(paid.finish_reason) == "truncated" and (not bare or bare.startswith("{"))
    return isinstance(value, dict) and set(form.schema["required"]) <= set(value)


def _topic(settings: Settings, model: str, form: AnswerForm) -> str:
    schema = hashlib.sha256(json.dumps(form.schema, sort_keys=True).encode()).hexdigest()[:16]
    return f"form:{settings.structured_output}:{model}:{schema}"
