"""What the language model answers, on a good and on a bad day of its endpoint."""

import json
import logging
import threading
from pathlib import Path

import pytest
from pydantic import BaseModel

from orchestration.model.language_model import STATUSES, Answer, EndpointRefused, LanguageModel
from orchestration.settings import Settings
from orchestration.settings_errors import WrongSettingsError
from orchestration.testing.asking import KEY, LOOP, TURN, Copy, ask, briefs, forget_probe
from orchestration.testing.loopback import Loopback

pytest_plugins = ("tests.loopback_fixtures",)


def test_answers_come_in_the_order_of_the_requests_however_late_each_is(server: Loopback, settings) -> None:
    server.behaviour.text = lambda messages: messages[-1]["content"]
    server.behaviour.latency_s = 0.002
    answers = ask(settings(max_concurrency=8), briefs(60))
    assert [answer.text for answer in answers] == [f"product: number {one}" for one in range(60)]
    assert [answer.brief_id for answer in answers] == [f"brief-{one}" for one in range(60)]


def test_no_more_requests_are_in_flight_than_set(server: Loopback, settings) -> None:
    server.behaviour.latency_s = 0.01
    ask(settings(max_concurrency=5), briefs(40))
    assert server.counts.most_in_flight == 5


def test_an_answer_tells_what_it_cost_and_which_model_wrote_it(settings) -> None:
    prices = {"usd_per_million_input_tokens": 2.0, "usd_per_million_output_tokens": 8.0}
    (answer,) = ask(settings(**prices), briefs(1))
    (call,) = answer.calls
    assert answer.answer == {"text": answer.text}
    assert call.model == "loopback"
    assert (call.prompt_name, call.prompt_version, call.seed) == ("content-description", 1, 7)
    assert call.cost_usd == pytest.approx((call.input_tokens * 2 + call.output_tokens * 8) / 1e6)
    assert call.input_tokens > 0
    assert call.output_tokens > 0
    assert call.latency_s > 0
    assert call.called_at.utcoffset().total_seconds() == 0
    assert not call.cache_hit


@pytest.mark.parametrize(
    ("fate", "status", "says"),
    [
        ({"rate_limited": 1.0}, "rate_limited", "429"),
        ({"server_error": 1.0}, "server_error", "500"),
        ({"hangs": 1.0}, "timeout", "No answer within"),
        ({"drops": 1.0}, "connection_error", "hung up"),
        ({"breaks_off": 1.0}, "connection_error", "hung up"),
        ({"garbles": 1.0}, "connection_error", "does not speak HTTP"),
        ({"broken_json": 1.0}, "parse_failed", "no complete JSON object"),
        ({"cut_off": 1.0}, "truncated", "max_tokens"),
        ({"filtered": 1.0}, "content_filter", "content filter"),
        ({"refused": 1.0}, "refused", "declined"),
        ({"longest_prompt": 5}, "rejected", "context length"),
    ],
)
def test_each_bad_fate_leaves_an_answer_with_its_status(
    server: Loopback, settings, fate: dict, status: str, says: str
) -> None:
    ask(settings(), briefs(1, start=9000))  # what the endpoint can do is known from a better day
    for name, value in fate.items():
        setattr(server.behaviour, name, value)
    answers = ask(settings(request_timeout_s=0.3 if "hangs" in fate else 60), briefs(3))
    for answer in answers:
        assert answer.status == status
        assert answer.status in STATUSES
        assert says in answer.error
        assert answer.text is None
        assert answer.answer is None
        assert answer.calls[-1].status == status
        assert answer.calls[-1].brief_id == answer.brief_id


