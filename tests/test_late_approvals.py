"""Answers of loops that decide, approved after their turn: they go out under their own decision, and count for it."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner, Result

from orchestration.cli import app
from orchestration.commands.lineage import trace
from orchestration.commands.reviewing import land_decision, waiting
from orchestration.commands.withdrawing import target_of, undo, withdraw
from orchestration.delivery import PerUnit
from orchestration.generation import Shown, chosen
from orchestration.graph.assets.facts import EXPOSURES, OUTCOMES
from orchestration.graph.assets.kpis import _outcomes
from orchestration.guards import rule
from orchestration.landing.addressees import Addressees
from orchestration.landing.outbox import Outbox
from orchestration.loops.declaration import Loop, Outcome, Reward, Subjects, days
from orchestration.loops.lives import once
from orchestration.tables import TABLES
from orchestration.testing.turning import TurningLoop
from orchestration.warehouse.dbt import Dbt
from orchestration.warehouse.protocol import Query
from orchestration.warehouse.suites import read_suites
from tests.turn_facts import NEXT, TURN, TurnFacts

FIRST, SECOND = "2026-01-05", "2026-01-12"


class Discount(BaseModel):
    offer: Annotated[str, Shown()]
    percent: int


CARE = Loop(
    name="care",
    subjects=Subjects(
        key="customer",
        facts=("region",),
        features=("region",),
        original="offer_now",
        pool="region",
        lives=once(),
        personal=("customer",),
    ),
    generation=chosen({"bundle": {"percent": 0}, "ten_off": {"percent": 10}}),
    answer=Discount,
    guards=(rule("modest", "At most five per cent.", lambda answer, _: answer["percent"] <= 5, "flag"),),
    delivery=PerUnit(unit="customer", holdout=0.2),
    outcomes=(Outcome("purchase", within=days(3)),),
    reward=Reward("purchase"),
)


def customers(first: int, last: int) -> list[dict[str, str]]:
    return [{"customer": f"c{n:03d}", "region": "north", "offer_now": "none"} for n in range(first, last)]


class Care(TurningLoop):
    """Customers of whom some were drawn an offer that waits for a person."""

    def items(self, turn: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.outbox(turn).read_text().splitlines()]

    @property
    def file(self) -> Outbox:
        return Outbox(self.settings.outbox, Addressees(self.settings.addressees_path))

    def land(self, turn: str, name: str, *events: tuple[str, dict[str, Any], int]) -> None:
        """Events (type, item that was met, hours after the turn began)."""
        rows = [
            {
                "event_id": f"{name}-{number}",
                "event_type": kind,
                "loop": "care",
                "subject_id": item["subject_id"],
                "variant_id": item["variant_id"] if kind == "exposure" else None,
                "unit_id": item["subject_id"],
                "occurred_at": datetime.fromisoformat(turn) + timedelta(hours=hours),
            }
            for number, (kind, item, hours) in enumerate(events)
        ]
        self.landing.write("events", None, rows, name)


@pytest.fixture(scope="module")
def care(tmp_path_factory: pytest.TempPathFactory) -> Care:
    """Two turns are out. Of the first turn's waiting offers, one was approved and one rejected in between."""
    care = Care(tmp_path_factory.mktemp("care"), CARE, customers(0, 30))
    care.landing.write("subjects", "care", customers(0, 30), "first")
    care.flywheel.produce(FIRST)
    for row, said in zip(waiting(care.warehouse), ("approve", "reject"), strict=False):
        land_decision(care.warehouse, care.landing, row["candidate_id"], said, loops={"care": CARE}, reviewer="r")
    care.land(FIRST, "met", *(("exposure", item, 2) for item in care.items(FIRST)))
    care.landing.write("subjects", "care", customers(30, 36), "second")
    care.flywheel.produce(SECOND)
    return care


