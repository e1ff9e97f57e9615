"""Reading an answer out of what a model wrote.

Here: how an answer is asked for (a schema, a form in the prompt, or plainly), and the parser of each. Pure.
Not here: which of them an endpoint can do (endpoint), what a thought looks like (thoughts), and whether the answer is
any good (guards).
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter, ValidationError

from orchestration.model.foreign_json import not_storable, parsed, printable, whole, with_strings
from orchestration.model.thoughts import without_thoughts

Form = Literal["json_schema", "json_object", "prompt", "text"]
"""How an answer is asked for: `json_schema` as OpenAI has it, `json_object` with a schema as llama.cpp has it,
`prompt` as JSON described in words, `text` as nothing but the text."""

Messages = Sequence[dict[str, str]]

LONGEST = 200_000  # characters of a reply that are read: more than any answer has
_LONGEST_REPAIR = 8_000  # characters of a reply that are shown to the model again
_MOST_LAYERS = 50  # of labels and quotes around a text
_FENCE = re.compile(r"^```[\w-]*[ \t]*\n(.*?)\n?```$", re.DOTALL)
_LABELS = "answer|text|output|result|response|title|headline|description|product description|post|caption|copy|reply"
_LABEL = re.compile(rf"^(?:#+\s+)?[*_]{{0,2}}(?:{_LABELS})[*_]{{0,2}}\s*:\s*[*_]{{0,2}}\s*", re.IGNORECASE)
_HEADING = re.compile(r"^#+\s+")
_QUOTES = (('"', '"'), ("“", "”"), ("„", "“"), ("«", "»"), ("'", "'"), ("‘", "’"), ("**", "**"), ("`", "`"))


class Unreadable(ValueError):
    """A reply that fits no answer, and why, in a sentence without the reply."""

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(whole(sentence), 500))


class AnswerForm:
    """How answers of one model are asked for and read. `text_field` is the field that a unit meets."""

    def __init__(self, answer: type[BaseModel], text_field: str) -> None:
        if text_field not in answer.model_fields:
            raise ValueError(f"{answer.__name__} has no field {text_field!r}.")
        required = {name for name, field in answer.model_fields.items() if field.is_required()}
        self.name = answer.__name__
        self.text_field = text_field
        self.needs_object = bool(required - {text_field})
        self.schema = strict(answer.model_json_schema())
        self._adapter = TypeAdapter(answer)

    @property
    def plainest(self) -> Form:
        """What to ask of an endpoint that takes no schema: the text alone where that makes an answer."""
        return "prompt" if self.needs_object else "text"

    def response_format(self, form: Form) -> dict[str, Any] | None:
        """The request's `response_format`; None where the form needs none."""
        if form == "json_schema":
            return {
                "type": "json_schema",
                "json_schema": {"name": self.name, "schema": self.schema, "strict": True},
            }
        return {"type": "json_object", "schema": self.schema} if form == "json_object" else None

    def messages(self, messages: Messages, form: Form) -> list[dict[str, str]]:
        """The chat as sent. What is added comes last, so that what requests share still comes first."""
        *shared, last = messages
        if form != "prompt":
            return [*shared, last]
        asked = f"{last['content']}\n\nAnswer with nothing but a JSON object that fits this schema: {self._schema_text}"
        return [*shared, {**last, "content": asked}]

    def repair(self, messages: Messages, reply: str, problem: str) -> list[dict[str, str]]:
        """The chat that asks for the same answer once more, with what was wrong."""
        wrong = f"This is not a valid answer: {problem} Answer again, with nothing but a JSON object that fits this "
        return [
            *messages,
            {"role": "assistant", "content": reply[:_LONGEST_REPAIR]},
            {"role": "user", "content": f"{wrong}schema: {self._schema_text}"},
        ]

    def read(self, reply: str, form: Form) -> tuple[str, dict[str, Any]]:
        """The text and the whole answer in a reply. Raises Unreadable, and nothing else."""
        if len(reply) > LONGEST:
            raise Unreadable(f"The reply is longer than {LONGEST} characters.")
        bare = unwrapped(whole(reply))
        if not bare:
            raise Unreadable("The reply is empty, or it holds no text that is not a thought.")
        if form == "text" and not bare.startswith("{"):
            if not (text := plain(bare)):
                raise Unreadable("The reply is empty.")
            return self._validated({self.text_field: text})
        start, end = bare.find("{"), bare.rfind("}")
        if start < 0 or end < start:
            raise Unreadable("The reply holds no complete JSON object.")
        try:
            document = parsed(bare[start : end + 1], strict=False)
        except ValueError as problem:
            raise Unreadable(f"The reply is no JSON: {problem}.") from None
        document = with_strings(document, _clean)
        if form == "text" and self.text_field not in document and isinstance(document.get("text"), str):
            document = {self.text_field: document["text"]}  # a part of a message, as some endpoints have it
        return self._validated(document)

    @property
    def _schema_text(self) -> str:
        return json.dumps(self.schema, separators=(",", ":"))

    def _validated(self, value: object) -> tuple[str, dict[str, Any]]:
        try:
            answer = self._adapter.validate_python(value)
            text, fields = str(getattr(answer, self.text_field)), answer.model_dump(mode="json")
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, one['loc'])) or 'answer'}: {one['msg']}" for one in error.errors()[:3])
            raise Unreadable(f"The reply does not fit {self.name} ({'; '.join(problems)}).") from None
        # A loop's own validator sees values that its author did not think of, and may raise anything.
        except Exception as error:
            raise Unreadable(f"The reply does not fit {self.name} ({type(error).__name__}).") from error
        if problem := not_storable([text, fields]):
            raise Unreadable(f"The reply holds {problem}.")
        return text, fields


def unwrapped(reply: str) -> str:
    """The reply without a model's thoughts and without the code fence around it."""
    bare = reply.strip()
    if not bare.startswith("{"):  # the strings of an object are looked at one by one, once it is read
        bare = without_thoughts(bare)
    fenced = _FENCE.match(bare)
    return fenced.group(1).strip() if fenced else bare


def plain(reply: str) -> str:
    """The text in a reply: without label, heading marks and the quotes around all of it."""
    text = reply.strip()
    for _ in range(_MOST_LAYERS):
        if (bare := _unquoted(_HEADING.sub("", _LABEL.sub("", text)).strip())) == text:
            break
        text = bare
    return text


def _clean(string: str) -> str:
    """A string of an answer without halves of characters, and without thoughts where it has any."""
    string = whole(string)
    bare = without_thoughts(string)
    return string if bare == string.strip() else bare


def _unquoted(text: str) -> str:
    for opening, closing in _QUOTES:
        inner = text[len(opening) : -len(closing)]
        if text.startswith(opening) and text.endswith(closing) and inner and not {*opening, *closing} & {*inner}:
            return inner.strip()
    return text


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema as strict structured output wants it: every field required, no others, no defaults or titles."""
    kept = {name: value for name, value in schema.items() if name not in ("default", "title", "description")}
    for holder in ("properties", "$defs"):
        if holder in kept:
            kept[holder] = {name: strict(part) for name, part in kept[holder].items()}
    for holder in ("anyOf", "allOf", "oneOf", "prefixItems"):
        if holder in kept:
            kept[holder] = [strict(part) for part in kept[holder]]
    if isinstance(kept.get("items"), dict):
        kept["items"] = strict(kept["items"])
    if "properties" in kept:
        kept |= {"additionalProperties": False, "required": list(kept["properties"])}
    if "description" in schema and "properties" not in schema:
        kept["description"] = schema["description"]
    return kept
