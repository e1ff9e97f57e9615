"""Large turns through the Batch API: what is asked, what comes back, and what a killed run leaves behind."""

import pytest

from orchestration.model import batches
from orchestration.model.language_model import LanguageModel
from orchestration.model.troubles import Trouble
from orchestration.testing.asking import LOOP, TURN, ask, briefs, forget_probe
from orchestration.testing.loopback import Loopback

pytest_plugins = ("tests.loopback_fixtures",)

PRICES = {"usd_per_million_input_tokens": 1000.0, "usd_per_million_output_tokens": 4000.0}


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch, server: Loopback) -> None:
    """Look after batches every few milliseconds, on an endpoint that offers them."""
    monkeypatch.setattr(batches, "POLL_SECONDS", (0.002, 0.01))
    server.behaviour.offers_batches = True


def chats(server: Loopback) -> int:
    """Requests that were sent one by one."""
    return len(server.bodies)


def test_a_large_turn_goes_in_one_batch_at_half_the_price(server: Loopback, settings) -> None:
    ask(settings(), briefs(1, start=9000))
    before = chats(server)
    answers = ask(settings(batch_from=10, budget_usd=100, **PRICES), briefs(40))
    assert [answer.text for answer in answers] == [f"Answer to: product: number {one}" for one in range(40)]
    assert chats(server) == before
    assert len(server.batches.batches) == 1
    call = answers[0].calls[0]
    assert call.cost_usd == pytest.approx((call.input_tokens * 1000 + call.output_tokens * 4000) / 1e6 / 2)
    assert ask(settings(batch_from=10, **PRICES), briefs(40)) == answers
    assert not server.counts.paid_twice


def test_a_small_turn_is_asked_one_by_one(server: Loopback, settings) -> None:
    assert all(answer.status == "ok" for answer in ask(settings(batch_from=10), briefs(9)))
    assert not server.batches.batches


def test_what_a_batch_does_not_bring_is_asked_again_and_nothing_else_is(server: Loopback, settings) -> None:
    ask(settings(), briefs(1, start=9000))
    server.behaviour.rate_limited = server.behaviour.server_error = server.behaviour.drops = 0.15
    server.behaviour.fails_at_most = 2
    answers = ask(settings(batch_from=10), briefs(60))
    assert all(answer.status == "ok" for answer in answers)
    assert len(server.batches.batches) == 2
    assert not server.counts.paid_twice


def test_an_endpoint_without_batches_is_asked_one_by_one_and_the_log_says_so(
    server: Loopback, settings, caplog: pytest.LogCaptureFixture
) -> None:
    server.behaviour.offers_batches = False
    answers = ask(settings(batch_from=10), briefs(20))
    assert all(answer.status == "ok" for answer in answers)
    assert "single calls" in caplog.text


def test_a_batch_that_takes_too_long_is_collected_by_the_next_run(server: Loopback, settings) -> None:
    ask(settings(), briefs(1, start=9000))
    forget_probe(server)
    server.behaviour.batch_looks = 1_000_000
    waiting = ask(settings(batch_from=10, batch_wait_s=0.05, **PRICES), briefs(20))
    assert {answer.status for answer in waiting} == {"deferred"}
    assert "batch-0" in waiting[0].error
    assert waiting[0].calls == ()
    server.behaviour.batch_looks = 0
    answers = ask(settings(**PRICES), briefs(25))
    assert all(answer.status == "ok" for answer in answers)
    assert len(server.batches.batches) == 1
    assert server.counts.asked.total() == 25
    assert not server.counts.paid_twice


def test_a_run_that_ends_before_it_can_note_its_batch_finds_it_again(
    server: Loopback, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(settings(), briefs(1, start=9000))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batches.Responses, "submit", killed)
        with pytest.raises(KeyboardInterrupt):
            ask(settings(batch_from=10), briefs(20))
    assert len(server.batches.batches) == 1
    assert all(answer.status == "ok" for answer in ask(settings(batch_from=10), briefs(20)))
    assert len(server.batches.batches) == 1
    assert not server.counts.paid_twice