def learned_alike(care: Care, *turns: str) -> None:
    """Facts and KPIs of turns as the stages make them, with the gate that no exposure is lost or comes from nowhere."""
    table = TABLES["outcome_definitions"]
    care.warehouse.replace(table, table.frame(_outcomes(CARE)), turn=turns[0], loop="care")
    for turn in turns:
        care.warehouse.replace(TABLES["exposures"], Query(EXPOSURES, {"turn": turn}), turn=turn)
        care.warehouse.replace(TABLES["outcomes"], Query(OUTCOMES, {"turn": turn}), turn=turn)
    (gate,) = [suite for suite in read_suites(["care"]) if suite.name == "exposures"]
    for turn in turns:
        for promise in ("from_nowhere", "dropped", "unreleased", "wrong_propensity", "treated_in_holdout"):
            sql = f"select {gate.profile[promise]} as found from {gate.relation} where {gate.where}"
            assert care.warehouse.read(sql.replace("$turn", f"date '{turn}'")).item() == 0, (turn, promise)
    Dbt(care.warehouse).build(turns)


def late_item(care: Care) -> dict[str, Any]:
    (late,) = [item for item in care.items(SECOND) if item["late"]]
    return late


def test_an_approved_answer_goes_out_with_the_next_outbox_under_its_own_decision(care: Care) -> None:
    late = late_item(care)
    (before,) = [item for item in care.items(FIRST) if item["decision_id"] == late["decision_id"]]
    assert before["deliver"] == "original"
    assert late["deliver"] == "answer"
    assert late["answer"] == {"offer": "ten_off", "percent": 10}
    assert late["provenance"]["person"] == "approved"
    same = ("subject_id", "decision_id", "option", "propensity", "decided_in")
    assert {name: late[name] for name in same} == {name: before[name] for name in same}
    decisions = care.table("decisions").filter(decision_id=late["decision_id"])
    assert decisions["delivered"].to_list() == [False], "what was decided is never rewritten"
    assert any(name.startswith("approved later") for name in trace(care.warehouse, late["decision_id"]).detail)


def test_what_follows_is_booked_to_the_decision_within_the_declared_time_of_the_late_delivery(care: Care) -> None:
    late = late_item(care)
    care.land(SECOND, "met-late", ("exposure", late, 24), ("purchase", late, 24 + 71))
    care.land(SECOND, "met-now", *(("exposure", item, 5) for item in care.items(SECOND) if not item["late"]))
    care.landing.ingest_events(loops={"care": CARE}, run_id="r", progress=lambda _: None)
    learned_alike(care, FIRST, SECOND)
    (readout,) = care.table("decision_readouts").filter(decision_id=late["decision_id"]).to_dicts()
    assert (str(readout["turn"]), readout["reward"], readout["units"], readout["exposures"]) == (FIRST, 1.0, 1, 2)
    assert care.table("decision_readouts")["units"].max() == 1
    stored = care.table("exposures").filter(release_id=late["decision_id"]).sort("occurred_at")
    assert stored["turn"].cast(pl.String).to_list() == [FIRST, FIRST]
    assert stored["late"].to_list() == [False, True]
    assert trace(care.warehouse, "met-late-0").what == "exposure met-late-0"


