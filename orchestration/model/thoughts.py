"""Thoughts that a model wrote beside its answer: cut off, in whichever form they come.

Here: the marks of thoughts, of channels and of a chat's turns, and what is left of a reply without them. Pure.
Not here: how an answer is read from what is left (replies).

A reply whose thoughts do not end holds no answer: what follows may be a thought still.
"""

import re

_NAMES = r"think(?:s|ing)?|thoughts?|reason(?:ing)?(?:_content)?|reflection|analysis|scratch_?pad|inner_monologue"
# A mark is a name in brackets of any kind, with a slash or END where it closes: <think>, [THINK], ◁think▷,
# <seed:think>, <|START_THINKING|>, <details type="reasoning">, &lt;think&gt;.
_OPEN, _CLOSE = r"(?:<|\[|◁|⟨|＜|【|&lt;)", r"(?:>|\]|▷|⟩|＞|】|&gt;)"
_MARK = re.compile(
    rf"{_OPEN}\s?[|｜]?\s?(?P<closes>\\?/\s?|end_(?:of_)?)?(?:start_|begin_(?:of_)?)?(?:\w{{1,20}}:)?(?:{_NAMES})"
    rf"(?:\s[\w-]{{1,30}}\s?=[^<>]{{0,200}}?)?\s?(?P<empty>/)?[|｜]?{_CLOSE}"
    r'|(?P<details><details\b[^>]{0,200}\btype\s?=\s?["\']?reasoning\b[^>]{0,400}>)|(?P<end_details></details\s?>)'
    r"|(?P<channel><\|channel>\s?(?:thought|analysis)\w{0,20})|(?P<end_channel><channel\|>)",
    re.IGNORECASE,
)
_FENCED = re.compile(rf"^\s*```(?:{_NAMES})[ \t]*\n(?:.*?\n```[ \t]*(?:\n|$)|.*$)", re.DOTALL | re.IGNORECASE)
# OpenAI's harmony: <|start|>assistant<|channel|>final<|message|>Copy.<|return|>, and what is left when a server drops
# the special tokens: analysisLet me see.assistantfinalCopy.
_CHANNEL = re.compile(r"<\|channel\|>\s*+(\w*+)[^<]*+(?:<\|constrain\|>[^<]*+)?<\|message\|>", re.IGNORECASE)
_END_OF_MESSAGE = re.compile(r"<\|(?:end|return|start|call|channel)\|>", re.IGNORECASE)
_BARE_CHANNELS = re.compile(r"^\s*(?:(?:analysis|commentary)(?=[A-Z\"'“\n:]).*?)?assistant\s?final(?:\s*:)?", re.DOTALL)
_BARE_THOUGHT = re.compile(r"^\s*(?:analysis|commentary)(?=[A-Z])")
# Marks in words: "Here is my thought process: ... Here is my response: ...", "Thought: ...\nFinal answer: ...".
_IN_WORDS = re.compile(
    r"^\W*here(?:'s| is) my (?:thought|thinking|reasoning)(?: process)?\W.*?"
    r"(?:here(?:'s| is) my (?:response|answer)\W*|$)",
    re.DOTALL | re.IGNORECASE,
)
_LABELLED = re.compile(
    r"^\W*(?:thoughts?|thinking|reasoning|thought process)[*_ ]*:.*?"
    r"\n[^\w\n]{0,8}(?:final answer|final|answer|response|output)[*_ ]*:[*_\s]*",
    re.DOTALL | re.IGNORECASE,
)
_SPECIAL = re.compile(r"<[|｜][\w▁ ]{1,40}[|｜]>|</?s>|<(?:end_of_turn|start_of_turn|eos|bos|pad)>", re.IGNORECASE)
_ANSWER = re.compile(r"<(answer|response|final|output)>", re.IGNORECASE)


def without_thoughts(reply: str) -> str:
    """The reply without thoughts and without the marks of a chat; empty when they do not end."""
    text = _final_channel(reply)
    text = _FENCED.sub("", text)
    text = _outside_of_marks(text)
    text = _LABELLED.sub("", _IN_WORDS.sub("", text))
    text = _SPECIAL.sub("", text).strip()
    if answer := _ANSWER.match(text):
        closing = f"</{answer[1].lower()}>"
        text = text[answer.end() :].strip()
        text = text[: -len(closing)].strip() if text.lower().endswith(closing) else text
    return text


def _final_channel(text: str) -> str:
    """What a reply in channels says in its final one; a reply without channels as it is."""
    if "<|message|>" in text.lower():
        channels = list(_CHANNEL.finditer(text))
        if not channels:
            return _END_OF_MESSAGE.split(text[text.lower().rindex("<|message|>") + len("<|message|>") :])[0]
        final = [match.end() for match in channels if match.group(1).lower() == "final"]
        return _END_OF_MESSAGE.split(text[final[-1] :])[0] if final else ""
    if bare := _BARE_CHANNELS.match(text):
        return text[bare.end() :]
    return "" if _BARE_THOUGHT.match(text) else text


def _outside_of_marks(text: str) -> str:
    """What stands outside of thoughts. What stands before a mark that closes nothing is a thought whose first mark the
    server's prompt had written; a mark that opens within a thought is a part of it."""
    kept: list[str] = []
    since, inside, details = 0, False, False
    for mark in _MARK.finditer(text):
        if mark["end_details"] and not details:
            continue
        if mark["empty"]:
            if not inside:
                kept.append(text[since : mark.start()])
                since = mark.end()
            continue
        if mark["closes"] or mark["end_details"] or mark["end_channel"]:
            if not inside:
                kept.clear()
            inside = details = False
            since = mark.end()
        elif not inside:
            kept.append(text[since : mark.start()])
            inside, details = True, bool(mark["details"])
    if inside:
        return ""
    return "".join([*kept, text[since:]])
