"""The fuzzing of replies counts what it is there to count."""

import pytest

from benchmarks import fuzz, fuzz_replies
from orchestration.model.purchases import Purchases


def test_some_generated_replies_end_no_turn_and_are_paid_for_once() -> None:
    found = fuzz_replies.fuzz_replies(60, 3)
    assert found == {"read": 60, "tracebacks": 0, "hangs": 0, "paid_twice": 0, "lost": 0}
    assert ("replies", 100_000) in fuzz.parts()


def test_a_reader_that_raises_and_a_reply_that_is_forgotten_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("orchestration.model.endpoint.reply_in", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fuzz_replies.fuzz_replies(10, 3)
    monkeypatch.setattr(Purchases, "recall", lambda *_: set())
    assert fuzz_replies.fuzz_replies(20, 3)["paid_twice"] > 0
