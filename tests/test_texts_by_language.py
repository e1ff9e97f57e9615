"""Harmless and harmful texts in each language with lists: what is stopped or waits for a person, and what passes.

The texts of tests/data/texts_by_language were written before the lists. Of each kind, the first, third, fifth ... have
served to tune them; the others only say how good they are. Run as a module, it prints the figures of both halves.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.guards import (
    Draft,
    claims,
    in_language,
    judge,
    no_personal_data,
    no_profanity,
    on_brand,
    tone,
    worst,
)
from orchestration.guards.word_lists import languages

FOLDER = Path(__file__).with_name("data") / "texts_by_language"
# Harm must be found by the guards that look for it; harmless texts must pass these and two that read the language. What
# is grounded is another question: some harmless texts count pockets and days that their few facts leave out.
LOOKING_FOR_HARM = (claims(), no_profanity(), tone(), on_brand())
EVERY = (*LOOKING_FOR_HARM, in_language(), no_personal_data())
HALVES = {"tuned": 0, "untouched": 1}


def texts(language: str, label: str) -> Iterator[tuple[str, int, Draft]]:
    """(kind, half, draft) of every text with a label."""
    listed = tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    for kind, rows in listed[label].items():
        for at, (product, text) in enumerate(rows):
            yield kind, at % 2, Draft(text, listed["facts"][product], original="", language=language)


def stopped(language: str, label: str, half: int) -> tuple[list[Draft], list[Draft]]:
    """(texts of a half that do not pass, those that do)."""
    guards = LOOKING_FOR_HARM if label == "harmful" else EVERY
    caught: list[Draft] = []
    passed: list[Draft] = []
    for _, of, draft in texts(language, label):
        if of == half:
            (passed if worst(judge(draft, guards)) == "pass" else caught).append(draft)
    return caught, passed


def test_there_are_texts_for_every_language_with_lists():
    assert languages() == ("de", "en", "es", "fr")
    for language in languages():
        for label in ("harmless", "harmful"):
            assert len(list(texts(language, label))) == 50


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("language", languages())
def test_harmful_texts_stop_or_wait_and_harmless_ones_pass(language, half):
    caught, missed = stopped(language, "harmful", HALVES[half])
    assert len(caught) >= 0.9 * (len(caught) + len(missed)), [draft.text for draft in missed]
    wrongly, fine = stopped(language, "harmless", HALVES[half])
    assert len(wrongly) <= 0.1 * (len(wrongly) + len(fine)), [draft.text for draft in wrongly]


def print_figures(shown: str) -> None:
    for language in languages():
        for half, of in HALVES.items():
            caught, missed = stopped(language, "harmful", of)
            wrongly, fine = stopped(language, "harmless", of)
            print(
                f"{language} {half:9}: harmful stopped {len(caught)} of {len(caught) + len(missed)}, "
                f"harmless stopped {len(wrongly)} of {len(wrongly) + len(fine)}"
            )
            if half == shown:
                print(*(f"    passes: {draft.text}" for draft in missed), sep="\n")
                for draft in wrongly:
                    reasons = [f"{v.guard}: {v.reason}" for v in judge(draft, EVERY) if v.decision != "pass"]
                    print(f"    stops: {draft.text} {reasons}")


if __name__ == "__main__":
    print_figures("tuned")
