"""A person edits an answer by its fields: refused at once where it could never go out, judged again in the turn."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner, Result

from orchestration.cli import app
from orchestration.commands.exporting import export
from orchestration.commands.lineage import trace
from orchestration.commands.reviewing import (
    EditRefusedError,
    NotWaitingError,
    SaidBeforeError,
    land_decision,
    shown,
    waiting,
)
from orchestration.delivery import SharedTraffic
from orchestration.generation import Shown, written
from orchestration.generation.calls import Request
from orchestration.guards import on, rule, words
from orchestration.loops.declaration import ByRisk, Loop, Outcome, Reward, Subjects, days
from orchestration.loops.recipes import Recipes
from orchestration.testing.scripted_model import ScriptedModel
from orchestration.testing.turning import TurningLoop
from tests.test_seventh_loop_shared import RECIPE

FIRST, SECOND = "2026-01-05", "2026-01-12"
Decide = Callable[..., Path]


class Card(BaseModel):
    title: Annotated[str, Shown()]
    teaser: Annotated[str, Shown()] = ""
    minutes: int


def cards(folder: Path) -> Loop:
    (folder / "title-plain.md").write_text(RECIPE.format(style="plain"))
    return Loop(
        name="cards",
        subjects=Subjects(key="article", facts=("topic",), original="title_now", pool="topic", format="form"),
        generation=written(Recipes(folder)),
        answer=Card,
        guards=(
            on("title", words(at_most=8)),
            rule("short_read", "At most ten minutes.", lambda answer, _: answer["minutes"] <= 10),
            rule("calm", "No exclamation.", lambda answer, _: "!" not in answer["title"], "flag"),
        ),
        review=ByRisk(passed="person"),
        delivery=SharedTraffic(unit="reader", holdout=0.2, drafts=1),
        outcomes=(Outcome("opened", within=days(1)),),
        reward=Reward("opened"),
    )


def card_of(request: Request) -> dict[str, Any]:
    return {"title": f"On rivers {request.seed % 97}", "teaser": "Where they rise", "minutes": 4}


@pytest.fixture
def cards_loop(tmp_path: Path) -> TurningLoop:
    """A loop of which a turn has been produced: four cards wait for a person."""
    recipes = tmp_path / "cards"
    recipes.mkdir()
    articles = [{"article": f"a{n}", "topic": "rivers", "title_now": f"Rivers {n}", "form": "title"} for n in range(4)]
    loop = TurningLoop(tmp_path / "home", cards(recipes), articles, ScriptedModel(card_of))
    loop.landing.write("subjects", "cards", articles, "subjects")
    loop.flywheel.produce(FIRST)
    return loop


def test_an_edit_by_fields_goes_out_and_one_that_a_guard_blocks_never_does(cards_loop: TurningLoop) -> None:
    queue = waiting(cards_loop.warehouse)
    assert {shown(row).partition("\n")[2] for row in queue} == {"teaser: Where they rise\nminutes: 4"}
    ours, long, hostile, approved = (row["candidate_id"] for row in queue)
    told: list[str] = []
    decide: Decide = partial(
        land_decision,
        cards_loop.warehouse,
        cards_loop.landing,
        loops={"cards": cards_loop.loop},
        reviewer="r1",
        tell=told.append,
    )

    refused_at_once(decide, long)
    assert not list((cards_loop.settings.landing / "cards").glob("reviews/*")), "nothing of it has landed"
    path = decide(ours[:12], "edit", text="Rivers, at last!", fields=["minutes=7", "teaser=2026"])
    landed = json.loads(path.read_text())
    assert (landed["text"], json.loads(landed["edits"])) == ("Rivers, at last!", {"minutes": 7, "teaser": "2026"})
    assert told == ["Flagged, and let out by your word. calm: Not as required: No exclamation."]
    decide(approved, "approve")
    assert {row["candidate_id"] for row in waiting(cards_loop.warehouse)} == {long, hostile}, "decided is gone at once"
    with pytest.raises(SaidBeforeError, match="edit already; nothing changed"):
        decide(ours, "edit", text="Rivers, at last!", fields=["minutes=7", "teaser=2026"])
    past_the_command = {"candidate_id": hostile, "decision": "edit", "edits": {"minutes": 500}, "reviewer": "r2"}
    unknown = {"candidate_id": long, "decision": "edit", "edits": {"colour": "red"}, "reviewer": "r2"}
    at = {"decided_at": "2026-01-06T09:00:00Z"}
    cards_loop.landing.write("reviews", "cards", [past_the_command | at, unknown | at], "other")

    cards_loop.flywheel.produce(SECOND)

    reviews = cards_loop.table("reviews").filter(pl.col("turn").cast(pl.String) == SECOND)
    decisions = {row["candidate_id"]: (row["decision"], row["reason"]) for row in reviews.to_dicts()}
    assert decisions[ours][0] == "edit"
    assert decisions[hostile] == ("block", "short_read: Not as required: At most ten minutes.")
    assert decisions[long][0] == "block"
    assert "has no field colour" in decisions[long][1]
    items = [json.loads(line) for line in cards_loop.outbox(SECOND).read_text().splitlines()]
    out = [variant for item in items for variant in item["variants"] if not variant["is_control"]]
    assert {variant["provenance"]["candidate_id"] for variant in out} == {ours, approved}
    (edited,) = (variant for variant in out if variant["provenance"]["candidate_id"] == ours)
    assert edited["answer"] == {"title": "Rivers, at last!", "teaser": "2026", "minutes": 7}
    assert edited["text"] == "Rivers, at last!\n2026"
    assert (edited["provenance"]["person"], edited["provenance"]["overrode"]) == ("edited", None)
    (as_it_was,) = (variant for variant in out if variant["provenance"]["candidate_id"] == approved)
    assert as_it_was["provenance"]["person"] == "approved"
    with pytest.raises(NotWaitingError, match="flywheel review list"):
        decide(ours, "approve")

    shows_fields(cards_loop, edited["variant_id"], ours)


def refused_at_once(decide: Decide, candidate: str) -> None:
    for edit, said in (
        ({}, "changes something"),
        ({"text": "  "}, "text is empty"),
        ({"fields": ["title=", "teaser="]}, "Nothing is left that people would meet"),
        ({"fields": ["minutes=11"]}, "short_read: Not as required: At most ten minutes."),
        ({"text": "One two three four five six seven eight nine"}, "words_title"),
        ({"fields": ["colour=red"]}, "has no field colour; it has title, teaser, minutes"),
        ({"fields": ["minutes=soon"]}, "minutes"),
        ({"fields": ["minutes"]}, "FIELD=VALUE"),
        ({"fields": ["minutes=1", "minutes=2"]}, "twice"),
        ({"text": "Rivers", "fields": ["title=Streams"]}, "names again"),
    ):
        with pytest.raises(EditRefusedError, match=said):
            decide(candidate, "edit", **edit)
    with pytest.raises(EditRefusedError, match="not declared here"):
        decide(candidate, "edit", text="Rivers", loops={})


def shows_fields(cards_loop: TurningLoop, variant_id: str, candidate_id: str) -> None:
    """The chain and the fine-tuning set speak of fields, of what was written and of what a person made of it."""
    chain = trace(cards_loop.warehouse, variant_id)
    assert chain.detail["teaser"] == "2026"
    assert chain.detail["minutes"] == "7"
    (candidate,) = (step for step in chain.behind if step.what == f"candidate {candidate_id}")
    assert candidate.detail["teaser"] == "Where they rise"
    assert "text" not in candidate.detail
    found = trace(cards_loop.warehouse, "a0")
    assert any(step.what.startswith("release ") for step in found.behind)

    (line,) = lines(export(cards_loop.warehouse, cards_loop.loop, "sft", cards_loop.home / "exports").path)
    answered = json.loads(line["messages"][-1]["content"])
    assert list(answered.items()) == [("title", "Rivers, at last!"), ("teaser", "2026"), ("minutes", 7)]
    (origin,) = lines(cards_loop.home / "exports" / "cards-sft.provenance.jsonl")
    assert (origin["line"], origin["candidate_id"], origin["person"]) == (1, candidate_id, "edited")
    (pair,) = lines(export(cards_loop.warehouse, cards_loop.loop, "dpo", cards_loop.home / "exports").path)
    assert json.loads(pair["non_preferred_output"][0]["content"])["minutes"] == 4


def test_a_guard_is_overridden_by_a_reason_that_is_kept_and_shown_wherever_the_text_goes(
    cards_loop: TurningLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the commands alone: whole identifiers, beginnings of them, one sentence for whatever cannot be done."""
    monkeypatch.setattr("orchestration.flywheel_file.found_loops", lambda: {"cards": lambda _: cards_loop.loop})
    monkeypatch.setenv("FLYWHEEL_HOME", str(cards_loop.home))
    monkeypatch.setenv("FLYWHEEL_PSEUDONYM_KEY", "k" * 32)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["review", *arguments])

    first, second, third, *_ = (row["candidate_id"] for row in waiting(cards_loop.warehouse))
    listed = run("list").output
    assert all(row["candidate_id"] in listed for row in waiting(cards_loop.warehouse)), "no identifier is cut"
    assert "cards" in listed
    for silly, said in (
        (("edit", first, "--text", " "), "The text is empty"),
        (("edit", first), "changes something"),
        (("edit", first, "--set", "minutes=99"), "--override --reason WHY"),
        (("edit", first, "--set", "minutes=99", "--override"), "say why with --reason"),
        (("edit", first, "--set", "minutes=soon", "--override", "--reason", "x"), "minutes"),
        (("approve", "nothing"), "No candidate 'nothing' waits"),
        (("approve", ""), "empty identity"),
    ):
        refused = run(*silly)
        assert (refused.exit_code, said in refused.output) == (1, True), refused.output
    done = run("edit", first[:10], "--set", "minutes=99", "--override", "--reason", "A long read, on purpose.")
    assert (done.exit_code, "let out by your word" in done.output) == (0, True), done.output
    twice = run("edit", first, "--set", "minutes=99", "--override", "--reason", "A long read, on purpose.")
    assert (twice.exit_code, "edit already; nothing changed" in twice.output) == (0, True)
    other = run("reject", first)
    assert (other.exit_code, "flywheel withdraw" in other.output) == (1, True)
    pending = {"candidate_id": second, "decision": "reject", "reviewer": "r", "decided_at": "2026-01-06T09:00:00Z"}
    cards_loop.landing.write("reviews", "cards", [pending], "of-another-machine")
    listed = run("list").output
    assert first not in listed
    assert second not in listed, "decided, though no turn has taken it in"
    assert run("approve", third).exit_code == 0
    down = CliRunner().invoke(app, ["withdraw", third[:10], "--reason", "Approved by mistake."])
    assert "it will not go out" in down.output, down.output

    cards_loop.flywheel.produce(SECOND)

    items = [json.loads(line) for line in cards_loop.outbox(SECOND).read_text().splitlines()]
    (out,) = (variant for item in items for variant in item["variants"] if not variant["is_control"])
    assert out["answer"]["minutes"] == 99
    assert (out["provenance"]["person"], out["disclosure"][-19:]) == ("edited", "edited by a person.")
    assert out["provenance"]["overrode"].startswith("short_read: ")
    assert "overrode short_read" in str(trace(cards_loop.warehouse, first[:10]))
    assert "A long read, on purpose." in str(trace(cards_loop.warehouse, out["variant_id"]))


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]
