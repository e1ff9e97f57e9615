"""What a choice is made from and what makes it: the one protocol of every policy.

Here: an option with its parts, a context with the options on offer, and the protocol `ChoicePolicy`.
Not here: how any policy forms its beliefs (the other modules of this folder) and how a choice is drawn (assignment).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from types import MappingProxyType
from typing import Any, Protocol

Value = str | float
"""A string is a category, a number is a number."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """What may be chosen. `option_id` is its canonical name, `parts` what it is made of, such as
    `{"recipe": "headline-plain-en", "offer": "ten_off", "price": 9.49}`: policies learn about parts, so that an option
    never chosen is not unknown."""

    option_id: str
    parts: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not self.option_id:
            raise ValueError("An option needs a name: give it an option_id that is not empty.")
        object.__setattr__(self, "parts", MappingProxyType(values(self.parts, f"parts of option {self.option_id!r}")))

    def __reduce__(self) -> tuple:
        return _option, (self.option_id, dict(self.parts))


@dataclass(frozen=True, kw_only=True)
class Context:
    """What is known when a choice is made.

    `pool` is what subjects are pooled by, `format` says which options compete (the recipes of one format), `features`
    are the subject's, and `options` what may be chosen now. Their order does not matter: they are kept by name.
    """

    pool: str = ""
    format: str = ""
    features: Mapping[str, Value] = field(default_factory=dict, hash=False)
    options: tuple[Option, ...] = ()

    def __post_init__(self) -> None:
        options = tuple(sorted(self.options, key=lambda option: option.option_id))
        names = [option.option_id for option in options]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"The options {twice} are offered twice: offer every option_id once.")
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "features", MappingProxyType(values(self.features, "features")))

    def __reduce__(self) -> tuple:
        return Context.from_json, (self.to_json(),)

    def to_json(self) -> str:
        """Canonical JSON: the same context gives the same bytes."""
        return canonical(
            {
                "pool": self.pool,
                "format": self.format,
                "features": dict(self.features),
                "options": {option.option_id: dict(option.parts) for option in self.options},
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "Context":
        read = json.loads(text)
        options = tuple(Option(option_id=name, parts=parts) for name, parts in read["options"].items())
        return cls(pool=read["pool"], format=read["format"], features=read["features"], options=options)


class ChoicePolicy(Protocol):
    """What chooses an option for a context. A value: never changed, only replaced."""

    @property
    def exploration(self) -> float:
        """Share of choices made evenly, so that every option stays possible."""
        ...

    def probabilities(self, context: Context) -> Mapping[str, float]:
        """Probability of each option offered, keyed by option_id: all above zero, summing to 1."""
        ...

    def to_json(self) -> str:
        """Canonical JSON, the same bytes for the same policy, with the policy's kind under `kind`."""
        ...


def language_of(recipe_id: str) -> str:
    """The language that a recipe's identity ends with, as loops.recipes names them; empty where it names none."""
    stem, _, language = recipe_id.rpartition("-")
    return language if stem and len(language) == 2 and language.isalpha() else ""


def values(given: Mapping[str, object], what: str) -> dict[str, Value]:
    """Strings as they are, numbers as floats. Raises ValueError on anything else, naming `what` holds it."""
    read: dict[str, Value] = {}
    for name, value in given.items():
        if isinstance(value, str):
            read[name] = value
        elif isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
            read[name] = float(value)
        else:
            remedy = "Give a string for a category or a finite number, and leave out what is not known."
            raise ValueError(f"The {what} hold {name!r} = {value!r}. {remedy}")
    return read


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: the same value gives the same bytes. Raises ValueError on nan."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _option(option_id: str, parts: Mapping[str, Value]) -> Option:
    return Option(option_id=option_id, parts=parts)
