"""Whatever an endpoint sends is a status of the brief that it was for, and costs nothing else."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from orchestration.model import batches
from orchestration.model.completions import ending_of, models_in, reply_in, reply_of
from orchestration.model.language_model import STATUSES, Answer, EndpointRefused, LanguageModel
from orchestration.model.replies import AnswerForm, Unreadable
from orchestration.model.troubles import Trouble
from orchestration.settings import Settings
from orchestration.testing.asking import KEY, LOOP, TURN, Copy, ask, briefs, forget_probe
from orchestration.testing.loopback import Behaviour, Loopback, serve

pytest_plugins = ("tests.loopback_fixtures",)

AGAIN = ("server_error", "rejected", "rate_limited")  # what was no answer may be asked for by a later run
Change = Callable[[dict[str, Any]], Any]


def number_of(body: dict[str, Any]) -> int:
    """The number of the brief that a request is for; of the probe, one that no brief has."""
    return int(body["messages"][1]["content"].split()[-1]) if len(body["messages"]) > 1 else 9000


def with_changes(changes: list[Change]) -> Callable[[dict, int, Any], tuple[int, Any]]:
    """Every second reply as its change makes it: what that returns, or the document that it changed."""

    def reshaped(body: dict[str, Any], status: int, document: Any) -> tuple[int, Any]:
        place, good = divmod(number_of(body), 2)
        if status != 200 or good or place >= len(changes):
            return status, document
        changed = changes[place](document)
        return (200, document) if changed is None else changed if isinstance(changed, tuple) else (200, changed)

    return reshaped


def answered(
    server: Loopback, settings: Callable[..., Settings], changes: list[Change], **options: Any
) -> list[Answer]:
    """The answers to replies that were changed, each between two good ones, in a turn that was run twice: none of the
    good ones is lost, and none is paid for twice."""
    plain = settings(**{"structured_output": "text", "max_concurrency": 1, **options})
    ask(plain, briefs(1, start=9000))
    forget_probe(server)
    server.behaviour.reshaped = with_changes(changes)
    first, again = (ask(plain, briefs(2 * len(changes))) for _ in range(2))
    for run in (first, again):
        assert [answer.status for answer in run[1::2]] == ["ok"] * len(changes)
        assert all(answer.status in STATUSES for answer in run)
        assert all((answer.text is None) == (answer.status != "ok") for answer in run)
    assert [answer.status for answer in first] == [answer.status for answer in again]
    at_most = len(first) + sum(answer.status in (*AGAIN, "content_filter") for answer in again)
    assert server.counts.asked.total() <= at_most
    return first[::2]


def message(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["choices"][0]["message"].update(fields)


def choice(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["choices"][0].update(fields)


def top(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document.update(fields)


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def test_content_of_any_form_is_read_where_there_is_text(server: Loopback, settings) -> None:
    forms = {
        "Beans": "Beans \ud83d",
        "Peas": "\udc00Peas",
        "Beans.": [{"type": "text", "text": "Beans."}],
        "Peas.": [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "Peas."}],
        "Corn.": ["Co", "rn."],
        "x": {"text": "x"},
        "Rice.": {"type": "text", "text": {"value": "Rice."}},
    }
    answers = answered(server, settings, [message(content=content) for content in forms.values()])
    assert [answer.text for answer in answers] == list(forms)


def test_content_without_text_is_a_status(server: Loopback, settings) -> None:
    contents = [42, None, True, [], {}, [[]], [{"type": "image"}], {"text": 5}, float("nan")]
    answers = answered(server, settings, [message(content=content) for content in contents])
    assert {answer.status for answer in answers} == {"parse_failed"}


SHAPES: list[tuple[Change, str]] = [
    (message(refusal={"reason": "x"}), "refused"),
    (message(refusal=["no"]), "refused"),
    (message(refusal=True), "refused"),
    (message(content=[{"type": "refusal", "refusal": "No."}]), "refused"),
    (choice(finish_reason={"type": "length"}), "truncated"),
    (choice(finish_reason=["stop"]), "server_error"),
    (choice(finish_reason=None), "server_error"),
    (choice(message=None), "server_error"),
    (choice(message=[]), "server_error"),
    (top(choices={}), "server_error"),
    (top(choices=[None]), "server_error"),
    (top(choices=[]), "server_error"),
    (top(model={"id": "x"}), "ok"),
    (top(model=7), "ok"),
    (top(usage=[]), "ok"),
    (top(usage="none"), "ok"),
    (lambda _: [], "server_error"),
    (lambda _: "hello", "server_error"),
    (lambda _: b"<html><title>Sign in</title></html>", "server_error"),
    (lambda _: b"", "server_error"),
    (lambda _: b"\xff\xfe\x00", "server_error"),
    (lambda _: deep(3_000), "server_error"),
    (lambda _: b"1" * 5_000, "server_error"),
    (lambda _: {"error": {"message": "Upstream is busy.", "code": 429}}, "rate_limited"),
    (lambda _: {"error": {"message": "flagged", "code": 403}}, "content_filter"),
    (lambda _: (204, b""), "server_error"),
    (lambda _: (304, b""), "rejected"),
]


def test_a_reply_of_any_shape_is_a_status_of_its_brief(server: Loopback, settings) -> None:
    changes, statuses = zip(*SHAPES, strict=True)
    assert [answer.status for answer in answered(server, settings, list(changes))] == list(statuses)


def test_an_answer_that_no_store_takes_is_a_status(server: Loopback, settings) -> None:
    inner = {
        '{"text": ' + "[" * 3_000 + "]" * 3_000 + "}": "nested",
        '{"text": ' + "9" * 5_000 + "}": "text",
        '{"text": NaN}': "text",
        '{"text": "a\\u0000b"}': "NUL",
        "{" * 200_001: "longer",
    }
    answers = answered(server, settings, [message(content=content) for content in inner])
    for answer, says in zip(answers, inner.values(), strict=True):
        assert answer.status == "parse_failed"
        assert says in answer.error


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"prompt_tokens": "12", "completion_tokens": 3}, (12, 3)),
        ({"prompt_tokens": 12.0, "completion_tokens": "3"}, (12, 3)),
        ({"input_tokens": 12, "output_tokens": 3}, (12, 3)),
        ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, (None, None)),
        ({"prompt_tokens": 2**70, "completion_tokens": -1}, (None, None)),
        ({"prompt_tokens": True, "completion_tokens": [3]}, (None, None)),
        ({"prompt_tokens": "twelve", "completion_tokens": "1" * 5_000}, (None, None)),
        ({}, (None, None)),
        (None, (None, None)),
    ],
)
def test_usage_is_counted_or_unknown(usage: Any, read: tuple[int | None, int | None]) -> None:
    document = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}
    for reply in (reply_of(document), reply_in(json.dumps(document))):
        assert (reply.input_tokens, reply.output_tokens) == read


def test_tokens_that_are_unknown_are_estimated_and_said_so(
    server: Loopback, settings, caplog: pytest.LogCaptureFixture
) -> None:
    ask(settings(), briefs(1, start=9000))
    server.behaviour.reshaped = with_changes([top(usage={"prompt_tokens": 2**70})])
    model = LanguageModel(settings())
    answers = model.answer_all(briefs(5), Copy, text_field="text", turn=TURN, loop=LOOP)
    assert 0 < answers[0].calls[0].input_tokens < 1_000
    assert model.capabilities["replies_with_estimated_tokens"] == "1"
    assert "1 replies report no tokens" in caplog.text


@pytest.mark.parametrize(
    "listed",
    [
        [{"id": "loopback"}],
        {"data": ["loopback"]},
        ["loopback"],
        {"models": [{"name": "loopback"}]},
        {"data": [{"model": "loopback"}, None, 4, {}]},
        {"data": {"loopback": {}}},
        {"object": "list", "data": [{"id": "loopback"}, {"id": "loopback"}]},
    ],
)
def test_a_list_of_models_is_read_in_any_form(listed: Any) -> None:
    assert models_in(json.dumps(listed)) == ["loopback"]


def test_the_only_model_of_a_bare_list_is_the_default(server: Loopback, settings) -> None:
    server.behaviour.listed = [{"id": "loopback"}]
    assert ask(settings(), briefs(1))[0].status == "ok"


def test_a_list_of_models_that_is_none_is_one_sentence_with_the_remedy(server: Loopback, settings) -> None:
    for listed in (b"<html>Sign in</html>", {}, 42, "x", b"", deep(3_000), {"data": None}, [], [7]):
        server.behaviour.listed = listed
        with pytest.raises(EndpointRefused, match="set FLYWHEEL_MODEL"):
            LanguageModel(settings()).name  # noqa: B018
    assert ask(settings(model="loopback"), briefs(1))[0].status == "ok"


PARTIAL = ["error", "network_error", "insufficient_system_resource", "", "unknown", "tool_calls", "function_call"]


def test_an_end_that_is_not_known_is_no_answer_and_costs_what_it_cost(server: Loopback, settings) -> None:
    prices = {"usd_per_million_input_tokens": 1000.0, "usd_per_million_output_tokens": 1000.0, "budget_usd": 100}
    reasons = [*PARTIAL, "abort", "FINISH_REASON_UNSPECIFIED", "OTHER", "ERROR_TOXIC", "pause_turn"]
    answers = answered(server, settings, [choice(finish_reason=reason) for reason in reasons], **prices)
    assert {answer.status for answer in answers} == {"server_error"}
    assert all(answer.calls[0].cost_usd > 0 for answer in answers)
    server.behaviour.reshaped = None
    later = ask(settings(structured_output="text"), briefs(2 * len(reasons)))
    assert all(answer.status == "ok" for answer in later)


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        *((clean, "clean") for clean in ("stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence", "COMPLETE")),
        *((cut, "truncated") for cut in ("length", "model_length", "max_tokens", "MAX_TOKENS", "max_output_tokens")),
        *((cut, "truncated") for cut in ("model_context_window_exceeded", "incomplete", "token limit")),
        *((kept, "content_filter") for kept in ("content_filter", "SAFETY", "sensitive", "RECITATION", "BLOCKLIST")),
        ("refusal", "refused"),
        *((failed, "failed") for failed in PARTIAL),
        ("stopped_by_error", "failed"),
        ("non-stop", "failed"),
    ],
)
def test_only_known_ends_are_clean(reason: str, ending: str) -> None:
    assert ending_of(reason) == ending


def test_an_unfinished_reply_that_an_earlier_release_kept_as_an_answer_is_asked_for_again(
    server: Loopback, settings
) -> None:
    ask(settings(), briefs(2))
    import sqlite3

    with sqlite3.connect(settings().responses_path) as kept:
        kept.execute("UPDATE replies SET finish_reason = 'network_error'")
    forget_probe(server)
    assert [answer.status for answer in ask(settings(), briefs(2))] == ["ok", "ok"]
    assert server.counts.asked.total() == 2


def test_a_refusal_of_one_request_is_a_status_of_its_brief(server: Loopback, settings) -> None:
    refusals = [
        (403, {"error": {"code": 403, "message": "Blocked: your input was flagged"}}, "content_filter"),
        (403, {"error": {"message": "Not for you."}}, "rejected"),
        (404, {"error": {"message": "No such thing."}}, "rejected"),
        (400, {"detail": "That is too odd."}, "rejected"),
        (422, [{"msg": "That is too odd."}], "rejected"),
        (410, "Gone.", "rejected"),
        (418, {}, "rejected"),
        (451, b"\xff", "rejected"),
    ]
    changes: list[Change] = [lambda _, refusal=refusal: refusal[:2] for refusal in refusals]
    for answer, (status, _, expected) in zip(answered(server, settings, changes), refusals, strict=True):
        assert answer.status == expected
        assert str(status) in answer.error


@pytest.mark.parametrize(("status", "setting"), [(403, "FLYWHEEL_MODEL"), (404, "FLYWHEEL_MODEL"), (405, "BASE_URL")])
def test_a_refusal_of_every_request_is_one_clear_sentence(
    server: Loopback, settings, status: int, setting: str
) -> None:
    ask(settings(), briefs(1, start=9000))
    forget_probe(server)
    server.behaviour.reshaped = lambda *_: (status, {"error": "No way in."})
    with pytest.raises(EndpointRefused, match=f"No way in.*{setting}"):
        ask(settings(max_concurrency=2), briefs(50))
    assert server.counts.asked.total() < 10
    with pytest.raises(EndpointRefused, match="No way in"):
        ask(settings(model="another"), briefs(5))


def test_refusals_that_begin_in_the_middle_end_the_asking_and_keep_what_was_answered(
    server: Loopback, settings
) -> None:
    ask(settings(), briefs(1, start=9000))
    forget_probe(server)
    server.behaviour.reshaped = lambda body, status, document: (
        (status, document) if number_of(body) < 10 else (403, {"error": "No more."})
    )
    answers = ask(settings(max_concurrency=2), briefs(100))
    assert [answer.status for answer in answers] == ["ok"] * 10 + ["rejected"] * 90
    assert "No more" in answers[-1].error
    assert server.counts.asked.total() < 40


WORDINGS: list[tuple[int, Callable[[str], Any]]] = [
    (422, lambda name: {"detail": [{"type": "extra_forbidden", "loc": ["body", name], "msg": "no", "input": 7}]}),
    (400, lambda name: [{"error": {"message": f'Unknown name "{name}": Cannot find field.'}}]),
    (400, lambda name: {"error": f"property '{name}' is unsupported"}),
    (400, lambda name: {"detail": f"{name} is not supported"}),
    (400, lambda name: {"error": {"message": "Unsupported.", "param": f"body.{name}"}}),
    (400, lambda name: {"error": {"message": f"{'Well, now. ' * 40}It is {name}."}}),
    (404, lambda name: {"error": {"message": f"No endpoints found that support {name}.", "code": 404}}),
    (500, lambda name: {"error": f"create() got an unexpected keyword argument '{name}'"}),
    (400, lambda _: {"error": "Bad Request"}),
]


@pytest.mark.parametrize(
    ("parameter", "status", "shape"),
    [("seed", *wording) for wording in WORDINGS]
    + [(name, *WORDINGS[at]) for name in ("response_format", "max_tokens", "temperature") for at in (0, -1)],
)
def test_a_parameter_refused_in_any_words_is_left_out(
    server: Loopback, settings, parameter: str, status: int, shape: Callable[[str], Any]
) -> None:
    server.behaviour.reshaped = lambda body, was, document: (
        (status, shape(parameter)) if parameter in body else (was, document)
    )
    answers = ask(settings(), briefs(2))
    assert [answer.status for answer in answers] == ["ok"] * 2
    assert parameter not in server.bodies[-1]
    assert ("max_completion_tokens" in server.bodies[-1]) == (parameter == "max_tokens")
    if parameter != "response_format" and shape("x") != {"error": "Bad Request"}:
        assert "response_format" in server.bodies[-1]


def test_where_nothing_helps_the_endpoints_own_words_are_shown_without_the_key(server: Loopback, settings) -> None:
    server.behaviour.reshaped = lambda *_: (400, {"detail": {"why": f"Tenant is asleep; key {KEY}"}})
    with pytest.raises(EndpointRefused, match="Tenant is asleep") as raised:
        ask(settings(), briefs(3))
    assert KEY not in str(raised.value)
    assert len(str(raised.value)) < 600


def test_an_endpoint_that_repeats_the_key_in_a_reply_does_not_have_it_kept(
    server: Loopback, settings, tmp_path: Path
) -> None:
    server.behaviour.text = lambda _: f"Beans for {KEY}."
    assert [answer.text for answer in ask(settings(), briefs(2))] == ["Beans for ***."] * 2
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_redirect_to_another_host_gets_neither_key_nor_request(server: Loopback, settings) -> None:
    with serve(Behaviour()) as other:
        server.behaviour.moved_to = f"{other.url}/chat/completions"
        with pytest.raises(EndpointRefused, match=r"sends requests on to .*OPENAI_BASE_URL"):
            ask(settings(), briefs(3))
        assert other.headers == []
        assert other.bodies == []


@pytest.mark.parametrize("where", ["/v1/chat/completions", "http://[bad", "http://\udcff", ""])
def test_a_redirect_to_nowhere_is_no_traceback(server: Loopback, settings, where: str) -> None:
    ask(settings(), briefs(1, start=9000))
    server.behaviour.moved_to = where.encode("utf-8", "replace").decode()
    for answer in ask(settings(), briefs(2)):
        assert answer.status in STATUSES
        assert answer.status != "ok"


def test_what_is_in_flight_is_kept_whatever_breaks_here(
    server: Loopback, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestration.model.generation import Generation

    ask(settings(), briefs(1, start=9000))
    forget_probe(server)
    server.behaviour.latency_s = 0.02
    understood = Generation._understood
    seen: list[object] = []

    def breaks(self: Generation, paid: Any) -> Any:
        seen.append(paid)
        if len(seen) == 3:
            raise ArithmeticError("a mistake of ours")
        return understood(self, paid)

    with monkeypatch.context() as patch:
        patch.setattr(Generation, "_understood", breaks)
        with pytest.raises(ArithmeticError):
            ask(settings(max_concurrency=8), briefs(12))
    assert all(answer.status == "ok" for answer in ask(settings(), briefs(12)))
    assert not server.counts.paid_twice


# -- Batches, read by the same reader.


@pytest.fixture
def in_batches(monkeypatch: pytest.MonkeyPatch, server: Loopback, settings) -> Settings:
    monkeypatch.setattr(batches, "POLL_SECONDS", (0.002, 0.01))
    server.behaviour.offers_batches = True
    ask(settings(), briefs(1, start=9000))
    forget_probe(server)
    return settings(batch_from=10)


LINES = [b"42", b"[]", b"null", b"{", b'{"custom_id": {}}', b'{"custom_id": "x", "response": 7}', b"\xff", deep(3_000)]
LINES += [b'{"custom_id": "x", "response": {"status_code": {}, "body": []}}', b"1" * 5_000, b'"\\ud83d"']


def test_lines_of_any_shape_in_a_batchs_files_cost_no_reply(server: Loopback, in_batches: Settings) -> None:
    server.behaviour.batch_file = lambda _, content: b"\r\n".join([*LINES, *content.split(b"\n"), *LINES, b""])
    assert all(answer.status == "ok" for answer in ask(in_batches, briefs(12)))
    assert not server.counts.paid_twice


@pytest.mark.parametrize(
    "change",
    [choice(finish_reason="error"), choice(message=7), lambda _: "hello", lambda _: 7, top(choices=None)],
)
def test_a_batched_reply_of_any_shape_is_a_status_and_not_paid_for_again_in_its_run(
    server: Loopback, in_batches: Settings, change: Any
) -> None:
    server.behaviour.reshaped = with_changes([change])
    answers = ask(in_batches, briefs(12))
    assert [answer.status for answer in answers] == ["server_error"] + ["ok"] * 11
    assert not server.counts.paid_twice


def test_the_error_file_tells_why_replies_are_missing(
    server: Loopback, in_batches: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    server.behaviour.reshaped = with_changes([lambda _: (400, {"error": {"message": "Beans are out of scope."}})])
    answers = ask(in_batches, briefs(12))
    assert answers[0].status == "rejected"
    assert "Beans are out of scope" in caplog.text


@pytest.mark.parametrize("status", [403, 500])
def test_a_batch_that_may_not_be_looked_at_is_not_asked_for_singly(
    server: Loopback, in_batches: Settings, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(server.batches, "_looked_at", lambda _: {"status": {}})
        waiting = ask(in_batches.model_copy(update={"batch_wait_s": 0.0}), briefs(20))
    assert {answer.status for answer in waiting} == {"deferred"}
    answer = server.batches.answer

    def refused(method: str, path: str, content: bytes) -> tuple[int, Any]:
        return (status, "no") if "/batches/" in path else answer(method, path, content)

    with monkeypatch.context() as patch:
        patch.setattr(server.batches, "answer", refused)
        assert {one.status for one in ask(in_batches, briefs(20))} == {"deferred"}
    assert all(one.status == "ok" for one in ask(in_batches, briefs(20)))
    assert not server.counts.paid_twice


# -- Whatever JSON there is.

OUTER = ["choices", "message", "content", "text", "refusal", "finish_reason", "usage", "model", "error", "data", "id"]
INNER = ["prompt_tokens", "type", "code", "detail", "loc", "response", "body", "custom_id", "status_code"]
NAMES = st.sampled_from([*OUTER, *INNER])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
SCALARS |= st.sampled_from(["stop", "error", 2**70])
SCALARS |= st.text(st.characters(categories=["Cs", "Lu"]))
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5))
REPLIES = st.builds(
    lambda message, finish, usage, model: {
        "choices": [{"message": message, "finish_reason": finish}],
        "usage": usage,
        "model": model,
    },
    JSON,
    JSON,
    JSON,
    JSON,
)


@given(JSON | REPLIES)
@hypothesis_settings(max_examples=60, deadline=None)
def test_any_json_is_a_reply_or_a_trouble_and_every_reader_bears_it(document: Any) -> None:
    content = json.dumps(document).encode()
    models_in(content)
    try:
        reply = reply_in(content)
    except Trouble:
        return
    reply.text.encode()
    reply.model.encode()
    assert ending_of(reply.finish_reason) in ("clean", "truncated", "content_filter", "refused", "failed")
    try:
        text, answer = AnswerForm(Copy, "text").read(reply.text, "text")
    except Unreadable:
        return
    assert json.loads(json.dumps(answer, allow_nan=False)) == {"text": text}


TURNS = itertools.count(1)


@given(replies=st.lists(JSON | REPLIES | st.binary(max_size=30), min_size=12, max_size=12))
@hypothesis_settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_reply_of_any_shape_ends_a_turn_or_makes_another_be_paid_for_twice(
    server: Loopback, settings, replies: list[Any]
) -> None:
    server.behaviour.reshaped, own = None, settings(structured_output="text")
    start = 100 * next(TURNS)
    ask(own, briefs(1, start=start + 99))
    forget_probe(server)
    server.behaviour.reshaped = lambda body, status, document: (
        (200, replies[place]) if (place := number_of(body) - start) < len(replies) else (status, document)
    )
    first = ask(own, briefs(18, start=start))
    assert max(server.counts.asked.values()) == 1
    second = ask(own, briefs(18, start=start))
    assert [answer.status for answer in first] == [answer.status for answer in second]
    assert [answer.status for answer in first[12:]] == ["ok"] * 6
    again = sum(times - 1 for times in server.counts.asked.values())
    assert again == sum(answer.status in (*AGAIN, "content_filter", "timeout") for answer in first)
