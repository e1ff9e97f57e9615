"""Best of several drafts, and what a demonstration shows of them, by example."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import polars as pl
import pytest
from pydantic import BaseModel, Field

from orchestration.commands.written import new_texts
from orchestration.generation import Shown, best_of, written
from orchestration.generation.calls import Answer, Call, Request
from orchestration.generation.pipeline import Workshop
from orchestration.loops.recipes import Recipes


class Copy(BaseModel):
    """A text."""

    text: Annotated[str, Shown()] = Field(min_length=1)


def worth(text: str, facts: Mapping[str, str], language: str) -> float:  # noqa: ARG001
    """A text is worth what it says it is."""
    return float(text)


class Asked:
    """A model that gives each brief the texts listed for it, one a call; None is a reply that is no answer."""

    def __init__(self, texts: Mapping[str, Sequence[str | None]]) -> None:
        self._texts = {brief: list(each) for brief, each in texts.items()}
        self.rounds: list[dict[str, Request]] = []

    def __call__(self, requests: Sequence[Request], answer: type[BaseModel], text_field: str) -> list[Answer]:
        self.rounds.append({request.brief_id: request for request in requests})
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Answer:
        text = self._texts[request.brief_id].pop(0)
        status = "ok" if text else "parse_failed"
        call = Call(
            f"{request.brief_id}-{request.seed}", request.brief_id, "p", 1, "m", request.seed, status, 1, 1, 0.0, 0.1,
            False, datetime.now(UTC),
        )  # fmt: skip
        value = {"text": text} if text else None
        return Answer(request.brief_id, status, text, value, None if text else "no answer", (call,))


def brief(name: str, **more: Any) -> dict[str, Any]:
    return {
        "brief_id": name,
        "facts": "{}",
        "fields": "{}",
        "language": "en",
        "messages": '[{"role":"user","content":"x"}]',
        "seed": 7,
        "max_tokens": 10,
        "temperature": 0.2,
        "prompt_name": "p",
        "prompt_version": 1,
        "escalation": None,
        **more,
    }


def texts(asked: Asked, drafts: int, *briefs: dict[str, Any]) -> list[str | None]:
    generation = best_of(written(Recipes()), worth, enough=0.6)
    found = generation.answers(briefs, Copy, Workshop(ask=asked, best_of=drafts))
    assert [draft.answer.brief_id for draft in found] == [each["brief_id"] for each in briefs]
    return [draft.answer.text for draft in found]


def test_only_what_is_not_good_enough_is_asked_for_again_and_the_best_stays() -> None:
    asked = Asked({"good": ["0.9"], "better": ["0.2", "0.5"], "worse": ["0.4", "0.1"]})
    assert texts(asked, 2, brief("good"), brief("better"), brief("worse")) == ["0.9", "0.5", "0.4"]
    assert [sorted(each) for each in asked.rounds] == [["better", "good", "worse"], ["better", "worse"]]


def test_each_further_draft_has_a_seed_of_its_own_and_a_warmer_model() -> None:
    asked = Asked({"one": ["0.1", "0.2", "0.3"]})
    texts(asked, 3, brief("one"))
    assert len({each["one"].seed for each in asked.rounds}) == 3
    temperatures = [each["one"].temperature for each in asked.rounds]
    assert temperatures == sorted(temperatures)
    assert (temperatures[0], temperatures[-1]) == (0.2, pytest.approx(0.6))


def test_an_answer_is_better_than_none_and_all_calls_are_kept() -> None:
    asked = Asked({"one": [None, "0.1"]})
    (draft,) = best_of(written(Recipes()), worth, enough=0.6).answers(
        [brief("one")], Copy, Workshop(ask=asked, best_of=2)
    )
    assert (draft.answer.status, draft.answer.text) == ("ok", "0.1")
    assert len({call.call_id for call in draft.answer.calls}) == 2


def test_where_one_draft_is_paid_for_no_other_is_asked_for() -> None:
    asked = Asked({"one": ["0.1"]})
    assert texts(asked, 1, brief("one")) == ["0.1"]
    assert len(asked.rounds) == 1


def test_what_goes_to_a_person_is_not_asked_for_at_all() -> None:
    asked = Asked({"one": ["0.9"]})
    assert texts(asked, 2, brief("one"), brief("other", escalation="angry")) == ["0.9", None]


@pytest.mark.parametrize("enough", [0.0, 1.5])
def test_what_is_enough_is_a_share(enough: float) -> None:
    with pytest.raises(ValueError, match="at most 1"):
        best_of(written(Recipes()), worth, enough=enough)


def test_the_texts_shown_are_of_every_format_and_of_many_subjects() -> None:
    class Released:
        def read(self, sql: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
            assert parameters == {"turn": "2026-01-05", "loop": "shop"}
            names = ("format", "subject_id", "text")
            rows = [("a", "1", "first"), ("a", "1", "second"), ("a", "2", "third"), ("b", "3", "fourth")]
            return pl.DataFrame([{**dict(zip(names, row, strict=True)), "original": "as it was"} for row in rows])

    shown = new_texts(Released(), "shop", "2026-01-05")  # type: ignore[arg-type]
    assert [each.text for each in shown] == ["first", "fourth", "third", "second"]
    assert {each.original for each in shown} == {"as it was"}