def test_a_withdrawn_answer_of_a_unit_gives_way_to_its_original_and_exposures_say_what_was_met(care: Care) -> None:
    before = care.outbox(SECOND).read_bytes()
    item = next(item for item in care.items(SECOND) if item["deliver"] == "answer" and not item["late"])
    given = target_of(care.warehouse, care.landing, item["subject_id"], {"care": CARE})
    assert given.kind == "subject"
    target = target_of(care.warehouse, care.landing, item["variant_id"][:12], {"care": CARE})
    done = withdraw(care.warehouse, care.landing, care.file, target, {"care": CARE}, reason="wrong", by="me")
    now = next(each for each in care.items(SECOND) if each["decision_id"] == item["decision_id"])
    assert (now["deliver"], now["answer"]) == ("original", {"offer": "none"})
    assert now["provenance"] == {"source": "original"}
    others = [each for each in map(json.loads, before.splitlines()) if each["decision_id"] != item["decision_id"]]
    assert [each for each in care.items(SECOND) if each["decision_id"] != item["decision_id"]] == others
    care.land(SECOND, "met-instead", ("exposure", now, 50))
    (report,) = care.landing.ingest_events(loops={"care": CARE}, run_id="r", progress=lambda _: None)
    assert (report.accepted, report.quarantined) == (1, 0)
    again = withdraw(care.warehouse, care.landing, care.file, target, {"care": CARE}, reason="wrong", by="me")
    assert (again.known_before, again.withdrawal_id, again.outbox) == (True, done.withdrawal_id, ())
    undo(care.warehouse, care.landing, care.file, done.withdrawal_id[:8], {"care": CARE})
    assert care.outbox(SECOND).read_bytes() == before


def test_a_late_answer_that_is_withdrawn_is_simply_gone(care: Care) -> None:
    late = late_item(care)
    target = target_of(care.warehouse, care.landing, late["variant_id"], {"care": CARE})
    done = withdraw(care.warehouse, care.landing, care.file, target, {"care": CARE}, reason="wrong")
    assert not any(item["late"] for item in care.items(SECOND))
    undo(care.warehouse, care.landing, care.file, done.withdrawal_id, {"care": CARE})
    assert late_item(care) == late


def test_something_comes_down_by_a_command_that_asks_nothing_and_says_what_it_does(
    care: Care, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestration.flywheel_file.found_loops", lambda: {"care": lambda _: CARE})
    monkeypatch.setenv("FLYWHEEL_HOME", str(care.home))
    monkeypatch.setenv("FLYWHEEL_PSEUDONYM_KEY", "k" * 32)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments])

    item = next(item for item in care.items(SECOND) if item["deliver"] == "answer" and not item["late"])
    variant, file, rows = item["variant_id"], care.outbox(SECOND).read_bytes(), care.table("withdrawals").height
    for silly, said in (
        (("withdraw",), "Name what is to come down"),
        (("withdraw", variant), "give --reason"),
        (("withdraw", variant, "--reason", " "), "give --reason"),
        (("withdraw", "", "--reason", "x"), "empty identity"),
        (("withdraw", "nothing-like-it", "--reason", "x"), "Nothing that could come down"),
        (("withdraw", variant, "--reason", "x", "--loop", "nix"), "There is no loop 'nix'"),
        (("withdraw", "--undo", "nix"), "No withdrawal is known"),
        (("withdraw", "--undo", "x", "--dry-run"), "--dry-run goes with"),
    ):
        refused = run(*silly)
        assert (refused.exit_code, said in refused.output, refused.output.count("\n")) == (1, True, 1), refused.output
    shown = run("withdraw", variant[:10], "--dry-run")
    assert f"Would withdraw variant {variant} of care" in shown.output
    assert (care.outbox(SECOND).read_bytes(), care.table("withdrawals").height) == (file, rows)
    done = run("withdraw", variant[:10], "--reason", "It is false.")
    assert (done.exit_code, "was written anew" in done.output) == (0, True), done.output
    assert care.outbox(SECOND).read_bytes() != file
    again = run("withdraw", variant, "--reason", "It is false.")
    assert (again.exit_code, "was there before; nothing changed" in again.output) == (0, True)
    assert care.table("withdrawals").height == rows + 1
    said = " ".join(run("status").output.split())
    assert f"variant {variant} of care (1 variant down): It is false." in said
    withdrawal = said.partition("--undo ")[2].partition("`")[0]
    assert any("It is false." in str(value) for value in trace(care.warehouse, variant[:10]).detail.values())
    assert trace(care.warehouse, withdrawal[:8]).detail["reason"] == "It is false."
    back, twice = (run("withdraw", "--undo", withdrawal[:8]) for _ in range(2))
    assert "is taken back" in back.output
    assert "was taken back before; nothing changed" in twice.output
    assert care.outbox(SECOND).read_bytes() == file