def test_what_failed_is_asked_again_in_the_next_run_and_what_was_answered_is_not(server: Loopback, settings) -> None:
    ask(settings(), briefs(1, start=9000))
    server.behaviour.server_error = 0.5
    first = ask(settings(), briefs(40))
    failed = [answer for answer in first if answer.status == "server_error"]
    assert 5 < len(failed) < 35
    server.behaviour.server_error = 0.0
    forget_probe(server)
    second = ask(settings(), briefs(40))
    assert all(answer.status == "ok" for answer in second)
    assert server.counts.asked.total() == len(failed)


def test_the_sdk_retries_until_the_endpoint_answers(server: Loopback, settings) -> None:
    server.behaviour.rate_limited = server.behaviour.server_error = 0.25
    answers = ask(settings(max_retries=12), briefs(60))
    assert all(answer.status == "ok" for answer in answers)
    assert server.counts.asked.total() > server.counts.answered.total() > 60
    assert not server.counts.paid_twice


def test_a_broken_answer_is_asked_for_once_more_and_both_calls_are_rows(server: Loopback, settings) -> None:
    ask(settings(), briefs(1, start=9000))
    server.behaviour.broken_json = 0.5
    answers = ask(settings(), briefs(40))
    repaired = [answer for answer in answers if len(answer.calls) == 2]
    assert {tuple(call.status for call in answer.calls) for answer in repaired} == {
        ("parse_failed", "ok"),
        ("parse_failed", "parse_failed"),
    }
    asked = [body for body in server.bodies if len(body["messages"]) == 4]
    assert len(asked) == len(repaired)
    assert "JSON object that fits this schema" in asked[0]["messages"][-1]["content"]
    assert ask(settings(), briefs(40)) == answers


def test_an_answer_that_breaks_the_answer_model_says_which_field(server: Loopback, settings) -> None:
    server.behaviour.text = lambda _: json.dumps({"text": ""})
    (answer,) = ask(settings(), briefs(1))
    assert answer.status == "parse_failed"
    assert "text" in answer.error


def test_an_endpoint_that_dies_in_the_middle_costs_no_answer_that_was_there(server: Loopback, settings) -> None:
    ask(settings(), briefs(1, start=9000))
    forget_probe(server)
    server.behaviour.dies_after = 20
    answers = ask(settings(max_concurrency=4), briefs(400))
    gone = [answer for answer in answers if answer.status == "connection_error"]
    assert sum(answer.status == "ok" for answer in answers) == 20
    assert len(gone) == 380
    assert server.counts.asked.total() < 40
    assert "given up" in gone[-1].error
    assert "run the turn again" in gone[-1].error
    assert gone[-1].calls == ()


def test_an_endpoint_that_is_not_there_is_an_answer_too(tmp_path: Path) -> None:
    away = Settings(home=tmp_path, openai_base_url="http://127.0.0.1:9/v1", model="some", max_retries=0)
    answers = ask(away, briefs(3))
    assert {answer.status for answer in answers} == {"connection_error"}
    assert "127.0.0.1:9" in answers[0].error


def test_a_used_up_quota_ends_the_asking_at_once(server: Loopback, settings) -> None:
    ask(settings(), briefs(1, start=9000))
    forget_probe(server)
    server.behaviour.rate_limited, server.behaviour.quota_used_up = 1.0, True
    answers = ask(settings(max_concurrency=2), briefs(50))
    assert {answer.status for answer in answers} == {"rate_limited"}
    assert server.counts.asked.total() <= 2


