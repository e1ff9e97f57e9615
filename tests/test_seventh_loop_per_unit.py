"""A seventh loop, declared in one file: each customer gets an offer at a price; nothing of it is text."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel

from orchestration.delivery import PerUnit
from orchestration.delivery.decision_learning import context_of
from orchestration.generation import Shown, chosen
from orchestration.guards import rule
from orchestration.learning.policies.policy import Policy
from orchestration.loops.declaration import Loop, Outcome, Reward, Subjects, days
from orchestration.loops.lives import each_turn
from orchestration.testing.turning import TurningLoop
from orchestration.worlds.simulated.responses import RespondingAudience


class Discount(BaseModel):
    offer: Annotated[str, Shown()]
    percent: int


LOYALTY = Loop(
    name="loyalty",
    subjects=Subjects(
        key="customer",
        facts=("orders", "region"),
        features=("orders", "region"),
        original="offer_now",
        pool="region",
        lives=each_turn(),
        personal=("customer",),
    ),
    generation=chosen({"bundle": {"percent": 0}, "ten_off": {"percent": 10}, "points": {"percent": 0}}),
    answer=Discount,
    guards=(rule("modest", "At most ten per cent.", lambda answer, _: answer["percent"] <= 10),),
    delivery=PerUnit(unit="customer", holdout=0.2),
    outcomes=(Outcome("purchase", within=days(7)), Outcome("unsubscribe", within=days(7))),
    reward=Reward("purchase", less={"unsubscribe": 2.0}),
)
CUSTOMERS = [
    {
        "customer": f"c{number:04d}",
        "orders": str(number % 7),
        "region": "north" if number % 2 else "south",
        "offer_now": "none",
    }
    for number in range(600)
]


def responds(answer: dict[str, Any], item: dict[str, Any]) -> dict[str, float]:  # noqa: ARG001
    """A discount works, points annoy."""
    return {
        "purchase": {"ten_off": 0.45, "bundle": 0.2}.get(answer["offer"], 0.1),
        "unsubscribe": 0.1 if answer["offer"] == "points" else 0.0,
    }


def test_offers_that_work_are_learned_from_decisions(tmp_path: Path) -> None:
    audience = RespondingAudience(response=responds, seed=1)
    loyalty = TurningLoop(tmp_path, LOYALTY, CUSTOMERS, audience=audience)
    first, second = loyalty.turns(2)

    decisions = loyalty.table("decisions")
    assert decisions.filter(~decisions["in_holdout"])["propensity"].is_between(0, 1, closed="right").all()
    assert set(decisions.filter("in_holdout")["text"]) == {"none"}
    newest = loyalty.table("challengers").row(-1, named=True)["policy"]
    context = context_of(decisions.filter("delivered").row(0, named=True))
    chances = Policy.from_json(newest).choice.probabilities(context)
    assert max(chances, key=lambda option: chances[option]) == "ten_off"
    (lift,) = loyalty.table("momentum").filter(turn=decisions["turn"].max())["difference"]
    assert lift > 0
    assert "c0001" in loyalty.outbox(second).read_text()
    assert "c0001" not in str(decisions.rows())
    assert first != second
