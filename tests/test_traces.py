"""What MLflow shows of the calls of a turn."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestration.generation.calls import Answer, Call, call_id_of
from orchestration.registry.traces import CHARACTERS, Conversation, spans_of
from orchestration.registry.tracking import Tracking
from orchestration.testing.asking import briefs

TURN, LOOP = "2026-01-05", "content"


def conversation(number: int, *, text: str | None = "Beans.", statuses: tuple[str, ...] = ("ok",)) -> Conversation:
    (request,) = briefs(1, start=number)
    calls = tuple(
        Call(
            call_id=call_id_of("key", request.brief_id, attempt),
            brief_id=request.brief_id,
            prompt_name=request.prompt_name,
            prompt_version=request.prompt_version,
            model="some-model",
            seed=7,
            status=status,
            input_tokens=12,
            output_tokens=3,
            cost_usd=0.25,
            latency_s=0.5,
            cache_hit=status == "kept",
            called_at=datetime(2026, 1, 5, 6, tzinfo=UTC),
        )
        for attempt, status in enumerate(statuses, start=1)
    )
    ok = statuses[-1] == "ok"
    error = None if ok else "The reply fits no answer."
    return request, Answer(request.brief_id, statuses[-1], text if ok else None, {} if ok else None, error, calls)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Tracking:
    return Tracking(tmp_path_factory.mktemp("traces"), "http://127.0.0.1:5000")


def traces(tracking: Tracking, turn: str) -> list:
    experiment = tracking.client.get_experiment_by_name(f"flywheel-{LOOP}")
    return list(tracking.client.search_traces([experiment.experiment_id], f"tags.turn = '{turn}'"))


def test_a_call_shows_prompt_answer_tokens_cost_brief_and_status(tracking: Tracking) -> None:
    assert tracking.trace(LOOP, TURN, [conversation(1)]) == 1
    (trace,) = traces(tracking, TURN)
    (span,) = trace.data.spans
    assert span.inputs["messages"][-1]["content"] == "product: number 1"
    assert span.outputs == {"status": "ok", "text": "Beans."}
    assert trace.info.token_usage == {"input_tokens": 12, "output_tokens": 3, "total_tokens": 15}
    assert trace.info.cost["total_cost"] == 0.25
    assert trace.info.tags["brief_id"] == "brief-1"
    assert trace.info.tags["status"] == "ok"
    assert trace.info.execution_duration == 500
    assert "number 1" in trace.info.request_preview


def test_a_repaired_answer_is_two_calls_and_a_turn_run_again_has_each_once(tracking: Tracking) -> None:
    turn = "2026-01-12"
    asked = [conversation(1, statuses=("parse_failed", "ok")), conversation(2, statuses=("kept",))]
    for _ in range(2):
        assert tracking.trace(LOOP, turn, asked) == 2
    found = {trace.info.tags["status"]: trace for trace in traces(tracking, turn)}
    assert set(found) == {"parse_failed", "ok"}
    assert found["parse_failed"].info.state == "ERROR"
    assert found["ok"].info.state == "OK"


def test_a_trace_is_small_and_names_no_user() -> None:
    request, answer = conversation(1, text="x" * 100_000)
    chat = [{"role": "user", "content": f"{place} {'y' * 10_000}"} for place in range(30)]
    request = replace(request, messages=tuple(chat), user="customer-17")
    (span,) = spans_of(LOOP, TURN, [(request, answer)])
    shown = str(span.to_dict())
    assert len(shown) < 7 * CHARACTERS
    assert "customer-17" not in shown
    messages = span.inputs["messages"]
    assert [message["content"][:2] for message in messages] == ["0 ", "27", "28", "29"]
    assert messages[0]["messages_left_out_after_this"] == 26


def test_tracing_costs_little(tracking: Tracking) -> None:
    started = time.perf_counter()
    tracking.trace(LOOP, "2026-01-19", [conversation(number) for number in range(200)])
    assert (time.perf_counter() - started) / 200 < 0.03  # 2 ms on an idle core


def test_a_registry_that_cannot_be_written_loses_traces_and_nothing_else(
    tracking: Tracking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow.tracing.client import TracingClient

    def refuses(*_: object, **__: object) -> None:
        raise OSError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(TracingClient, "log_spans", refuses)
        assert tracking.trace(LOOP, TURN, [conversation(1)]) == 0
    (tmp_path / "file").write_text("in the way")
    assert Tracking(tmp_path / "file", "").trace(LOOP, TURN, [conversation(1)]) == 0
    assert caplog.text.count("are not traced to MLflow") == 2
    assert "disk is full" in caplog.text


def test_tracing_can_be_switched_off(tmp_path: Path) -> None:
    assert Tracking(tmp_path / "off", "", traces_calls=False).trace(LOOP, TURN, [conversation(1)]) == 0
    assert not (tmp_path / "off").exists()
