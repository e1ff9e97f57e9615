"""Is it whole, clean and nothing but the text?

Here: what a model leaves behind (labels, markup, echoes of the prompt, cut-off ends, repetition).
Not here: how long a text may be (length) and what it says (grounding, brand).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from orchestration.guards.lexicon import word_set
from orchestration.guards.verdict import Draft, Verdict

LINES: Mapping[str, int] = {"social": 3}  # most lines of a format; one where it is not named
_MARKUP = re.compile(
    r"\*\*|__|```|`[^`]+`|^\s*#{1,6}\s|^\s*(?:[-*•]|\d+[.)])\s+\S|\[[^\]]+\]\([^)]*\)|</?[a-zA-Z][^>]*>|^\s*\|.*\|\s*$|\\n|&(?:amp|nbsp|quot|#\d+);",
    re.MULTILINE,
)
_LABEL = re.compile(
    r"^\W*(?:(?:product |short |new |final )?(?:description|headline|title|tagline|slogan|social(?: media)? post|post|"
    r"caption|tweet|copy|ad|text|answer|output|response|result|draft|example|note|beschreibung|überschrift|titel|titre|"
    r"título|titolo|descripción|descrição|descrizione|beschrijving|kop)|user|assistant|system)\s*(?:\d+\s*)?[:=]",
    re.IGNORECASE,
)
_CHATTER = re.compile(
    r"^\W*(?:sure|certainly|of course|okay|absolutely)\b[,!.]? ?(?:here|i)\b|\bhere(?:'|’)?(?:s| is| are)\b[^.!?]{0,40}"
    r"\b(?:description|headline|post|text|copy|caption|version|option)s?\b|\bas an ai\b|\blanguage model\b|"
    r"\bi (?:cannot|can't|can not|am unable to|apologi[sz]e)\b|\bi'm sorry\b|\blet me know\b|\bhope this helps\b|"
    r"\bthis (?:description|headline|post|text|copy)\b|\bthe facts (?:given|above)\b",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"\{\{?[^}]*\}?\}|\[(?:[A-Z][\w /-]*|your [^\]]*|insert [^\]]*)\]|<\|[^|]*\|>|\[/?INST\]|"
    r"\blorem ipsum\b|\bX{3,}\b|�",
    re.IGNORECASE,
)
_ENDS = tuple(".!?…\"'”’»)")
_LEFT_HANGING = word_set(
    """a an and are as at but by for from has in into is its of on or our that the their this to was were will with
    your und oder der die das mit für et ou de la le les avec pour y o con para el los e com para o os met en van
    het"""
)
_DOUBLE = re.compile(r"\b(\w{2,}),? \1\b", re.IGNORECASE)
_STUTTER = re.compile(r"\b(\w{2,})(?:[,.…]* \1){2,}\b", re.IGNORECASE)
_PAIRS = (("(", ")"), ("[", "]"), ("“", "”"), ("«", "»"))
_HASHTAG_OR_SIGN = re.compile(r"(?:#\w+|[^\w\s.,;:-])\s*$")


@dataclass(frozen=True)
class WellFormed:
    """Blocks what is not one clean, finished piece of text, and flags what only may not be."""

    name: str = "well_formed"

    def __call__(self, draft: Draft) -> Verdict:
        if not draft.text.strip():
            return Verdict(self.name, "block", "It is empty.")
        for decision, faults in (("block", _FAULTS), ("flag", _DOUBTS)):
            found = [fault for check in faults for fault in check(draft)]
            if found:
                return Verdict(self.name, decision, f"It {'; it '.join(found)}.")  # type: ignore[arg-type]
        return Verdict(self.name, "pass", "One clean, finished text.")


def well_formed() -> WellFormed:
    return WellFormed()


def _leftovers(draft: Draft) -> Iterator[str]:
    for what, pattern in (
        ("holds markup", _MARKUP),
        ("starts with a label", _LABEL),
        ("speaks about the task", _CHATTER),
        ("holds a placeholder", _PLACEHOLDER),
    ):
        if match := pattern.search(draft.text):
            yield f"{what}, {match[0].strip()!r}"


def _echoes(draft: Draft) -> Iterator[str]:
    """Facts given back in the form in which the prompt showed them."""
    for name, value in draft.facts.items():
        if re.search(rf"(?<!\w){re.escape(name)}\s*:\s*{re.escape(value)}", draft.text, re.IGNORECASE):
            yield f"echoes the prompt, '{name}: {value}'"


def _paragraphs(draft: Draft) -> Iterator[str]:
    lines = [line for line in draft.text.strip().splitlines() if line.strip()]
    most = LINES.get(draft.format, 1)
    if len(lines) > most:
        yield f"has {len(lines)} lines where {most} fit{'s' if most == 1 else ''}"


def _unfinished(draft: Draft) -> Iterator[str]:
    text = draft.text.strip()
    last = re.findall(r"\w+", text)[-1:] or [""]
    if text[-1] in ",;:-–—&/":
        yield f"ends with {text[-1]!r}"
    elif last[0].casefold() in _LEFT_HANGING and text.endswith(last[0]):
        yield f"stops at {last[0]!r}"
    elif draft.format != "headline" and not text.endswith(_ENDS) and not _HASHTAG_OR_SIGN.search(text):
        yield "does not end its last sentence"
    if text.count('"') % 2:
        yield "leaves a quotation open"
    for opening, closing in _PAIRS:
        if text.count(opening) != text.count(closing):
            yield f"leaves {opening!r} and {closing!r} unmatched"
    if len(text) > 1 and text[0] in "\"“'«" and text[-1] in "\"”'»" and text[1:-1].count(text[0]) == 0:
        yield "stands in quotation marks"


def _repeats(draft: Draft) -> Iterator[str]:
    clauses = Counter(s.strip().casefold() for s in re.split(r"[.!?,;:\n]+", draft.text) if len(s.split()) > 1)
    yield from (f"repeats itself, {clause!r}" for clause, count in clauses.items() if count > 1)
    yield from (f"stutters, {match[0]!r}" for match in _STUTTER.finditer(draft.text))
    spoken = re.findall(r"\w+", draft.text.casefold())
    runs = Counter(zip(spoken, spoken[1:], spoken[2:], strict=False))
    yield from (f"says {' '.join(run)!r} {count} times" for run, count in runs.items() if count > 2)


def _doubles(draft: Draft) -> Iterator[str]:
    yield from (f"doubles a word, {match[0]!r}" for match in _DOUBLE.finditer(draft.text))


def _catalogue_style(draft: Draft) -> Iterator[str]:
    """Short forms of the catalogue that no reader would write: "ICE CREAM/MILK/SHERBTS"."""
    for value in draft.facts.values():
        if value.isupper() and re.search(r"[A-Z] ?[-/:&] ?[A-Z]", value) and value in draft.text:
            yield f"quotes the catalogue, {value!r}"
    shouted = re.findall(r"\b[A-Z]{3,}\b", draft.text)
    if len(shouted) > 3:
        yield f"shouts, {' '.join(shouted[:4])!r}"


def _trails_off(draft: Draft) -> Iterator[str]:
    if draft.text.rstrip().endswith(("...", "…")):
        yield "trails off"


_FAULTS: tuple[Callable[[Draft], Iterator[str]], ...] = (_leftovers, _echoes, _paragraphs, _unfinished, _repeats)
_DOUBTS: tuple[Callable[[Draft], Iterator[str]], ...] = (_doubles, _catalogue_style, _trails_off)
