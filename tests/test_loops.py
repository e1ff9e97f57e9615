"""Declarations: six loops in the same words, what a wrong declaration says, and that a loop is found by being there."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from orchestration.delivery import PerUnit, SharedTraffic, Trial, to_a_person
from orchestration.generation import Shown, chosen, escalated, given, grounded_on, in_rounds, scored, within, written
from orchestration.guards import grounded, no_personal_data, words
from orchestration.guards.verdict import Draft, Verdict, on
from orchestration.loops.content import declare as content
from orchestration.loops.declaration import CostLimit, Guardrail, Loop, Outcome, Reward, Subjects, days
from orchestration.loops.feeds import Feed, best_texts
from orchestration.loops.found import declared_loops, found_loops
from orchestration.loops.lives import each_turn, once, until_met
from orchestration.loops.recipes import Recipes

CONTENT = content()
RECIPES = Recipes.in_folder("content")  # any recipes: a declaration does not read them


class Offer(BaseModel):
    """What personalization answers: an offer at a price, with the words around it."""

    message: Annotated[str, Shown()]
    offer: str
    price: float


class Code(BaseModel):
    code: Annotated[str, Shown()]


class Reply(BaseModel):
    reply: Annotated[str, Shown()]
    citations: list[str]


class PriceWithin:
    """A guard over a field that is no text: judged like any other."""

    name = "price_within"

    def __call__(self, draft: Draft) -> Verdict:
        price = float(str(draft.answer["price"]))
        return Verdict(self.name, "pass" if 1 <= price <= 9 else "block", f"The price is {price:.2f}.")


def subjects(**differences: Any) -> Subjects:
    fields: dict[str, Any] = {"key": "id", "facts": ("a", "b"), "original": "now", "pool": "kind"}
    return Subjects(**{**fields, **differences})


def loop(name: str, **differences: Any) -> Loop:
    fields: dict[str, Any] = {
        "subjects": subjects(),
        "generation": written(RECIPES),
        "answer": CONTENT.answer,
        "guards": (words(), no_personal_data()),
        "delivery": SharedTraffic(unit="visitor"),
        "outcomes": (Outcome("won", within=days(30)),),
        "reward": Reward("won"),
    }
    return Loop(name=name, **{**fields, **differences})


def test_all_six_loops_are_declared_by_the_same_six_questions() -> None:
    personalization = loop(
        "personalization",
        subjects=subjects(
            facts=("segment", "orders"), features=("segment", "orders"), lives=each_turn(), personal=("id",)
        ),
        generation=chosen(("ten_off", "bundle"), price=within(1, 9, moves_at_most=0.1)) >> written(RECIPES),
        answer=Offer,
        guards=(PriceWithin(), on("message", words(at_most=20))),
        delivery=PerUnit(unit="customer", holdout=0.05),
        outcomes=(Outcome("purchase", within=days(7), has_value=True), Outcome("unsubscribe", within=days(7))),
        reward=Reward("purchase", less={"unsubscribe": 5.0}),
        guardrails=(Guardrail("unsubscribe", margin=0.1),),
    )
    passed = scored(lambda answer, facts: float(str(answer["code"]).endswith(facts["tests"])))
    product = loop(
        "product",
        subjects=subjects(facts=("specification", "tests"), lives=until_met("passed")),
        generation=in_rounds(written(RECIPES), passed, at_most=3),
        answer=Code,
        delivery=Trial(),
        outcomes=(Outcome("passed", within=days(1)), Outcome("rounds", within=days(1), has_value=True)),
        reward=Reward("passed", less={"rounds": 0.1}),
    )
    sales = loop("sales", generation=grounded_on("prices") >> written(RECIPES), delivery=PerUnit(unit="lead"))
    support = loop(
        "support",
        subjects=subjects(facts=("question", "angry"), lives=once(), personal=("question",)),
        generation=grounded_on("articles", passages=6) >> written(RECIPES) | escalated(when=("angry",)),
        answer=Reply,
        guards=(grounded(),),
        delivery=PerUnit(unit="ticket", instead=to_a_person()),
    )
    knowledge = loop("knowledge", generation=grounded_on("documents") >> written(RECIPES))
    six = (CONTENT, personalization, product, sales, support, knowledge)
    assert len({one.name for one in six}) == 6
    assert personalization.generation.fields == ("offer", "price")
    assert personalization.reward.weights == {"purchase": 1.0, "unsubscribe": -5.0}
    assert personalization.guards[0](Draft("Ten off", {}, "", answer={"price": 12.0})).decision == "block"


def test_a_guard_is_addressed_to_a_field() -> None:
    short = on("message", words(at_most=2))
    draft = Draft("whatever is shown", {}, "", answer={"message": "three words here", "price": 2.0})
    assert short.name == "words_message"
    assert short(draft).decision == "block"
    assert short(replace(draft, answer={"message": "two words"})).decision == "pass"


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        ({"reward": Reward("sale")}, "uses outcome 'sale'"),
        ({"guardrails": (Guardrail("anger"),)}, "uses outcome 'anger'"),
        ({"guards": (words(), words())}, "names a guard twice"),
        ({"guards": ()}, "names no guard"),
        ({"generation": given("texts")}, "generates from .*'texts'.* name them among the facts"),
        ({"generation": given("a", field="body")}, "has no field .*'body'"),
        ({"delivery": Trial()}, "names no test"),
        ({"subjects": subjects(personal=("id",))}, "Deliver it with PerUnit"),
        ({"subjects": subjects(lives=until_met("passed"))}, "lives until 'passed'"),
        (
            {"generation": chosen(price=within(1, 9, 0.1, cost="paid"), price_field="b")},
            "from .*paid.* among the facts",
        ),
        ({"outcomes": (Outcome("won", within=days(1)),) * 2}, "declares an outcome twice"),
        ({"generation": chosen(("a", "b")), "answer": Offer}, "chooses offers or prices: deliver it with PerUnit"),
        ({"answer": dict}, "the answer is a pydantic model"),
        ({"delivery": PerUnit(unit="visitor", instead=to_a_person(words="Wait."))}, "has no field .*'words'"),
        ({"feeds": (Feed(source="a", fact="best", gather=best_texts),) * 2}, "is handed a fact twice"),
        ({"feeds": (Feed(source="content", fact="best", gather=best_texts),)}, "feeds itself"),
    ],
)
def test_a_wrong_declaration_names_what_is_wrong(difference: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        loop("content", **difference)


@pytest.mark.parametrize("name", ["", "a/b", "../up", "my loop", "my-loop", "Loyalty", "it's", "events", "documents"])
def test_a_loop_is_called_what_a_module_and_a_folder_can_be_called(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        loop(name)


@pytest.mark.parametrize(
    ("declares", "said"),
    [
        (lambda: Reward("click", less={"complaint": math.nan}), "positive"),
        (lambda: Reward("click", plus={"basket": math.inf}), "positive"),
        (lambda: Outcome("exposure", within=days(1)), "after it was exposed"),
        (lambda: Outcome(" ", within=days(1)), "after it was exposed"),
        (lambda: Guardrail("complaint", margin=math.nan), "a margin is"),
        (lambda: Guardrail("complaint", margin=-0.1), "a margin is"),
        (lambda: CostLimit("seconds", margin=0.1), "a limit is on one of tokens, usd, tone"),  # type: ignore[arg-type]
        (lambda: subjects(pool=""), "a column for each of pool"),
        (lambda: chosen("ten_off"), "not one text"),
        (lambda: chosen(["ten_off", "ten_off"]), "twice"),
        (lambda: chosen({"": {}, "ten_off": {}}), "by its name"),
        (lambda: chosen({"ten_off": {"price": math.nan}, "bundle": {"price": 1.0}}), "what no answer can hold"),
        (lambda: written(RECIPES) >> written(RECIPES), "Two steps write"),
        (lambda: escalated(when="angry"), "not one text"),
        (lambda: grounded_on("../content"), "by its folder in landing/documents/"),
        (lambda: grounded_on("", passages=2), "by its folder in landing/documents/"),
    ],
)
def test_a_wrong_word_of_a_declaration_is_refused_where_it_stands(declares: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        declares()


@pytest.mark.parametrize(
    "shares", [{"floor": 0.0}, {"floor": 0.3, "control": 0.2}, {"holdout": 1.0}, {"control": 0.98}]
)
def test_shares_that_cannot_be_given_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"floor|exceed"):
        SharedTraffic(unit="visitor", **shares)


def test_words_of_a_declaration_are_named_so_that_none_can_be_shifted_by_one() -> None:
    with pytest.raises(TypeError, match="positional"):
        Subjects("customers", "customer_id", ("segment",), "standard_offer", "segment")  # type: ignore[misc]
    with pytest.raises(TypeError, match="positional"):
        Outcome("click", days(1))  # type: ignore[misc]


def test_a_fact_alone_is_no_tuple_of_facts() -> None:
    with pytest.raises(ValueError, match="give a tuple of columns"):
        subjects(facts="brand")


def test_a_feature_does_not_take_the_name_that_the_choice_of_a_price_uses() -> None:
    with pytest.raises(ValueError, match=r"Rename the features .*unit_cost"):
        Subjects(key="id", facts=("unit_cost",), features=("unit_cost",), original="text", pool="unit_cost")


def test_an_outcome_needs_time_to_happen() -> None:
    with pytest.raises(ValueError, match="time to happen"):
        Outcome("click", within=days(0))


def test_a_reward_counts_no_outcome_twice_and_takes_off_what_is_positive() -> None:
    with pytest.raises(ValueError, match="twice"):
        Reward("click", plus={"click": 1.0})
    with pytest.raises(ValueError, match="positive"):
        Reward("click", less={"complaint": -1.0})


def test_two_steps_do_not_fill_the_same_field() -> None:
    with pytest.raises(ValueError, match="fill the same field"):
        given("a") >> given("b")


def test_a_loop_is_found_by_being_there() -> None:
    assert set(found_loops()) == {
        path.stem
        for path in (Path(__file__).parents[1] / "orchestration" / "loops").glob("*.py")
        if "\ndef declare(" in path.read_text()
    }
    assert [one.name for one in declared_loops(["replay"])] == ["replay"]


def test_a_module_and_its_loop_have_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestration.loops.found.found_loops", lambda: {"contents": content})
    with pytest.raises(ValueError, match=r"loops/contents.py declares a loop named 'content'"):
        declared_loops(())


def test_loops_that_only_a_command_turns_do_not_turn_unasked() -> None:
    assert "replay" not in [one.name for one in declared_loops(())]


def test_a_loop_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="FLYWHEEL_LOOPS names 'suport'; the loops found are content, "):
        declared_loops(["content", "suport"])