def test_a_run_that_ends_while_it_waits_collects_what_it_asked_for_even_when_that_is_wanted_no_more(
    server: Loopback, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(settings(), briefs(1, start=9000), turn="2025-12-29")

    async def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batches.Batches, "_ended", killed)
        with pytest.raises(KeyboardInterrupt):
            ask(settings(batch_from=10, **PRICES), briefs(20))
    answers = ask(settings(batch_from=10, **PRICES), briefs(20, start=15))
    assert all(answer.status == "ok" for answer in answers)
    assert not server.counts.paid_twice
    shown = sum(call.cost_usd for answer in answers for call in answer.calls)
    assert LanguageModel(settings()).spent(TURN, LOOP)[0] > shown > 0


def test_a_batch_asks_only_for_what_the_budget_has_room_for(settings) -> None:
    ask(settings(), briefs(1, start=9000), turn="2025-12-29")
    tight = settings(batch_from=10, budget_usd=2.0, **PRICES)
    answers = ask(tight, briefs(60))
    statuses = [answer.status for answer in answers]
    assert 10 < statuses.count("ok") < 60
    assert statuses.count("ok") + statuses.count("deferred") == 60
    assert LanguageModel(tight).spent(TURN, LOOP)[0] <= 2.0


def test_a_file_holds_no_more_than_it_may(server: Loopback, settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_REQUESTS", 8)
    assert all(answer.status == "ok" for answer in ask(settings(batch_from=10), briefs(20)))
    assert [len(content.splitlines()) for name, content in server.batches.files.items()][::2] == [8, 8, 4]
    monkeypatch.setattr(batches, "MOST_REQUESTS", 50_000)
    monkeypatch.setattr(batches, "MOST_BYTES", 2_000)
    server.batches.files.clear()
    ask(settings(batch_from=10), briefs(20, start=100))
    asked = [content for content in server.batches.files.values() if b'"method"' in content]
    assert len(asked) > 3
    assert max(map(len, asked)) <= 2_000


def test_a_batch_that_is_gone_is_asked_anew(server: Loopback, settings) -> None:
    server.behaviour.batch_looks = 1_000_000
    ask(settings(batch_from=10, batch_wait_s=0.0), briefs(12))
    server.batches.batches.clear()
    server.behaviour.batch_looks = 0
    assert all(answer.status == "ok" for answer in ask(settings(batch_from=10), briefs(12)))


def test_an_endpoint_that_is_away_while_a_batch_runs_defers_it(
    server: Loopback, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(settings(), briefs(1, start=9000))
    before = chats(server)

    async def away(*_: object) -> None:
        raise Trouble("connection_error", "It cannot be reached.")

    with monkeypatch.context() as patch:
        patch.setattr(batches.Batches, "_ended", away)
        deferred = ask(settings(batch_from=10), briefs(20))
    assert {answer.status for answer in deferred} == {"deferred"}
    assert "cannot be reached" in deferred[0].error
    assert all(answer.status == "ok" for answer in ask(settings(batch_from=10), briefs(20)))
    assert chats(server) == before
    assert not server.counts.paid_twice


def test_a_batch_accepted_without_our_hearing_of_it_is_not_submitted_twice(
    server: Loopback, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(settings(), briefs(1, start=9000))
    submitted = server.batches._submitted

    def unheard(body: dict) -> dict:
        submitted(body)
        raise ConnectionResetError  # the connection ends before the answer is out

    monkeypatch.setattr(server.batches, "_submitted", unheard)
    assert all(answer.status == "ok" for answer in ask(settings(batch_from=10, max_retries=3), briefs(20)))
    assert len(server.batches.batches) == 1
    assert not server.counts.paid_twice
