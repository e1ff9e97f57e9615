"""What the language model pays, and what it never pays for again."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.model.language_model import Answer, LanguageModel
from orchestration.model.troubles import Trouble
from orchestration.settings import Settings
from orchestration.testing.asking import KEY, LOOP, TURN, Copy, ask, briefs, forget_probe
from orchestration.testing.loopback import Behaviour, Loopback, serve

pytest_plugins = ("tests.loopback_fixtures",)

PRICES = {"usd_per_million_input_tokens": 1000.0, "usd_per_million_output_tokens": 4000.0}
ROOT = Path(__file__).resolve().parent.parent


def rows(answers: list[Answer]) -> list[tuple]:
    """What an undisturbed and a repeated run must agree on: everything but when, and how fast."""
    return [
        (
            answer.status,
            answer.text,
            answer.error,
            [replace(call, called_at=None, latency_s=0) for call in answer.calls],
        )
        for answer in answers
    ]


def test_a_second_run_of_a_turn_gives_the_same_rows_and_asks_nothing(server: Loopback, settings) -> None:
    first = ask(settings(**PRICES), briefs(20))
    forget_probe(server)
    assert ask(settings(**PRICES), briefs(20)) == first
    assert server.counts.asked.total() == 0
    assert not any(call.cache_hit for answer in first for call in answer.calls)
    assert all(call.cost_usd > 0 for answer in first for call in answer.calls)


def test_a_run_that_needs_no_call_needs_no_endpoint(server: Loopback, settings) -> None:
    first = ask(settings(), briefs(5))
    server.behaviour.dies_after = 0
    assert ask(settings(), briefs(1, start=9000))[0].status == "connection_error"
    assert ask(settings(), briefs(5)) == first
    assert ask(settings(), briefs(5), turn="2026-01-12")[0].text == first[0].text


def test_another_turn_gets_the_reply_and_pays_nothing(server: Loopback, settings) -> None:
    first = ask(settings(**PRICES), briefs(3))
    later = ask(settings(**PRICES), briefs(3), turn="2026-01-12")
    assert [answer.text for answer in later] == [answer.text for answer in first]
    assert all(call.cache_hit and call.cost_usd == 0 and call.input_tokens == 0 for one in later for call in one.calls)
    assert [one.calls[0].called_at for one in later] == [one.calls[0].called_at for one in first]
    assert LanguageModel(settings()).spent("2026-01-12", LOOP) == (0.0, 0)
    assert not server.counts.paid_twice


@pytest.mark.parametrize(
    "change", [{"seed": 8}, {"max_tokens": 41}, {"temperature": 0.6}, {"messages": ({"role": "user", "content": "?"},)}]
)
def test_whatever_shapes_a_reply_makes_it_another_request(server: Loopback, settings, change: dict) -> None:
    ask(settings(), briefs(1))
    forget_probe(server)
    ask(settings(), briefs(1, **change))
    assert server.counts.asked.total() == 1


@pytest.mark.parametrize("change", [{"brief_id": "other"}, {"prompt_version": 2}, {"user": "someone"}])
def test_who_asks_and_why_makes_no_other_request(server: Loopback, settings, change: dict) -> None:
    ask(settings(), briefs(1))
    forget_probe(server)
    (answer,) = ask(settings(), briefs(1, **change))
    assert server.counts.asked.total() == 0
    assert not answer.calls[0].cache_hit, "this turn did pay for it"


def test_briefs_with_the_same_content_share_one_call_and_one_price(server: Loopback, settings) -> None:
    same = [replace(briefs(1)[0], brief_id=f"twin-{one}") for one in range(4)]
    ask(settings(**PRICES), briefs(1, start=9000))
    forget_probe(server)
    answers = ask(settings(**PRICES), same)
    assert server.counts.asked.total() == 1
    assert [answer.status for answer in answers] == ["ok"] * 4
    assert [answer.calls[0].cache_hit for answer in answers] == [False, True, True, True]
    assert len({answer.calls[0].call_id for answer in answers}) == 4
    assert ask(settings(**PRICES), same) == answers
    assert [one.calls[0].cache_hit for one in ask(settings(**PRICES), same[1:])] == [False, True, True]


def test_the_rows_of_a_turn_add_up_to_what_it_spent(server: Loopback, settings) -> None:
    ask(settings(**PRICES), briefs(1, start=9000), turn="2025-12-29")
    server.behaviour.broken_json = 0.3
    answers = ask(settings(**PRICES), briefs(30))
    calls = [call for answer in answers for call in answer.calls]
    usd, tokens = LanguageModel(settings()).spent(TURN, LOOP)
    assert len(calls) > 30
    assert sum(call.cost_usd for call in calls) == pytest.approx(usd)
    assert sum(call.input_tokens + call.output_tokens for call in calls) == tokens


def test_the_budget_holds_and_what_does_not_fit_says_which_setting(server: Loopback, settings) -> None:
    known = settings(**PRICES, max_concurrency=4)
    ask(known, briefs(1, start=9000), turn="2025-12-29")
    forget_probe(server)
    tight = settings(**PRICES, max_concurrency=4, budget_usd=2.0)
    answers = ask(tight, briefs(40))
    deferred = [answer for answer in answers if answer.status == "deferred"]
    usd, _ = LanguageModel(tight).spent(TURN, LOOP)
    assert 0.5 < usd <= 2.0
    assert 0 < len(deferred) < 40
    assert len(deferred) + server.counts.asked.total() == 40
    assert all("FLYWHEEL_BUDGET_USD" in answer.error and answer.calls == () for answer in deferred)
    forget_probe(server)
    assert ask(tight, briefs(40)) == answers, "running again spends nothing more"
    assert server.counts.asked.total() == 0
    assert all(answer.status == "ok" for answer in ask(known, briefs(40)))


def test_a_budget_of_tokens_holds_where_nothing_costs_anything(settings) -> None:
    ask(settings(), briefs(1, start=9000), turn="2025-12-29")
    tight = settings(budget_tokens=1000, max_concurrency=8)
    answers = ask(tight, briefs(60))
    _, tokens = LanguageModel(tight).spent(TURN, LOOP)
    assert 500 < tokens <= 1000
    assert "FLYWHEEL_BUDGET_TOKENS" in next(answer.error for answer in answers if answer.status == "deferred")


def test_what_is_deferred_depends_on_cost_and_order_and_not_on_timing(tmp_path: Path) -> None:
    deferred = []
    for number, (latency, at_once) in enumerate([(0.0, 1), (0.01, 16), (0.002, 5)]):
        with serve(Behaviour(latency_s=latency)) as server:
            own = Settings(
                home=tmp_path / str(number),
                openai_base_url=server.url,
                budget_usd=2.0,
                max_concurrency=at_once,
                **PRICES,
            )
            deferred.append([answer.status for answer in ask(own, briefs(40))])
    assert deferred[0] == deferred[1] == deferred[2]
    assert "deferred" in deferred[0]


def test_a_budget_of_nothing_asks_nothing_that_costs(server: Loopback, settings) -> None:
    answers = ask(settings(**PRICES, budget_usd=0.0), briefs(3))
    assert {answer.status for answer in answers} == {"deferred"}
    assert server.counts.asked.total() == 0
    assert ask(settings(budget_usd=0.0), briefs(3))[0].status == "ok", "and what is free is asked"


@given(
    costs=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30),
    limit=st.floats(0.0, 8.0),
    at_once=st.integers(1, 6),
    order=st.randoms(use_true_random=False),
)
def test_no_order_of_answers_makes_a_budget_overspend(costs: list[float], limit: float, at_once: int, order) -> None:
    import asyncio

    from orchestration.model.budget import Budget, Reservation

    async def run() -> float:
        budget, spent = Budget(Settings(budget_usd=limit), 0.0, 0), 0.0
        slots = asyncio.Semaphore(at_once)

        async def buy(real: float) -> None:
            nonlocal spent
            async with slots:
                worst = Reservation(usd=1.0, tokens=1)
                try:
                    await budget.reserve(worst)
                except Trouble:
                    return
                for _ in range(order.randrange(4)):
                    await asyncio.sleep(0)
                spent += real
                budget.settle(worst, real, 1)

        await asyncio.gather(*map(buy, costs))
        return spent

    assert asyncio.run(run()) <= limit + 1e-9


def test_a_plan_asks_nothing_and_bounds_what_the_run_then_costs(server: Loopback, settings) -> None:
    own = settings(**PRICES, budget_usd=1000.0)
    model = LanguageModel(own)
    before = model.plan(briefs(20), Copy, text_field="text", turn=TURN, loop=LOOP)
    assert server.counts.asked.total() == 0
    assert (before.calls, before.cached) == (20, 0)
    ask(own, briefs(10))
    after = model.plan(briefs(20), Copy, text_field="text", turn=TURN, loop=LOOP)
    assert (after.calls, after.cached) == (10, 10)
    spent_before, _ = model.spent(TURN, LOOP)
    ask(own, briefs(20))
    cost = model.spent(TURN, LOOP)[0] - spent_before
    assert cost == pytest.approx(after.usd, rel=0.15)
    assert cost <= after.worst_usd
    assert after.usd < after.worst_usd


def test_two_processes_may_open_the_file_for_the_first_time_at_once(tmp_path: Path) -> None:
    opening = (
        "import sys; from pathlib import Path; from orchestration.model.responses import Responses; "
        "Responses(Path(sys.argv[1])).close()"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", opening, str(tmp_path / "new" / "responses.sqlite")], cwd=ROOT)
        for _ in range(4)
    ]
    assert [process.wait(60) for process in started] == [0, 0, 0, 0]


def killed_while_asking(server: Loopback, home: Path, number: int, when) -> None:
    """Ask from another process, and kill it with SIGKILL when `when` says so."""
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestration.testing.asking", server.url, str(home), str(number)], cwd=ROOT
    )
    until = time.monotonic() + 60
    while not when():
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < until
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL


def kept(home: Path) -> int:
    """Replies in the file, as another process sees them."""
    path = home / "responses.sqlite"
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT count(*) FROM replies").fetchone()[0]
    except sqlite3.OperationalError:  # the table is not there yet
        return 0
    finally:
        connection.close()


def test_killed_in_the_middle_it_ends_with_the_same_rows_and_pays_for_no_call_twice(tmp_path: Path) -> None:
    with serve(Behaviour(key=KEY, latency_s=0.001, holds_after=120)) as server:
        home = tmp_path / "killed"

        def all_that_was_answered_has_arrived() -> bool:
            answered = server.counts.answered.total()
            return answered >= 120 and kept(home) == answered and server.counts.in_flight == 8

        killed_while_asking(server, home, 300, all_that_was_answered_has_arrived)
        server.behaviour.holds_after = None
        own = Settings(home=home, openai_base_url=server.url, openai_api_key=KEY)
        after = ask(own, briefs(300))
        assert not server.counts.paid_twice
        assert server.counts.answered.total() == 301  # one more to find out what the endpoint can do
        undisturbed = ask(own.model_copy(update={"home": tmp_path / "calm"}), briefs(300))
    assert rows(after) == rows(undisturbed)
    assert all(answer.status == "ok" for answer in after)


def test_killed_at_any_moment_it_repeats_at_most_what_was_on_its_way(tmp_path: Path) -> None:
    with serve(Behaviour(key=KEY, latency_s=0.003)) as server:
        home = tmp_path / "killed"
        for share in (90, 190):
            killed_while_asking(server, home, 300, lambda share=share: server.counts.answered.total() >= share)
        own = Settings(home=home, openai_base_url=server.url, openai_api_key=KEY)
        after = ask(own, briefs(300))
        assert len(server.counts.paid_twice) <= 2 * 8
        undisturbed = ask(own.model_copy(update={"home": tmp_path / "calm"}), briefs(300))
    assert rows(after) == rows(undisturbed)
