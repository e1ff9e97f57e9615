"""A language model that answers at once: deterministic product copy for benchmarks and tests.

Here: composing grounded English from the facts of a request, in the style that its prompt names.
Not here: anything a product would be written with. It stands in for an endpoint where the time of the graph, or what
the graph learns, is measured and not the quality of copy.
"""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType

from pydantic import BaseModel

from orchestration.generation.calls import Answer, Call, Request, call_id_of

_FACT = re.compile(r"^(\w+): (.+)$", re.MULTILINE)
_THINGS = ("type", "product", "title", "name")
_BORROWED = 0.25
"""How far shots in the chat pull a style: a model imitates what it is shown."""


@dataclass(frozen=True)
class Style:
    """How often (0 to 1) a text asks, exclaims, speaks to the reader, names a sense or a benefit, invites, hastens."""

    asks: float = 0.0
    exclaims: float = 0.0
    you: float = 0.0
    senses: float = 0.0
    benefits: float = 0.0
    invites: float = 0.0
    hastens: float = 0.0


STYLES: Mapping[str, Style] = {
    "plain": Style(you=0.1, benefits=0.3, senses=0.1),
    "informative": Style(you=0.1, benefits=0.4, senses=0.1),
    "playful": Style(asks=0.8, exclaims=0.7, you=0.5, invites=0.2),
    "sensory": Style(senses=1.0, invites=0.5, you=0.2),
    "vivid": Style(senses=1.0, invites=0.3, exclaims=0.2),
    "warm": Style(senses=0.6, you=0.7, invites=0.6),
    "friendly": Style(you=0.8, invites=0.6, exclaims=0.3),
    "practical": Style(benefits=1.0, you=0.6),
    "helpful": Style(benefits=1.0, you=0.6),
    "benefit": Style(benefits=1.0, you=0.7, invites=0.2),
    "direct": Style(invites=0.9, hastens=0.6),
    "urgent": Style(hastens=0.9, exclaims=0.6, invites=0.5),
}

_TASTES = ("delicious", "tasty", "fresh", "rich", "hearty")
_FEELS = ("gentle", "soft", "smooth", "fresh", "bright")
_ASKS = (
    "Looking for {thing}?",
    "In the mood for {thing}?",
    "Out of {thing} again?",
    "What goes into the basket this week?",
    "Is {thing} on the list?",
)
_INVITES = ("Enjoy", "Try", "Pick", "Grab", "Bring home", "Discover")
_BENEFITS = (
    "an easy choice",
    "quick and handy",
    "simple and reliable",
    "ready for every day",
    "great value for the family",
    "convenient on a busy day",
)
_YOURS = ("for your kitchen list", "for your week", "just as you like it", "for you and yours", "to make your day")
_HASTE = ("today", "now", "tonight", "soon")
_PLACES = ("on the shelf", "in the aisle", "a familiar sight", "for the weekly shop", "on the list")
_SIZES = ("It comes in a size of {size}.", "The pack holds {size}.", "One pack is {size}.", "The size is {size}.")
_CLOSERS = (
    "Look for it among {category}.",
    "It belongs to the weekly shop.",
    "There is room for it in the basket.",
    "The shelf with {category} has it.",
    "A familiar sight in the aisle.",
)


class InstantLanguageModel:
    """Has the interface of the `LanguageModel` resource, and answers every request at once, at no cost."""

    name = "instant"
    capabilities: Mapping[str, str] = MappingProxyType({})

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
        """One answer per request, in their order. The same request gives the same text."""
        answers = [self._answer(request, answer, text_field) for request in requests]
        if progress:
            progress(len(answers), len(answers))
        return answers

    def _answer(self, request: Request, answer: type[BaseModel], text_field: str) -> Answer:
        text = compose(request.messages, request.prompt_name, request.seed)
        call = Call(
            call_id=call_id_of(f"{request.prompt_name}:{request.seed}:{request.messages[-1]}", request.brief_id, 1),
            brief_id=request.brief_id,
            prompt_name=request.prompt_name,
            prompt_version=request.prompt_version,
            model=self.name,
            seed=request.seed,
            status="ok",
            input_tokens=sum(len(message["content"]) for message in request.messages) // 4,
            output_tokens=len(text) // 4,
            cost_usd=0.0,
            latency_s=0.0,
            cache_hit=False,
            called_at=datetime.now(UTC).replace(tzinfo=None),
        )
        fields = answer.model_validate({text_field: text}).model_dump(mode="json")
        return Answer(request.brief_id, "ok", text, fields, None, (call,))