EFFECTS = {"none": 0.0, "some": 0.4}
DECISIONS, BASE = 3_000, 0.3


def logged(facts: TurnFacts, loop: str, effect: float) -> None:
    """Half of the decisions draw `b`, whose answers wait; half of those are approved, and met a turn later."""
    facts.declare(("purchase", 2 * 86_400, True, False, False), loop=loop)
    chance = np.random.default_rng(5)
    drew_b, approved = chance.random(DECISIONS) < 0.5, chance.random(DECISIONS) < 0.5
    late = drew_b & approved
    drawn = pl.DataFrame(
        {
            "decision_id": [f"{loop}-d{n}" for n in range(DECISIONS)],
            "subject_id": [f"s{n}" for n in range(DECISIONS)],
            "option": np.where(drew_b, "b", "a"),
            "delivered": ~drew_b,
        }
    ).with_columns(
        turn=pl.lit(date.fromisoformat(TURN)),
        loop=pl.lit(loop),
        propensity=pl.lit(0.5),
        stratum=pl.lit("all"),
        category=pl.lit("leads"),
        is_control=pl.lit(False),
        in_holdout=pl.lit(False),
        holdout=pl.lit(0.1),
    )
    known = drawn.select("loop", "subject_id", unit_id="subject_id", simulated=pl.lit(False))

    def met(units: np.ndarray, at: datetime, late: bool) -> None:
        rows = known.with_columns(
            turn=pl.lit(date.fromisoformat(TURN)),
            occurred_at=pl.lit(at),
            late=pl.lit(late),
            release_id=drawn["decision_id"],
            exposure_id=drawn["decision_id"] + f" {at}",
            in_holdout=pl.lit(False),
        )
        facts.append("exposures", rows.filter(pl.Series(units)))

    def bought(units: np.ndarray, turn: str, at: datetime) -> None:
        rows = known.with_columns(
            turn=pl.lit(date.fromisoformat(turn)),
            occurred_at=pl.lit(at),
            outcome=pl.lit("purchase"),
            outcome_id=drawn["decision_id"] + f" bought {at}",
        )
        facts.append("outcomes", rows.filter(pl.Series(units)))

    facts.append("decisions", drawn)
    met(np.full(DECISIONS, True), datetime(2026, 1, 5, 12), late=False)
    bought(chance.random(DECISIONS) < BASE, TURN, datetime(2026, 1, 5, 18))
    met(late, datetime(2026, 1, 12, 12), late=True)
    bought(late & (chance.random(DECISIONS) < BASE + effect), NEXT, datetime(2026, 1, 12, 18))


def test_an_option_is_worth_what_drawing_it_brings_however_often_its_answers_come_late(tmp_path: Path) -> None:
    """What the log says of an option is what drawing it brings, the waiting included, and nothing where the answer has
    no effect: a second window of outcomes for those that came late would make it 0.41 instead of 0.3."""
    facts = TurnFacts(tmp_path)
    for loop, effect in EFFECTS.items():
        logged(facts, loop, effect)
    facts.build()
    error = 3.3 * np.sqrt(BASE / 0.5 / DECISIONS)
    for loop, effect in EFFECTS.items():
        rows = pl.DataFrame(facts.mart("decision_readouts", loop=loop, turn=TURN))
        # Weighed by the propensity that was logged: the Horvitz-Thompson estimate.
        value = {each: rows.filter(option=each)["reward"].sum() / 0.5 / DECISIONS for each in ("a", "b")}
        assert value["a"] == pytest.approx(BASE, abs=error)
        assert value["b"] == pytest.approx(BASE + effect / 2, abs=error)
        assert rows["units"].to_list() == [1] * DECISIONS
