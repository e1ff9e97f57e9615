"""Answers: pydantic values whose identity is their canonical JSON, and whose text is only a rendering.

Here: which fields people meet, the text that they make, what identifies an answer, and an answer with fields replaced.
Not here: reading an answer out of a reply (model.replies) and judging it (guards).
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError, create_model


class Shown:
    """Marks a field that people meet: `text: Annotated[str, Shown()]`."""


class AnswerInvalid(ValueError):
    """Fields that make no answer of the loop's type; the message says which, and why."""


@cache
def shown_fields(answer: type[BaseModel]) -> tuple[str, ...]:
    """Names of the fields marked as shown, in their order. Raises ValueError when there is none."""
    marked = tuple(
        name for name, field in answer.model_fields.items() if any(isinstance(mark, Shown) for mark in field.metadata)
    )
    if not marked:
        raise ValueError(f"{answer.__name__} marks no field as shown: annotate what people meet with Shown().")
    return marked


@cache
def text_field(answer: type[BaseModel]) -> str:
    """The shown field that a plain text fills, such as an original that landed as text: the first one."""
    return shown_fields(answer)[0]


def rendered(answer: type[BaseModel], value: Mapping[str, Any]) -> str:
    """The text that people meet: the shown fields, one a line; what is no string stands as JSON."""
    parts = (value[name] for name in shown_fields(answer) if value.get(name) is not None)
    return "\n".join(part if isinstance(part, str) else canonical(part) for part in parts)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: the same value gives the same bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def identity(answer: type[BaseModel], value: Mapping[str, Any]) -> str:
    """What makes two answers the same: their canonical JSON.

    An answer that is nothing but one text is identified by that text, so that an original, which lands as text, and an
    answer in the same words are the same variant.
    """
    if is_plain_text(answer):
        return str(value[text_field(answer)]).strip()
    return canonical(value)


@cache
def is_plain_text(answer: type[BaseModel]) -> bool:
    """Whether an answer of this type is nothing but one text."""
    return len(answer.model_fields) == 1 and answer.model_fields[text_field(answer)].annotation is str


def original_answer(answer: type[BaseModel], text: str) -> dict[str, Any]:
    """What a subject has without the flywheel as an answer: JSON of the type where it is that, else its first text."""
    if text.lstrip().startswith("{"):
        try:
            return validated(answer, json.loads(text))
        except (json.JSONDecodeError, AnswerInvalid):
            pass  # a text may begin with a brace
    return {text_field(answer): text}


def validated(answer: type[BaseModel], value: object) -> dict[str, Any]:
    """The answer as plain values. Raises AnswerInvalid naming the fields that do not fit, or what cannot be kept: a
    number that is none, half a surrogate pair, a zero character, which no JSON or no table holds."""
    try:
        found: dict[str, Any] = TypeAdapter(answer).validate_python(value).model_dump(mode="json")
        text = canonical(found)
        text.encode()
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, each['loc'])) or 'answer'}: {each['msg']}" for each in error.errors()[:3])
        raise AnswerInvalid(f"This is no {answer.__name__}: {'; '.join(problems)}.") from None
    except (ValueError, RecursionError) as fault:
        raise AnswerInvalid(f"This {answer.__name__} cannot be written down: {fault}.") from None
    if "\\u0000" in text.replace("\\\\", ""):
        raise AnswerInvalid(f"This {answer.__name__} cannot be written down: it holds a zero character.")
    return found


def edited(answer: type[BaseModel], value: Mapping[str, Any], edits: Mapping[str, Any]) -> dict[str, Any]:
    """`value` with the fields of `edits` in their place. Raises AnswerInvalid for unknown or unfitting fields."""
    unknown = sorted(set(edits) - set(answer.model_fields))
    if unknown:
        raise AnswerInvalid(
            f"{answer.__name__} has no field {', '.join(unknown)}; it has {', '.join(answer.model_fields)}."
        )
    return validated(answer, {**value, **edits})


@cache
def without_fields(answer: type[BaseModel], left_out: Sequence[str]) -> type[BaseModel]:
    """The type that a model is asked for where other steps fill `left_out`: the same fields but those."""
    if not left_out:
        return answer
    kept: dict[str, Any] = {
        name: (field.annotation, field) for name, field in answer.model_fields.items() if name not in left_out
    }
    return create_model(answer.__name__, __doc__=answer.__doc__, **kept)
