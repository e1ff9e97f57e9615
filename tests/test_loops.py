"""Declarations: the six loops in the same words, and what a wrong declaration says."""

from dataclasses import replace

import pytest
from pydantic import BaseModel

from orchestration.guards import grounded, no_personal_data, words
from orchestration.guards.verdict import Draft, Guard, Verdict
from orchestration.loops.content import declare as content_loop
from orchestration.loops.declaration import Allocation, ByRisk, Guardrail, Loop, Outcome, Subjects, days
from orchestration.loops.recipes import Recipes

CONTENT = content_loop()


class Offer(BaseModel):
    """What personalization answers: an offer at a price, with the words around it."""

    message: str
    offer_id: str
    price: float


class Prototype(BaseModel):
    code: str
    notes: str


class Reply(BaseModel):
    reply: str
    citations: list[str]
    escalate: bool


def price_within(low: float, high: float) -> Guard:
    """A guard over a field that is no text: judged like any other."""

    class PriceWithin:
        name = "price_within"

        def __call__(self, draft: Draft) -> Verdict:
            price = float(str(draft.answer["price"]))
            decision = "pass" if low <= price <= high else "block"
            return Verdict(self.name, decision, f"The price is {price:.2f}; allowed are {low:.2f} to {high:.2f}.")

    return PriceWithin()


def loop(name: str, **differences: object) -> Loop:
    fields = {
        "subjects": Subjects(key="id", facts=("a", "b"), original="now", category="kind"),
        "unit": "customer",
        "recipes": Recipes.in_folder(name),
        "answer": CONTENT.answer,
        "text_field": "text",
        "guards": (words(), no_personal_data()),
        "outcomes": (Outcome("won", within=days(30)),),
        "reward": "won",
    }
    return Loop(name=name, **{**fields, **differences})  # type: ignore[arg-type]


def test_all_six_loops_are_declared_with_the_same_fields() -> None:
    personalization = loop(
        "personalization",
        subjects=Subjects(
            "customers", "customer_id", ("segment", "last_order"), "standard_offer", "segment", personal=("name",)
        ),
        answer=Offer,
        text_field="message",
        guards=(price_within(1, 9),),
        made_by="policy",
        outcomes=(Outcome("purchase", days(7), has_value=True), Outcome("unsubscribe", days(7))),
        reward="purchase",
        guardrails=(Guardrail("unsubscribe"),),
    )
    product = loop("product", unit="prototype", answer=Prototype, text_field="code", review=ByRisk(passed="person"))
    sales = loop("sales", unit="lead", outcomes=(Outcome("reply", days(10)), Outcome("won", days(60))), reward="reply")
    support = loop("support", unit="ticket", answer=Reply, text_field="reply", guards=(grounded(),))
    knowledge = loop("knowledge", unit="reader", outcomes=(Outcome("useful", days(14)),), reward="useful")
    six = (CONTENT, personalization, product, sales, support, knowledge)
    assert len({one.name for one in six}) == 6
    assert personalization.guards[0](Draft("Ten off", {}, "", answer={"price": 12.0})).decision == "block"


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        ({"reward": "sale"}, "uses outcome 'sale'"),
        ({"guardrails": (Guardrail("anger"),)}, "uses outcome 'anger'"),
        ({"text_field": "body"}, "has no field 'body'"),
        ({"guards": (words(), words())}, "names a guard twice"),
    ],
)
def test_a_wrong_declaration_names_what_is_wrong(difference: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(CONTENT, **difference)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "shares", [{"floor": 0.0}, {"floor": 0.3, "control": 0.2}, {"holdout": 1.0}, {"control": 0.98}]
)
def test_shares_that_cannot_be_given_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"floor|exceed"):
        Allocation(**shares)  # type: ignore[arg-type]


def test_an_outcome_needs_time_to_happen() -> None:
    with pytest.raises(ValueError, match="time to happen"):
        Outcome("click", within=days(0))