def compose(messages: Sequence[Mapping[str, str]], prompt_name: str, seed: int) -> str:
    """Copy for the facts in the last message, in the format and style that `prompt_name` ends with.

    `prompt_name` reads loop-format-style; a style not in STYLES gets one of its own, made from its name.
    Raises ValueError when the last message shows no facts.
    """
    facts = dict(_FACT.findall(messages[-1]["content"]))
    thing = next((facts[name] for name in _THINGS if facts.get(name)), None)
    if not thing:
        raise ValueError(
            f"The last message shows no {', '.join(map(repr, _THINGS))} fact: {messages[-1]['content'][:80]!r}."
        )
    _, form, style_name, *_ = *prompt_name.split("-", 2), "", ""
    style = _pulled(_style(style_name), tuple(m["content"] for m in messages[:-1] if m["role"] == "assistant"))
    draw = random.Random(f"{seed}:{prompt_name}:{thing}")

    def is_to(chance: float) -> bool:
        return draw.random() < chance

    qualities = _FEELS if facts.get("category") == "household" else _TASTES
    if is_to(style.senses):
        first, second = draw.sample(qualities, 2)
        thing_said = f"{first}, {second} {thing}" if is_to(0.5 * style.senses) else f"{first} {thing}"
    else:
        thing_said = thing
    parts = [draw.choice(_INVITES), thing_said] if is_to(style.invites) else [thing_said]
    ending = []
    if is_to(style.benefits):
        ending.append(draw.choice(_BENEFITS))
    if is_to(style.you):
        ending.append(draw.choice(_YOURS))
    if is_to(style.hastens):
        ending.append(draw.choice(_HASTE))
    if not ending and form == "headline":
        ending.append(draw.choice(_PLACES))
    mark = "!" if is_to(style.exclaims) else "."
    lines = [_sentence(", ".join(filter(None, (" ".join(parts), " ".join(ending)))) + mark)]
    if is_to(style.asks):
        lines.insert(0, _sentence(draw.choice(_ASKS).format(thing=thing)))
    more = {"headline": 0, "social": 1}.get(form, 2)
    closers = [
        *draw.sample(_SIZES, 1 if "size" in facts else 0),
        *draw.sample(_CLOSERS, 1 if "category" in facts else 0),
    ]
    draw.shuffle(closers)
    lines += [closer.format(**facts) for closer in closers[:more]]
    if form == "headline" and len(lines[0].split()) + len(lines[-1].split()) > 13:
        return lines[0]
    return " ".join(lines)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


@lru_cache(maxsize=64)
def _style(name: str) -> Style:
    if name in STYLES:
        return STYLES[name]
    draw = random.Random(f"style:{name}")
    return Style(**{field: draw.choice((0.0, 0.2, 0.9)) for field in Style.__dataclass_fields__})


@lru_cache(maxsize=4_096)
def _pulled(style: Style, shots: tuple[str, ...]) -> Style:
    """The style, drawn a little towards the shots in the chat."""
    if not shots:
        return style
    seen = Style(
        asks=_share(shots, r"\?"),
        exclaims=_share(shots, "!"),
        you=_share(shots, r"\byour?s?\b"),
        senses=_share(shots, "|".join(rf"\b{word}\b" for word in (*_TASTES, *_FEELS, "creamy", "crisp", "sweet"))),
        benefits=_share(shots, r"\b(easy|quick|simple|handy|ready|value|convenient|reliable)\b"),
        invites=_share(shots, rf"^({'|'.join(_INVITES)}|Make|Add|Treat)\b"),
        hastens=_share(shots, rf"\b({'|'.join(_HASTE)})\b"),
    )
    return Style(
        **{
            name: (1 - _BORROWED) * getattr(style, name) + _BORROWED * getattr(seen, name)
            for name in Style.__dataclass_fields__
        }
    )


def _share(shots: Sequence[str], pattern: str) -> float:
    found = re.compile(pattern, re.IGNORECASE)
    return sum(bool(found.search(shot)) for shot in shots) / len(shots)
