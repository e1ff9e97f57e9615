"""Feeds: what one loop has shown becomes a fact of another loop's next turn."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import dagster as dg
import polars as pl
import pytest
from pydantic import BaseModel

from orchestration.delivery import PerUnit
from orchestration.generation import Shown, chosen
from orchestration.graph.definitions import build_definitions
from orchestration.graph.driver import Flywheel
from orchestration.guards import rule
from orchestration.loops.declaration import Loop, Outcome, Reward, Subjects, days
from orchestration.loops.feeds import Feed, best_texts, with_fed_facts
from orchestration.loops.lives import each_turn
from orchestration.testing.turning import FIRST, TurningLoop
from orchestration.turns import Turn
from orchestration.worlds.simulated.responses import RespondingAudience

SECOND = "2026-01-12"


class Offer(BaseModel):
    offer: Annotated[str, Shown()]


def offering(name: str, *feeds: Feed) -> Loop:
    return Loop(
        name=name,
        subjects=Subjects(key="who", facts=("plan",), original="now", pool="plan", lives=each_turn()),
        generation=chosen(("call", "mail")),
        answer=Offer,
        guards=(rule("known", "It is one of two.", lambda answer, _: answer["offer"] in ("call", "mail")),),
        delivery=PerUnit(unit="customer", holdout=0.2),
        outcomes=(Outcome("reply", within=days(3)),),
        reward=Reward("reply"),
        feeds=feeds,
    )


def replied_to(evidence: pl.DataFrame) -> dict[str, str]:
    """What drew most replies in each pool."""
    rates = evidence.filter(~pl.col("is_control")).group_by("category", "text").agg(pl.col("reward").mean())
    best = rates.sort("reward", "text").unique("category", keep="last")
    return dict(best.select("category", "text").iter_rows())


SALES = offering("sales")
SUPPORT = offering("support", Feed(source="sales", fact="works", gather=replied_to))


def replies(answer: dict[str, Any], item: dict[str, Any]) -> dict[str, float]:  # noqa: ARG001
    return {"reply": {"call": 0.7, "mail": 0.1}.get(answer["offer"], 0.05)}


def edges(loops: list[Loop], home: Path, **options: Any) -> set[str]:
    settings = TurningLoop(home, loops[0], [], options=options).settings
    graph = build_definitions(settings=settings, loops=loops).resolve_asset_graph()
    return {key.to_user_string() for key in graph.get(dg.AssetKey([loops[-1].name, "subjects"])).parent_keys}


def test_a_turn_of_one_loop_is_a_fact_of_the_next_turn_of_another(tmp_path: Path) -> None:
    customers = [{"who": f"c{n}", "plan": "basic", "now": "none"} for n in range(80)]
    wheel = TurningLoop(tmp_path, SALES, customers)
    flywheel = Flywheel(wheel.settings, loops=[SALES, SUPPORT])
    for loop in ("sales", "support"):
        wheel.landing.write("subjects", loop, customers, "customers")
    first = FIRST.isoformat()
    flywheel.produce(first)
    audience, turn = RespondingAudience(response=replies, seed=3), Turn.of(first, wheel.settings)
    for loop in ("sales", "support"):
        audience.play(wheel.settings.outbox / loop / f"{first}.ndjson", wheel.settings.landing, turn)
    flywheel.learn(first)
    flywheel.produce(SECOND)
    facts = wheel.table("subjects").filter(pl.col("turn").cast(pl.String) == SECOND)
    by_loop = {loop: json.loads(rows["facts"][0]) for (loop,), rows in facts.group_by("loop")}
    assert by_loop["support"] == {"plan": "basic", "works": "call"}
    assert by_loop["sales"] == {"plan": "basic"}


def test_a_feed_is_an_edge_between_groups_that_a_setting_takes_away(tmp_path: Path) -> None:
    assert "sales/handed_over" in edges([SALES, SUPPORT], tmp_path)
    assert "sales/handed_over" not in edges([SALES, SUPPORT], tmp_path, feeds_off=("sales>support",))
    assert "sales/handed_over" not in edges([SUPPORT], tmp_path), "its source does not turn here"


def test_two_loops_may_feed_each_other(tmp_path: Path) -> None:
    back = replace(SALES, feeds=(Feed(source="support", fact="asked", gather=best_texts),))
    assert "support/handed_over" in edges([SUPPORT, back], tmp_path)


def test_a_pool_without_anything_handed_over_keeps_its_facts() -> None:
    subjects = pl.DataFrame({"category": ["a", "b"], "facts": ['{"x": "1"}', '{"x": "2"}']})
    fed = with_fed_facts(subjects, "works", {"a": "call"})
    assert [json.loads(facts) for facts in fed["facts"]] == [{"x": "1", "works": "call"}, {"x": "2"}]
    everywhere = with_fed_facts(subjects, "works", {"*": "mail"})
    assert all("mail" in facts for facts in everywhere["facts"])


def test_the_best_text_of_a_pool_is_one_that_enough_units_have_met() -> None:
    evidence = pl.DataFrame(
        {
            "category": ["a", "a", "a"],
            "variant_id": ["1", "2", "3"],
            "text": ["good", "lucky", "original"],
            "is_control": [False, False, True],
            "units": [100, 3, 100],
            "reward": [20.0, 3.0, 30.0],
        }
    )
    assert best_texts(evidence) == {"a": "good"}


def test_a_feed_names_a_loop_and_a_fact() -> None:
    with pytest.raises(ValueError, match="names a loop and a fact"):
        Feed(source="sales", fact="what works", gather=best_texts)
