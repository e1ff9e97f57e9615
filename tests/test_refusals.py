"""What the body of an error says, in whichever shape it comes."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.model.refusals import WORDS, complaint_in, trouble_of


@pytest.mark.parametrize(
    "body",
    [
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
        {"detail": [{"loc": ["body", "seed"], "msg": "no", "input": {"temperature": 1, "max_tokens": 5}}]},
        [{"error": {"message": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'}}],
        {"error": "property 'seed' is unsupported"},
        {"detail": "seed is not supported"},
        {"error": {"message": "Unsupported parameter.", "param": "body.seed"}},
        {"error": {"message": "Unsupported.", "param": ["seed"]}},
        {"error": {"message": f"{'Please read this. ' * 30}The argument seed is unknown.", "param": None}},
        {"seed": ["Unknown field."]},
        {"errors": {"seed": "is not permitted"}},
        {"errors": [{"instancePath": "/seed", "message": "must NOT have additional properties"}]},
        {"timestamp": 1, "error": "Bad Request", "message": "seed?", "path": "/v1/chat/completions"},
        {"message": "{'error': {'message': \"Unrecognized request argument supplied: seed\"}}"},
        {"object": "error", "message": "1 validation error:\n  body -> seed\n    extra fields not permitted"},
        "seed: unknown field",
        "<html><body><h1>400</h1><p>Unknown parameter <b>seed</b></p></body></html>",
        {"error": {"message": "Unknown parameter: 'randomSeed'"}},
    ],
)
def test_a_refused_parameter_is_found_in_any_shape(body: object) -> None:
    for content in (body, json.dumps(body).encode() if not isinstance(body, str) else body.encode()):
        assert complaint_in(content).parameter == "seed"


@pytest.mark.parametrize(
    ("said", "parameter"),
    [
        ("max_tokens is not supported with this model. Use max_completion_tokens instead.", "max_tokens"),
        ("Unknown name 'maxOutputTokens'", "max_tokens"),
        ("Invalid parameter: 'response_format' of type 'json_schema'", "response_format"),
        ("This model does not support structured outputs", "response_format"),
        ("responseFormat is unknown", "response_format"),
        ("temperature must be 1", "temperature"),
        ("maximum context length is 4096, reduce max_tokens", None),
        ("sunflowerseed and seeds", None),
        ("Your input about a seed bomb was flagged by moderation", None),
    ],
)
def test_each_parameter_is_told_from_other_complaints(said: str, parameter: str | None) -> None:
    assert complaint_in({"error": {"message": said}}).parameter == parameter


def test_a_fault_elsewhere_in_the_request_is_no_refused_parameter() -> None:
    body = {"error": {"message": "Too large with the max_tokens given.", "param": "messages"}}
    assert complaint_in(body).parameter is None
    echoed = {"detail": [{"type": "missing", "loc": ["body", "prompt"], "msg": "required", "input": {"seed": "7"}}]}
    assert complaint_in(echoed).parameter is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "No."}}, "No"),
        ({"error": "No."}, "No"),
        ({"detail": [{"loc": ["body", "x"], "msg": "not permitted"}]}, "body.x: not permitted"),
        ([{"error": {"message": "No."}}], "No"),
        ({"a": {"b": "No."}}, "No"),
        ("<html><head><style>a{}</style><title>Gone</title></head><body>Go  home</body></html>", "Gone Go home"),
        (b"\xff\xfe", "��"),
        ({}, "{}"),
        (42, "42"),
        (b"", "without a word"),
        ({"error": "red \x1b[31m\nkey sk-1"}, "red [31m key ***"),
    ],
)
def test_the_words_are_the_endpoints_own_on_one_line_without_the_key(body: object, words: str) -> None:
    assert complaint_in(body, ["sk-1"]).words == words


def test_the_key_is_taken_out_before_the_words_are_cut() -> None:
    key = "sk-very-secret-0123456789"
    said = complaint_in({"error": "x" * (WORDS - 5) + key}, [key]).words
    assert "sk-" not in said
    assert len(said) <= WORDS


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, {"error": {"code": 403, "message": "your input was flagged"}}, "content_filter"),
        (400, {"error": {"code": "content_policy_violation", "message": "no"}}, "content_filter"),
        (400, {"error": {"innererror": {"code": "ResponsibleAIPolicyViolation"}}}, "content_filter"),
        (403, {"error": "no access"}, "rejected"),
        (404, {"error": "no such model"}, "rejected"),
        (422, {"detail": "no"}, "rejected"),
        (402, {"error": "pay"}, "rate_limited"),
        (429, {"error": "slow down"}, "rate_limited"),
        (408, None, "timeout"),
        (409, None, "server_error"),
        (500, "seed", "server_error"),
        (304, None, "rejected"),
    ],
)
def test_a_status_and_a_body_become_a_status_of_the_brief(status: int, body: object, expected: str) -> None:
    assert trouble_of(status, complaint_in(body)).status == expected


def test_only_a_used_up_quota_lasts() -> None:
    assert trouble_of(429, complaint_in({"error": {"code": "insufficient_quota"}})).lasting
    assert not trouble_of(429, complaint_in({"error": "slow down"})).lasting


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["error", "message", "loc"]), inner),
)


@given(ANY_JSON | st.binary())
@settings(max_examples=60, deadline=None)
def test_any_body_has_words_and_raises_nothing(body: object) -> None:
    said = complaint_in(body)
    assert said.words.isprintable()
    assert 0 < len(said.words) <= WORDS
