"""What steps of a generation leave to choose, what of it is logged, and which answers can be kept, as examples."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

import polars as pl
import pytest
from pydantic import BaseModel

from orchestration.delivery import PerUnit
from orchestration.delivery.briefing import Briefing, brief_rows
from orchestration.delivery.protocol import When
from orchestration.generation import Generation, Shown, chosen, contained, given, within
from orchestration.generation.answers import AnswerInvalid, validated
from orchestration.generation.pipeline import Subject, Workshop
from orchestration.generation.trials import TrialRequest, TrialResult
from orchestration.guards import rule
from orchestration.learning.policies.decision_rows import read_decisions
from orchestration.loops.declaration import Loop, Outcome, Reward, Subjects, days
from orchestration.tables import TABLES

TURN = "2026-01-05"


class Letter(BaseModel):
    offer: Annotated[str, Shown()]
    price: float = 0.0
    extra: Any = None


def of_a_shop(**facts: str) -> Subject:
    return Subject(subject_id="s1", pool="p", format="f", facts=facts)


def names(generation: Generation, subject: Subject) -> list[str]:
    return [offer.option.option_id for offer in generation.offers(subject, ())]


@pytest.mark.parametrize("price", ["9.994", "1.001", "0.0512", "0.07", "3"])
def test_a_price_in_force_that_is_no_whole_cent_is_an_option_of_its_own(price: str) -> None:
    found = names(chosen(price=within(0.05, 20, moves_at_most=0.1)), of_a_shop(price=price))
    assert len(set(found)) == len(found)
    assert len([name for name in found if float(name.removeprefix("@ ")) == float(price)]) == 1


@pytest.mark.parametrize("price", ["9.99 EUR", "nan", "inf", "-3", "0.0", "100", "0.2"])
def test_a_subject_is_left_alone_whose_price_is_none_or_out_of_reach(price: str) -> None:
    """One subject's price must not stop the others, and any other price in its place would be a leap."""
    priced = chosen(("bundle", "ten_off"), price=within(1, 20, moves_at_most=0.1))
    assert names(priced, of_a_shop(price=price)) == []
    assert names(priced >> chosen(("mail", "phone"), offer_field="channel"), of_a_shop(price=price)) == []
    assert len(names(priced, of_a_shop(price="10"))) == 10


def test_the_price_of_a_subject_whose_cost_is_not_known_stays_where_it_is() -> None:
    priced = chosen(price=within(1, 20, moves_at_most=0.1, cost="paid"))
    assert names(priced, of_a_shop(price="10", paid="unknown")) == ["@ 10.00"]
    assert len(names(priced, of_a_shop(price="10", paid="4"))) == 5


def test_two_choices_of_offers_are_two_parts_that_a_policy_can_tell_apart() -> None:
    both = chosen(("ten_off", "bundle")) >> chosen(("mail", "phone"), offer_field="channel")
    parts = [dict(offer.option.parts) for offer in both.offers(of_a_shop(), ())]
    assert len(parts) == len({tuple(sorted(each.items())) for each in parts}) == 4
    assert {each["offer"] for each in parts} == {"ten_off", "bundle"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"offer": "half a \ud83d"}, "surrogate"),
        ({"offer": "zero \x00"}, "zero character"),
        ({"offer": "a", "price": float("nan")}, "Out of range"),
        ({"offer": "a", "extra": {"deep": 10**5000}}, "4300 digits"),
        ({"offer": "a", "extra": {"\udfff": 1}}, "surrogate"),
    ],
)
def test_an_answer_that_no_table_can_hold_is_none(value: dict[str, Any], said: str) -> None:
    with pytest.raises(AnswerInvalid, match=said):
        validated(Letter, value)


def test_a_text_about_a_zero_character_is_an_answer() -> None:
    assert validated(Letter, {"offer": r"JSON writes it \u0000"})["offer"] == r"JSON writes it \u0000"


class AllPass:
    def run_all(self, requests: Sequence[TrialRequest], progress: object = None) -> list[TrialResult]:
        numbers = [len(request.tests) for request in requests]
        return [
            TrialResult(status="passed", score=1.0, seconds=0.1, output="", passed_tests=n, total_tests=n)
            for n in numbers
        ]


def test_a_subject_without_a_test_passes_none_and_stops_nobody_else() -> None:
    told: list[str] = []
    tests = ("assert one() == 1", "", "  \n# to be written\n")
    verdicts = contained("code", "tests").tried(
        [({"code": "def one():\n    return 1"}, {"tests": of_one}) for of_one in tests],
        Workshop(ask=lambda *_: [], trials=AllPass(), tell=told.append),
    )
    assert [verdict is not None and verdict.passed for verdict in verdicts] == [True, False, False]
    assert told == ["2 subjects bring no test in 'tests' and are not tried: land them again."]


def test_what_is_drawn_for_a_unit_from_what_it_brought_is_logged_with_its_chances() -> None:
    loop = Loop(
        name="letters",
        subjects=Subjects(key="customer", facts=("texts",), original="now", pool="region"),
        generation=given("texts", field="offer"),
        answer=Letter,
        guards=(rule("any", "Anything.", lambda answer, _: bool(answer)),),
        delivery=PerUnit(unit="customer", holdout=0.1),
        outcomes=(Outcome("bought", within=days(7)),),
        reward=Reward("bought"),
    )
    row = dict.fromkeys(TABLES["subjects"].columns) | {
        "turn": date.fromisoformat(TURN),
        "loop": "letters",
        "format": "description",
        "category": "north",
    }
    subjects = TABLES["subjects"].frame(
        {**row, "subject_id": f"c{n}", "original": "none", "facts": json.dumps({"texts": '["one", "two"]'})}
        for n in range(40)
    )
    first = loop.delivery.first(loop, {})
    briefs = brief_rows(
        subjects,
        Briefing(
            loop=loop,
            when=When(turn=TURN, days=7, seed=1),
            recipes=(),
            prompt_versions={},
            policy=first,
            first=first,
            policy_version="1",
            in_force={},
            find=None,
        ),
    )
    logged = [json.loads(options) for options in briefs["options"]]
    assert logged == [{"given-01": 0.5, "given-02": 0.5}] * briefs.height
    decided = briefs.select(
        pl.col("turn", "subject_id", "context", "options", "option_parts", "propensity"),
        decision_id="brief_id",
        option="option_id",
        category=pl.lit("north"),
        in_holdout=False,
        reward=1.0,
        units=1,
    )
    assert (read_decisions(decided).chosen >= 0).all()
