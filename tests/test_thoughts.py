"""What is left of a reply without the thoughts beside it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.model.thoughts import without_thoughts


@pytest.mark.parametrize(
    "reply",
    [
        "Let me see. </think>\n\nCopy.",
        "<think>x</think>Copy.",
        "<thinking>x</thinking>Copy.",
        "<THINKING>\nx\n</THINKING>\n\nCopy.",
        "[THINK]x[/THINK]Copy.",
        "Let me see.[/THINK]Copy.",
        "◁think▷x◁/think▷Copy.",
        "x◁/think▷Copy.",
        "<thought>x</thought>Copy.",
        "<reasoning effort='low'>x</reasoning>Copy.",
        "<seed:think>x</seed:think>Copy.",
        "<|START_THINKING|>x<|END_THINKING|><|START_RESPONSE|>Copy.<|END_RESPONSE|>",
        "<|channel>thought\nx<channel|>Copy.",
        "&lt;think&gt;x&lt;/think&gt;Copy.",
        '<details type="reasoning" done="true"><summary>Thought</summary>x</details>\nCopy.',
        "```thinking\nx\n```\nCopy.",
        "<think>a</think>Copy.<think>b</think>",
        "<think>I may write <think> here</think>Copy.",
        "<think>a <think>b</think> c</think>Copy.",
        "<think/>Copy.",
        "<think></think>Copy.",
        "<think>x</think><answer>Copy.</answer>",
        "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>Copy.<|return|>",
        "<|start|>assistant<|channel|>final <|constrain|>text<|message|>Copy.",
        "analysisThe user wants copy.assistantfinalCopy.",
        "assistantfinalCopy.",
        "Here is my thought process: x. Here is my response: Copy.",
        "**Thought:** x\n\n**Final answer:** Copy.",
        "Copy.<|im_end|>",
        "Copy.</s>",
    ],
)
def test_a_thought_is_cut_off_and_the_answer_kept(reply: str) -> None:
    assert without_thoughts(reply) == "Copy."


@pytest.mark.parametrize(
    "reply",
    [
        "<think>Let me see. Copy.",
        "<thinking>x</thinking><think>Copy.",
        "[THINK]Copy.",
        "◁think▷Copy.",
        "<|channel|>analysis<|message|>Copy.",
        "<|channel|>commentary<|message|>Copy.<|end|>",
        "analysisWe need to write copy.",
        "<|START_THINKING|>Copy.",
        "<|channel>thought\nCopy.",
        "```thinking\nCopy.",
        "Here is my thought process: Copy.",
        "x</think>",
    ],
)
def test_a_thought_that_does_not_end_is_no_answer(reply: str) -> None:
    assert without_thoughts(reply) == ""


@pytest.mark.parametrize(
    "text",
    [
        "Think of beans. [Serves 4]",
        "[Thinking of you] greeting card",
        "Analysis of soil is free.",
        "A reasonable price: <3 beans",
        "Thinking: pizza tonight?",
        "analysis paralysis ends here",
        "Food for thought </b>",
    ],
)
def test_words_about_thinking_are_no_thoughts(text: str) -> None:
    assert without_thoughts(text) == text


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "[THINK]", "<|channel|>", "<|message|>", "a", "\n", "◁/think▷"]))
)
def test_no_mark_is_left_in_what_is_kept(parts: list[str]) -> None:
    kept = without_thoughts("".join(parts))
    assert "<think>" not in kept
    assert "</think>" not in kept


@pytest.mark.parametrize(
    "part", ["<", "<|channel|>a", "thinking:\n", "<think>", "```think\n", "<answer> ", "analysis", "["]
)
def test_a_long_reply_of_marks_is_read_at_once(part: str) -> None:
    started = time.perf_counter()
    without_thoughts(part * (200_000 // len(part)))
    without_thoughts(f"<|channel|>{'a' * 200_000}")
    assert time.perf_counter() - started < 5
