"""The model of the benchmarks: instant, the same every time, grounded, and different by style."""

import time

import numpy as np
import pytest
from pydantic import BaseModel

from orchestration.generation.calls import Request
from orchestration.guards.judging import judge, worst
from orchestration.guards.verdict import Draft
from orchestration.loops.content import declare as content_loop
from orchestration.testing.instant_model import STYLES, InstantLanguageModel, compose
from orchestration.worlds.simulated.audience import FEATURES, surface

PRODUCTS = (
    {"brand": "store brand", "category": "dairy and eggs", "type": "shredded cheese", "size": "8 oz"},
    {"brand": "national brand", "category": "household", "type": "paper towels", "size": "57 sq ft"},
    {"brand": "national brand", "category": "frozen food", "type": "frozen boneless chicken breast", "size": "2.5 lb"},
    {"brand": "store brand", "category": "fresh food", "type": "russet potatoes", "size": "5 lb"},
)
FORMATS = ("description", "headline", "social")


class Copy(BaseModel):
    text: str


def chat(facts: dict[str, str], *shots: str) -> tuple[dict[str, str], ...]:
    shown = "\n".join(f"{name}: {value}" for name, value in facts.items())
    earlier = [{"role": "assistant", "content": shot} for shot in shots]
    return ({"role": "system", "content": "Write copy."}, *earlier, {"role": "user", "content": f"Facts\n{shown}"})


def texts(style: str, form: str, seeds: int = 40) -> list[str]:
    return [compose(chat(facts), f"content-{form}-{style}", seed) for facts in PRODUCTS for seed in range(seeds)]


def test_the_same_request_gives_the_same_text_and_another_seed_another() -> None:
    assert texts("playful", "social") == texts("playful", "social")
    assert len(set(texts("playful", "social"))) > 80


@pytest.mark.parametrize("form", FORMATS)
def test_what_it_writes_passes_the_guards_of_the_content_loop(form: str) -> None:
    guards = content_loop().guards
    decisions = [
        worst(judge(Draft(text, facts, "Another text altogether", format=form), guards))
        for style in STYLES
        for facts in PRODUCTS
        for text in [compose(chat(facts), f"content-{form}-{style}", 5)]
    ]
    assert decisions.count("pass") / len(decisions) > 0.95
    assert "block" not in decisions


def test_styles_differ_in_what_an_audience_sees() -> None:
    def mean(style: str, feature: str) -> float:
        at = FEATURES.index(feature)
        return float(np.mean([surface(text)[at] for form in FORMATS for text in texts(style, form)]))

    assert mean("playful", "question") > mean("sensory", "question") + 0.5
    assert mean("sensory", "senses") > mean("playful", "senses") + 0.5
    assert mean("practical", "benefits") > mean("sensory", "benefits") + 0.5
    assert mean("urgent", "haste") > mean("plain", "haste") + 0.5


def test_it_imitates_a_little_what_it_is_shown() -> None:
    def asks(*shots: str) -> int:
        return sum("?" in compose(chat(PRODUCTS[0], *shots), "content-social-sensory", seed) for seed in range(400))

    assert asks() == 0
    assert 50 < asks("Ready for cheese?", "More cheese?") < 150


def test_it_answers_as_the_resource_does_thousands_a_second() -> None:
    requests = [
        Request(f"brief-{number}", chat(PRODUCTS[number % 4]), number, 60, 0.7, "content-headline-playful", 1)
        for number in range(2_000)
    ]
    started = time.perf_counter()
    answers = InstantLanguageModel().answer_all(requests, Copy, text_field="text", turn="2026-01-05", loop="content")
    assert time.perf_counter() - started < 1
    assert [answer.brief_id for answer in answers] == [request.brief_id for request in requests]
    assert all(answer.status == "ok" and answer.answer == {"text": answer.text} for answer in answers)
    assert len({answer.calls[0].call_id for answer in answers}) == len(answers)


def test_a_request_without_facts_is_refused() -> None:
    with pytest.raises(ValueError, match="shows no 'type'"):
        compose([{"role": "user", "content": "Hello"}], "content-headline-plain", 1)
