"""What commands say of a loop that decides: its chain, its fine-tuning set, its line among the turns."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pytest
from pydantic import BaseModel

from orchestration.commands.exporting import export
from orchestration.commands.lineage import Trace, UnknownIdentityError, leaves, trace
from orchestration.commands.report import lift_text, released_text, turn_lines
from orchestration.delivery import PerUnit
from orchestration.generation import Shown, chosen, escalated, grounded_on, written
from orchestration.generation.calls import Request
from orchestration.guards import rule
from orchestration.loops.declaration import Loop, Outcome, Reward, Subjects, days
from orchestration.loops.lives import each_turn
from orchestration.loops.recipes import Recipes
from orchestration.testing.scripted_model import ScriptedModel
from orchestration.testing.turning import TurningLoop
from orchestration.worlds.simulated.responses import RespondingAudience
from tests.test_seventh_loop_shared import RECIPE

TURN = "2026-01-05"


class Mail(BaseModel):
    offer: Annotated[str, Shown()]
    percent: int
    subject: Annotated[str, Shown()]
    body: str


def mails(folder: Path) -> Loop:
    (folder / "title-plain.md").write_text(RECIPE.format(style="plain"))
    return Loop(
        name="mails",
        subjects=Subjects(
            key="customer",
            facts=("region", "angry"),
            original="offer_now",
            pool="region",
            format="form",
            lives=each_turn(),
        ),
        generation=chosen({"ten_off": {"percent": 10}, "points": {"percent": 0}})
        >> grounded_on("terms", passages=1)
        >> written(Recipes(folder))
        | escalated(when=("angry",)),
        answer=Mail,
        guards=(
            rule("modest", "At most ten per cent.", lambda answer, _: answer["percent"] <= 10),
            rule("no_end", "No subject line that ends on 7.", lambda answer, _: not answer["subject"].endswith("7")),
        ),
        delivery=PerUnit(unit="customer", holdout=0.3),
        outcomes=(Outcome("bought", within=days(7)),),
        reward=Reward("bought"),
    )


def mail_of(request: Request) -> dict[str, Any]:
    return {"subject": f"For you {request.seed % 89}", "body": "Come in"}


def buys(answer: dict[str, Any], item: dict[str, Any]) -> dict[str, float]:  # noqa: ARG001
    return {"bought": 0.9 if answer.get("offer") == "ten_off" else 0.2}


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> TurningLoop:
    home = tmp_path_factory.mktemp("mails")
    (home / "recipes").mkdir()
    customers = [
        {
            "customer": f"c{n}",
            "region": "north",
            "offer_now": "none",
            "form": "title",
            "angry": "yes" if n % 9 == 1 else "",
        }
        for n in range(40)
    ]
    loop = TurningLoop(
        home / "home",
        mails(home / "recipes"),
        customers,
        ScriptedModel(mail_of),
        RespondingAudience(response=buys, seed=1),
    )
    document = {"document_id": "d1", "title": "Terms", "text": "Offers in the north end in June."}
    loop.landing.write("documents", "terms", [document], "terms")
    loop.turn(TURN)
    return loop


def step(chain: Trace, what: str) -> Trace:
    """The first step of that name, in depth-first order."""
    if chain.what.startswith(what):
        return chain
    return next(
        found
        for each in chain.behind
        if any(name.startswith(what) for name in leaves(each))
        for found in [step(each, what)]
    )


def test_the_chain_behind_a_decision_names_option_context_fields_documents_and_policy(turned: TurningLoop) -> None:
    row = turned.table("decisions").filter("delivered").row(0, named=True)
    chain = trace(turned.warehouse, row["decision_id"])
    answer = json.loads(row["answer"])
    assert chain.detail["option"] == row["option"]
    assert chain.detail["delivered"] is True
    assert {name: chain.detail[name] for name in ("offer", "subject", "body")} == {
        name: answer[name] for name in ("offer", "subject", "body")
    }
    assert step(chain, "options").detail[row["option"]].endswith("(chosen)")
    brief = step(chain, "brief ")
    assert brief.detail["chosen offer"] == answer["offer"]
    assert brief.detail["chosen percent"] == str(answer["percent"])
    assert step(brief, "documents shown").detail == {"d1": "Terms"}
    assert step(chain, "decided by policy mails-policy/").detail
    assert trace(turned.warehouse, row["variant_id"]).what == chain.what


def test_one_that_was_left_alone_says_what_it_got_and_leads_to_its_subject(turned: TurningLoop) -> None:
    row = turned.table("decisions").filter("in_holdout").row(0, named=True)
    chain = trace(turned.warehouse, row["decision_id"])
    assert chain.detail["is"] == "what the subject would have got anyway"
    assert f"subject {row['subject_id']}" in leaves(chain)
    of_subject = trace(turned.warehouse, row["subject_id"])
    assert chain.what in leaves(of_subject)


def test_a_turn_in_which_some_answers_were_stopped_or_left_to_a_person_is_learned_from(turned: TurningLoop) -> None:
    stopped = turned.table("decisions").filter(~pl.col("delivered"), ~pl.col("in_holdout"))
    sent = {row["subject_id"]: row for row in map(json.loads, turned.outbox(TURN).read_text().splitlines())}
    assert {(sent[subject]["deliver"], sent[subject]["provenance"]["source"]) for subject in stopped["subject_id"]} == {
        ("original", "original"),
        ("person", "original"),
    }
    assert not stopped["is_control"].any(), "who is compared with the others is the holdout, and nobody else"
    assert stopped["option"].is_not_null().all()
    assert turned.table("evidence").filter("is_control").height == turned.table("decisions")["in_holdout"].sum()


def test_exposures_and_figures_lead_to_decisions_too(turned: TurningLoop) -> None:
    met = turned.table("exposures").row(0, named=True)
    assert f"decision {met['release_id']}" in leaves(trace(turned.warehouse, met["exposure_id"]))
    figures = trace(turned.warehouse, f"momentum/mails/{TURN}")
    assert sum(int(said.split()[0]) for said in step(figures, "decisions").detail.values()) == 40
    with pytest.raises(UnknownIdentityError, match="decision"):
        trace(turned.warehouse, "nobody")


def test_a_model_learns_from_decisions_what_it_was_asked_for_and_nothing_that_was_chosen(
    turned: TurningLoop, tmp_path: Path
) -> None:
    made = export(turned.warehouse, turned.loop, "sft", tmp_path)
    assert made.path.name == "mails-sft-simulated.jsonl"
    written_by_model = [json.loads(json.loads(line)["messages"][-1]["content"]) for line in made.path.open()]
    assert all(list(answer) == ["subject", "body"] for answer in written_by_model)
    readouts, decisions = turned.table("decision_readouts"), turned.table("decisions")
    earned = decisions.join(readouts.select("decision_id", "reward"), on="decision_id")
    assert made.lines == earned.filter(pl.col("delivered") & (pl.col("reward") > 0)).height > 5
    with pytest.raises(LookupError, match="each subject meets one answer"):
        export(turned.warehouse, turned.loop, "dpo", tmp_path)


def test_a_loop_whose_answers_are_chosen_teaches_no_model(turned: TurningLoop, tmp_path: Path) -> None:
    class Offer(BaseModel):
        offer: Annotated[str, Shown()]
        percent: int

    only_chosen = replace(
        turned.loop, answer=Offer, generation=chosen({"ten_off": {"percent": 10}, "points": {"percent": 0}})
    )
    with pytest.raises(LookupError, match="No model writes"):
        export(turned.warehouse, only_chosen, "sft", tmp_path)


def test_a_loop_that_decides_stands_among_the_turns(turned: TurningLoop) -> None:
    (line,) = turn_lines(turned.warehouse)
    delivered = turned.table("decisions")["delivered"].sum()
    assert (line["turn"], line["loop"]) == (TURN, "mails")
    assert released_text(line) == f"{delivered} of 40"
    assert line["exposures"] == turned.table("exposures").height
    assert "simulated" in lift_text(line)
    assert lift_text({**line, "lift": None}).startswith(f"{line['difference']:+.3g} a unit")
