"""How an answer is found in what a model wrote."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from orchestration.model.replies import AnswerForm, Unreadable, plain, strict


class Copy(BaseModel):
    text: str = Field(min_length=3)


class Quote(BaseModel):
    """Not for the endpoint's eyes."""

    title: str = "Quote"
    price: float = Field(description="In US dollars.")


class Reply(BaseModel):
    text: str
    quotes: list[Quote]
    note: str | None = None


COPY, REPLY = AnswerForm(Copy, "text"), AnswerForm(Reply, "text")


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("Crisp apples, 3 lb.", "Crisp apples, 3 lb."),
        ("  Crisp apples.\n", "Crisp apples."),
        ('"Crisp apples."', "Crisp apples."),
        ("“Crisp apples.”", "Crisp apples."),
        ("**Crisp apples.**", "Crisp apples."),
        ("Headline: Crisp apples", "Crisp apples"),
        ("**Description:** Crisp apples", "Crisp apples"),
        ('Answer: "Crisp apples"', "Crisp apples"),
        ("# Crisp apples", "Crisp apples"),
        ("```\nCrisp apples\n```", "Crisp apples"),
        ("```text\nCrisp apples\n```", "Crisp apples"),
        ("<think>Apples, so crisp.</think>\nCrisp apples", "Crisp apples"),
        ('{"text": "Crisp apples"}', "Crisp apples"),
        ('```json\n{"text": "Crisp apples"}\n```', "Crisp apples"),
        ("#apples are here", "#apples are here"),
        ('"Crisp" and "sweet"', '"Crisp" and "sweet"'),
        ("Size: 3 lb of apples", "Size: 3 lb of apples"),
        ("It's Anna's", "It's Anna's"),
    ],
)
def test_a_plain_reply_is_the_text_without_its_wrapping(reply: str, text: str) -> None:
    assert COPY.read(reply, "text") == (text, {"text": text})


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ("", "empty"),
        ("<think>Hm.</think>", "empty"),
        ("ok", "text"),
        ('{"text": "Crisp apples"', "no complete JSON"),
        ("{text: Crisp apples}", "no JSON"),
        ('{"words": "Crisp apples"}', "text"),
    ],
)
def test_a_reply_that_is_no_answer_says_why(reply: str, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        COPY.read(reply, "text")


def test_an_object_is_found_among_words_and_keeps_every_field() -> None:
    written = 'Sure! {"text": "Two offers", "quotes": [{"price": 2}], "note": null} Anything else?'
    text, answer = REPLY.read(written, "prompt")
    assert text == "Two offers"
    assert answer == {"text": "Two offers", "quotes": [{"title": "Quote", "price": 2.0}], "note": None}


def test_line_breaks_inside_of_strings_are_taken_as_they_are() -> None:
    assert COPY.read('{"text": "two\nlines"}', "json_schema")[0] == "two\nlines"


def test_an_answer_of_one_text_is_asked_for_plainly_and_one_of_several_fields_in_words() -> None:
    chat = [{"role": "system", "content": "Write."}, {"role": "user", "content": "apples"}]
    assert COPY.messages(chat, COPY.plainest) == chat
    asked = REPLY.messages(chat, REPLY.plainest)
    assert asked[0] == chat[0]
    assert asked[1]["content"].startswith("apples\n\n")
    assert '"quotes"' in asked[1]["content"]


def test_a_strict_schema_requires_every_field_and_forbids_others() -> None:
    schema = strict(Reply.model_json_schema())
    quote = schema["$defs"]["Quote"]
    assert schema["required"] == ["text", "quotes", "note"]
    assert quote["required"] == ["title", "price"]
    assert schema["additionalProperties"] is quote["additionalProperties"] is False
    assert quote["properties"]["price"]["description"] == "In US dollars."
    assert "default" not in json.dumps(schema)
    assert "eyes" not in json.dumps(schema)


def test_a_text_field_that_the_answer_lacks_is_a_mistake_of_the_loop() -> None:
    with pytest.raises(ValueError, match="no field 'body'"):
        AnswerForm(Copy, "body")


@given(st.text())
def test_any_reply_is_an_answer_or_unreadable(reply: str) -> None:
    for form in ("text", "prompt", "json_schema"):
        try:
            text, answer = COPY.read(reply, form)
        except Unreadable:
            continue
        assert answer == {"text": text}
        assert len(text) >= 3


@given(st.text())
def test_unwrapping_a_text_twice_changes_nothing_more(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=3))
def test_an_answer_written_as_json_is_read_back(text: str) -> None:
    assert COPY.read(json.dumps({"text": text}), "json_schema")[0] == text