def test_a_refused_key_is_an_error_that_names_the_remedy_and_not_the_key(
    settings, server: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(EndpointRefused, match="OPENAI_API_KEY") as raised:
        ask(settings(openai_api_key=KEY + "-stale", model="loopback"), briefs(50))
    assert KEY not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    assert KEY not in caplog.text
    assert server.counts.asked.total() == 0


def test_a_key_revoked_in_the_middle_keeps_what_was_answered(server: Loopback, settings) -> None:
    ask(settings(), briefs(1, start=9000))
    forget_probe(server)
    server.behaviour.unauthorised_after = 10
    with pytest.raises(EndpointRefused, match="401"):
        ask(settings(max_concurrency=2), briefs(50))
    assert server.counts.asked.total() <= 12
    server.behaviour.unauthorised_after = None
    assert all(answer.status == "ok" for answer in ask(settings(), briefs(50)))
    assert not server.counts.paid_twice


def test_an_unknown_model_is_an_error_that_names_the_setting(settings) -> None:
    with pytest.raises(EndpointRefused, match="FLYWHEEL_MODEL"):
        ask(settings(model="no-such-model"), briefs(50))


def test_the_only_model_is_the_default_and_several_must_be_chosen_from(server: Loopback, settings) -> None:
    assert LanguageModel(settings()).name == "loopback"
    server.behaviour.models = ("one", "two")
    with pytest.raises(EndpointRefused, match="one, two"):
        LanguageModel(settings()).name  # noqa: B018


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"openai_base_url": "http://someone:hunter2@127.0.0.1/v1"}, "user name"),
        ({"openai_base_url": "http://127.0.0.1/v1?api-key=hunter2"}, "query"),
        ({"openai_base_url": "127.0.0.1:8000/v1"}, "http://"),
        ({"openai_base_url": None, "openai_api_key": None, "model": "large"}, "OPENAI_API_KEY"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_before_any_call(settings, options: dict, says: str) -> None:
    with pytest.raises((EndpointRefused, WrongSettingsError), match=says) as raised:
        LanguageModel(settings(**options))
    assert "hunter2" not in str(raised.value)


def test_no_secret_reaches_a_log_a_row_or_an_error(
    server: Loopback, settings, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    server.behaviour.server_error = 0.3
    server.behaviour.text = lambda _: "A text."
    answers = ask(settings(), briefs(30))
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY not in caplog.text
    assert KEY not in repr(answers)
    assert KEY.encode() not in kept
    assert any(header.get("authorization") == f"Bearer {KEY}" for header in server.headers)


def test_the_user_is_told_only_to_openai_and_only_as_a_hash(server: Loopback, settings) -> None:
    from orchestration.model.endpoint import Endpoint
    from orchestration.model.purchases import Purchases, Wish
    from orchestration.model.responses import Responses

    ask(settings(), briefs(2, user="customer-17"))
    assert not any("safety_identifier" in body or "customer-17" in json.dumps(body) for body in server.bodies)
    official = settings(openai_base_url=None)
    (request,) = briefs(1, user="customer-17")
    wish = Wish.of({"model": "some", "messages": list(request.messages)})
    with Responses(official.responses_path) as responses:
        purchases = Purchases(official, Endpoint(official), responses, TURN, LOOP)
        sent = json.loads(purchases.content_of(request, wish))
    assert len(sent.pop("safety_identifier")) == 64
    assert sent == wish.body


def test_it_works_inside_a_running_event_loop_and_from_many_threads(settings) -> None:
    import asyncio

    async def inside() -> list[Answer]:
        return ask(settings(), briefs(5))

    assert [answer.status for answer in asyncio.run(inside())] == ["ok"] * 5
    found: dict[str, list[Answer]] = {}
    threads = [
        threading.Thread(
            target=lambda turn=turn: found.update({turn: ask(settings(), briefs(20, start=int(turn) * 20), turn=turn)})
        )
        for turn in ("1", "2", "3", "4")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(answer.status == "ok" for answers in found.values() for answer in answers)
    assert len(found) == 4


def test_progress_ends_at_all(settings) -> None:
    told: list[tuple[int, int]] = []
    LanguageModel(settings()).answer_all(
        briefs(9), Copy, text_field="text", turn=TURN, loop=LOOP, progress=lambda done, of: told.append((done, of))
    )
    assert told[-1] == (9, 9)


def test_a_brief_that_comes_twice_is_a_mistake_of_the_caller(settings) -> None:
    with pytest.raises(ValueError, match="brief_id"):
        ask(settings(), briefs(1) + briefs(1))


@pytest.mark.parametrize(
    ("structured", "form"),
    [
        ("json_schema", "json_schema"),
        ("json_object", "json_object"),
        ("rejected", "text"),
        ("broken", "text"),
        ("ignored", "text"),
    ],
)
def test_what_an_endpoint_can_do_is_found_out_once_and_said(
    server: Loopback, settings, structured: str, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.behaviour.structured = structured
    model = LanguageModel(settings())
    answers = model.answer_all(briefs(5), Copy, text_field="text", turn=TURN, loop=LOOP)
    assert [answer.status for answer in answers] == ["ok"] * 5
    assert answers[3].text == "Answer to: product: number 3"
    assert model.capabilities["answer_form"] == form
    assert f"as {form}" in caplog.text
    probes = server.counts.asked.total() - 5
    ask(settings(), briefs(5, start=50))
    assert server.counts.asked.total() == 10 + probes


class Reply(BaseModel):
    """An answer that is more than a text."""

    text: str
    tone: str


def test_an_answer_of_several_fields_is_asked_for_in_words_where_there_is_no_schema(server: Loopback, settings) -> None:
    server.behaviour.structured = "rejected"
    server.behaviour.text = lambda _: 'Here it is:\n```json\n{"text": "Crisp apples", "tone": "warm"}\n```'
    (answer,) = ask(settings(), briefs(1), answer=Reply)
    assert answer.answer == {"text": "Crisp apples", "tone": "warm"}
    assert answer.text == "Crisp apples"
    assert '"tone"' in server.bodies[-1]["messages"][-1]["content"]


@pytest.mark.parametrize("parameter", ["max_tokens", "temperature", "seed"])
def test_a_parameter_that_an_endpoint_refuses_is_left_out_from_then_on(
    server: Loopback, settings, parameter: str
) -> None:
    server.behaviour.refuses_parameters = (parameter,)
    answers = ask(settings(), briefs(5))
    assert [answer.status for answer in answers] == ["ok"] * 5
    assert parameter not in server.bodies[-1]
    assert ("max_completion_tokens" in server.bodies[-1]) == (parameter == "max_tokens")


def test_what_is_known_of_one_answer_is_kept_while_another_is_found_out(server: Loopback, settings) -> None:
    server.behaviour.structured = "rejected"
    ask(settings(), briefs(1))
    server.behaviour.text = lambda _: '{"text": "Crisp apples", "tone": "warm"}'
    ask(settings(), briefs(1, start=10), answer=Reply)
    forget_probe(server)
    ask(settings(), briefs(1, start=20))
    assert server.counts.asked.total() == 1


def test_an_endpoint_that_takes_less_than_it_did_is_looked_at_anew_in_the_next_run(server: Loopback, settings) -> None:
    ask(settings(), briefs(1))
    server.behaviour.structured = "rejected"
    assert ask(settings(), briefs(1, start=10))[0].status == "rejected"
    assert ask(settings(), briefs(1, start=10))[0].status == "ok"


def test_the_name_of_a_model_that_cannot_be_asked_for_is_unknown(tmp_path: Path) -> None:
    away = Settings(home=tmp_path, openai_base_url="http://127.0.0.1:9/v1", max_retries=0)
    assert LanguageModel(away).name == "unknown"


def test_a_schema_that_is_insisted_on_and_not_taken_is_an_error(server: Loopback, settings) -> None:
    server.behaviour.structured = "rejected"
    with pytest.raises(EndpointRefused, match="FLYWHEEL_STRUCTURED_OUTPUT"):
        ask(settings(structured_output="schema"), briefs(1))


def test_tokens_are_estimated_where_none_are_reported(server: Loopback, settings) -> None:
    server.behaviour.reports_usage = False
    (answer,) = ask(settings(), briefs(1))
    assert answer.calls[0].input_tokens > 10
    assert answer.calls[0].output_tokens > 5
