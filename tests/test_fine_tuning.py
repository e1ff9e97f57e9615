"""Fine-tuning sets: what a line looks like, which lines are refused, and which texts are preferred."""

import json

import pytest

from orchestration.learning.texts.fine_tuning import preference, preferred_pairs, problems, supervised

CHAT = [{"role": "system", "content": "Write."}, {"role": "user", "content": "type: tea"}]


def test_a_winner_becomes_the_answer_to_the_chat_that_was_sent() -> None:
    line = json.dumps(supervised(CHAT, "Tea, at last."))
    assert json.loads(line)["messages"][-1] == {"role": "assistant", "content": "Tea, at last."}
    assert list(problems(line, "sft")) == []


def test_an_edit_is_preferred_over_what_was_written() -> None:
    line = json.dumps(preference(CHAT, "Black tea, 50 bags.", "The best tea ever!"))
    assert list(problems(line, "dpo")) == []


@pytest.mark.parametrize(
    ("line", "kind", "fault"),
    [
        ("{", "sft", "no JSON"),
        ("[]", "sft", "no object"),
        ("{}", "sft", "no messages"),
        (json.dumps({"messages": CHAT}), "sft", "end with the assistant"),
        (json.dumps(supervised([{"role": "robot", "content": "x"}], "y")), "sft", "no role"),
        (json.dumps(supervised(CHAT, " ")), "sft", "is empty"),
        (json.dumps(preference(CHAT, "same", "same")), "dpo", "over itself"),
        (json.dumps({"input": {"messages": CHAT}}), "dpo", "preferred_output has no messages"),
    ],
)
def test_a_line_that_the_endpoint_would_refuse_is_named(line: str, kind: str, fault: str) -> None:
    assert any(fault in problem for problem in problems(line, kind))  # type: ignore[arg-type]


def test_only_clear_differences_make_a_pair_and_one_pair_a_subject() -> None:
    subjects = ["a", "a", "a", "b", "b", "c"]
    units = [1000, 1000, 1000, 1000, 1000, 500]
    rewards = [80, 40, 60, 50, 49, 25]
    assert preferred_pairs(subjects, units, rewards) == [(0, 1)]
