"""A released text comes down at once and stays down: by a command, by a landed file, by a column of the subjects."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from orchestration.cli import app
from orchestration.commands.lineage import trace
from orchestration.delivery.briefing import Briefing, brief_rows
from orchestration.delivery.protocol import When
from orchestration.delivery.shared_traffic import without_shares
from orchestration.delivery.traffic_statements import OBSERVED_SHARES
from orchestration.delivery.withdrawn import COMES_DOWN, Withdrawn
from orchestration.graph.assets.outbox import written_anew
from orchestration.graph.assets.reviews import review_rows
from orchestration.graph.assets.subjects import alive_subjects
from orchestration.landing.folder import FileReport
from orchestration.landing.outbox import Outbox
from orchestration.learning.policies.exemplars import Exemplar
from orchestration.learning.policies.policy import Policy
from orchestration.loops.content import declare as content
from orchestration.tables import TABLES
from orchestration.testing.landed_events import FIRST as TURN
from orchestration.testing.landed_events import LOOP, Shop
from orchestration.testing.shop import FIRST, SECOND, Wheel, catalogue
from orchestration.warehouse.suites import read_suites

ROW = {"withdrawn_by": "jane", "withdrawn_at": "2026-01-06T09:00:00Z", "reason": "It is false."}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Wheel:
    """A turn of three products is out."""
    wheel = Wheel(tmp_path_factory.mktemp("withdrawals"), products=3, exposures=600)
    wheel.produce(FIRST)
    return wheel


@pytest.fixture
def command(wheel: Wheel, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("FLYWHEEL_HOME", str(wheel.home))
    monkeypatch.setenv("FLYWHEEL_PSEUDONYM_KEY", "k" * 32)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments])

    return run


def shares(wheel: Wheel, turn: str = FIRST) -> dict[str, dict[str, float]]:
    return {
        item["subject_id"]: {each["variant_id"]: each["share"] for each in item["variants"]}
        for item in wheel.released_items(turn)
    }


def a_variant(wheel: Wheel) -> tuple[str, str, str]:
    """A subject of which two variants compete with the original: the subject, one of them, the original."""
    item = max(wheel.released_items(FIRST), key=lambda item: len(item["variants"]))
    variant = next(each for each in item["variants"] if not each["is_control"])
    original = next(each for each in item["variants"] if each["is_control"])
    return item["subject_id"], variant["variant_id"], original["variant_id"]


def test_a_variant_comes_down_at_once_and_its_share_goes_to_the_original(wheel: Wheel, command: Any) -> None:
    subject, variant, original = a_variant(wheel)
    file, before, releases = wheel.outbox(FIRST).read_bytes(), shares(wheel), wheel.table("releases")
    for silly, said in (
        (("withdraw",), "Name what is to come down"),
        (("withdraw", variant), "give --reason"),
        (("withdraw", variant, "--reason", " "), "give --reason"),
        (("withdraw", "", "--reason", "x"), "empty identity"),
        (("withdraw", "nothing-like-it", "--reason", "x"), "Nothing that could come down"),
        (("withdraw", original, "--reason", "x"), "is an original"),
        (("withdraw", variant, "--reason", "x", "--loop", "nix"), "There is no loop 'nix'"),
        (("withdraw", "--undo", "nix"), "No withdrawal is known"),
        (("withdraw", "--undo", "x", "--dry-run"), "--dry-run goes with"),
    ):
        refused = command(*silly)
        assert (refused.exit_code, said in refused.output) == (1, True), refused.output
        assert refused.output.count("\n") == 1
    shown = command("withdraw", variant[:10], "--dry-run")
    assert f"Would withdraw variant {variant} of content" in shown.output
    assert (wheel.outbox(FIRST).read_bytes(), wheel.table("withdrawals").height) == (file, 0)

    done = command("withdraw", variant[:10], "--reason", "It is false.")
    assert (done.exit_code, "was written anew" in done.output) == (0, True), done.output
    freed = before[subject].pop(variant)
    before[subject][original] += freed
    assert shares(wheel)[subject] == pytest.approx(before[subject])
    assert {**shares(wheel), subject: None} == {**before, subject: None}, "nothing else moves"
    assert wheel.table("releases").equals(releases), "a release is a fact"
    (kept,) = wheel.table("withdrawals").to_dicts()
    assert (kept["target"], kept["target_id"], kept["reason"]) == ("variant", variant, "It is false.")

    again = command("withdraw", variant, "--reason", "It is false.")
    assert (again.exit_code, "was there before; nothing changed" in again.output) == (0, True)
    assert wheel.table("withdrawals").height == 1
    assert f"variant {variant} of content (1 variant down): It is false." in " ".join(command("status").output.split())
    assert any(name.startswith("withdrawn ") for name in trace(wheel.warehouse, variant[:10]).detail)
    assert trace(wheel.warehouse, kept["withdrawal_id"][:8]).detail["reason"] == "It is false."

    back, twice = (command("withdraw", "--undo", kept["withdrawal_id"][:8]) for _ in range(2))
    assert "is taken back" in back.output
    assert "was taken back before; nothing changed" in twice.output
    assert wheel.outbox(FIRST).read_bytes() == file
    assert wheel.table("withdrawals").height == 2


def test_what_still_comes_is_booked_as_what_was_met_and_the_next_turn_obeys(wheel: Wheel, command: Any) -> None:
    subject, variant, _ = a_variant(wheel)
    candidates = dict(wheel.table("releases").select("variant_id", "candidate_id").iter_rows())
    wheel.play(FIRST)
    command("withdraw", candidates[variant], "--reason", "It is false.")
    whole = next(each for each in shares(wheel) if each != subject)
    command("withdraw", whole, "--reason", "No longer sold.")
    assert len(shares(wheel)[whole]) == 1
    wheel.flywheel.ingest()
    assert wheel.table("events").filter(variant_id=variant).height > 0, "exposures that still come are taken in"
    assert wheel.table("quarantine").is_empty()
    wheel.produce(SECOND)
    assert variant not in shares(wheel, SECOND)[subject]
    assert whole not in shares(wheel, SECOND)
    assert not wheel.table("subjects").filter(subject_id=whole, turn=date.fromisoformat(SECOND)).height


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path).release(TURN, subjects=2)
    with shop.warehouse.connect() as connection:
        connection.execute(
            "update flywheel.releases set text = variant_id, candidate_id = 'c-' || variant_id, "
            "released_at = '2026-01-05 06:00'"
        )
        connection.execute("""
            insert into flywheel.candidates by name
            select turn, loop, candidate_id from flywheel.releases where not is_control""")
    rows = [{"product_id": f"s{n}", "brand": "b", "size": "s", "description": "d", "category": "c"} for n in range(2)]
    shop.landing.write("subjects", "content", rows, "a")
    shop.landing.ingest_subjects(LOOP, run_id="run", progress=lambda _: None)
    return shop


def landed(shop: Shop, *rows: dict[str, Any], name: str = "a") -> FileReport:
    shop.landing.write("withdrawals", "content", rows, name)
    (report,) = shop.landing.ingest_withdrawals(LOOP, run_id="run", progress=lambda _: None)
    return report


def down(shop: Shop) -> Withdrawn:
    return Withdrawn.of(shop.warehouse.read(COMES_DOWN, {"loop": "content"}))


TARGETS = {
    "variant": ("s0-v1", {"s0-v1"}),
    "candidate": ("c-s0-v2", {"s0-v2"}),
    "release": ("r0", {"s0-v1", "s0-v2", "s0-v3"}),
    "subject": ("s1", {"s1-v1", "s1-v2", "s1-v3"}),
}
"""What may be named, and the variants that come down with it."""


def test_whatever_is_named_takes_its_variants_down_and_never_an_original(shop: Shop) -> None:
    outbox = Outbox(shop.settings.outbox)
    for target, (target_id, variants) in TARGETS.items():
        assert landed(shop, {**ROW, "target": target, "target_id": target_id}, name=target).accepted == 1
        assert down(shop).variants == variants
        (path,) = written_anew(shop.warehouse, outbox, [LOOP])
        assert written_anew(shop.warehouse, outbox, [LOOP]) == [], "a file that is as it should be stays"
        items = [json.loads(line) for line in path.read_text().splitlines()]
        assert not {each["variant_id"] for item in items for each in item["variants"]} & variants
        assert all(sum(each["share"] for each in item["variants"]) == pytest.approx(1) for item in items)
        assert {item["release_id"] for item in items} == {"r0", "r1"}
        (known,) = shop.warehouse.read(
            "select withdrawal_id from flywheel.withdrawals where target = $kind", {"kind": target}
        )["withdrawal_id"]
        assert landed(shop, {**ROW, "undoes": known}, name=f"{target}-back").accepted == 1
        assert down(shop) == Withdrawn()


def test_a_turn_is_not_refused_because_shares_changed_when_something_came_down(shop: Shop) -> None:
    (gate,) = [suite for suite in read_suites(["content"]) if suite.name == "exposures"]
    sql = gate.statistics["sample_ratio_p"].sql

    def compared() -> set[str]:
        with shop.warehouse.connect() as connection:
            connection.execute("create schema if not exists marts")
            connection.execute(
                "create or replace table marts.variant_readouts as "
                "select turn, loop, subject_id, variant_id, share, 10 as units from flywheel.releases"
            )
        known = {"turn": TURN, "loop": "content"}
        observed = set(shop.warehouse.read(OBSERVED_SHARES, known)["subject_id"])
        assert observed == set(shop.warehouse.read(sql, {"turn": TURN})["subject_id"])
        return observed

    assert compared() == {"s0", "s1"}
    landed(shop, {**ROW, "target": "variant", "target_id": "s0-v1"})
    assert compared() == {"s1"}
    landed(shop, {**ROW, "target": "subject", "target_id": "s1", "withdrawn_at": "2026-01-05T05:00:00Z"}, name="before")
    assert compared() == {"s1"}, "it was down before the release, so that shares came as released"


WRONG: dict[str, dict[str, Any]] = {
    "nothing_to_withdraw": {"target_id": "s9"},
    "nothing_to_withdraw ": {"target": "variant", "target_id": "s0-v0"},
    "unknown_target": {"target": "everything"},
    "missing_target": {"target": None},
    "missing_target_id": {"target_id": " "},
    "unknown_withdrawal": {"undoes": "nothing"},
    "missing_reason": {"reason": " "},
    "missing_withdrawn_by": {"withdrawn_by": None},
    "bad_timestamp": {"withdrawn_at": "soon"},
    "future_timestamp": {"withdrawn_at": "2036-01-06T09:00:00Z"},
}
"""Ways in which a withdrawal cannot be obeyed, by the reason that it is quarantined for."""


def test_a_withdrawal_of_nothing_is_quarantined_by_name(shop: Shop) -> None:
    good = {**ROW, "target": "subject", "target_id": "s0"}
    report = landed(shop, good, good, *({**good, **wrong} for wrong in WRONG.values()))
    assert (report.accepted, report.duplicates, report.quarantined) == (1, 1, len(WRONG))
    found = shop.warehouse.read("select line, reason from flywheel.quarantine order by line")
    assert found["reason"].to_list() == [reason.strip() for reason in WRONG]


def test_a_subject_is_withdrawn_by_a_column_and_comes_back_by_it(shop: Shop) -> None:
    row = {"product_id": "s0", "brand": "b", "size": "s", "description": "d", "category": "c"}
    for number, (said, gone) in enumerate([(True, {"s0"}), (True, {"s0"}), (False, set()), (True, {"s0"})]):
        shop.landing.write("subjects", "content", [{**row, "withdrawn": said, "brand": f"b{number}"}], f"w{number}")
        shop.landing.ingest_subjects(LOOP, run_id="run", progress=lambda _: None)
        assert down(shop).subjects == gone
        assert set(alive_subjects(shop.warehouse, LOOP, TURN)["subject_id"]) == {"s0", "s1"} - gone
    folder = shop.settings.landing / "content" / "subjects"
    lines = ("product_id,brand,size,description,category,withdrawn", "s0,b,s,d,c,no", "s1,b,s,d,c,yes")
    (folder / "b.csv").write_text("\n".join(lines) + "\n")
    shop.landing.ingest_subjects(LOOP, run_id="run", progress=lambda _: None)
    assert down(shop).subjects == {"s1"}
    assert shop.warehouse.read("select count(*) from flywheel.withdrawals").item() == 5, "nothing is rewritten"


def test_shares_of_others_stay_and_a_release_without_withdrawals_stays_as_it_is() -> None:
    rows = pl.DataFrame(
        {
            "subject_id": ["a", "a", "a", "b", "b"],
            "variant_id": ["o", "v", "w", "p", "x"],
            "candidate_id": [None, "cv", "cw", None, "cx"],
            "is_control": [True, False, False, True, False],
            "share": [0.2, 0.5, 0.3, 0.4, 0.6],
        }
    )
    assert without_shares(rows, Withdrawn()).equals(rows)
    kept = without_shares(rows, Withdrawn(variants=frozenset({"v", "o"}), subjects=frozenset({"b"})))
    assert kept.select("variant_id", "share").rows() == [("o", 0.7), ("w", 0.3), ("p", 1.0)]


def test_a_withdrawn_text_is_no_example_for_anybody() -> None:
    loop = content()
    recipes = [each for each in loop.generation.recipes.for_languages(("en",)) if each.format == "headline"]
    rows = [row for row in catalogue(12) if row["format"] == "headline"]
    facts = [json.dumps({name: row[name] for name in loop.subjects.facts}) for row in rows]
    subjects = pl.DataFrame(
        [
            {"turn": date(2026, 1, 12), "facts": fact, "holdout_point": 0.9, "version": "1", **row}
            for row, fact in zip(rows, facts, strict=True)
        ]
    )
    won = [Exemplar(f"v{n}", rows[n]["subject_id"], f"Text {n}", 0.1) for n in range(3)]
    first = loop.delivery.first(loop, {"headline": tuple(each.recipe_id for each in recipes)})
    policy = Policy(**{**vars(first), "exemplars": {each.recipe_id: won for each in recipes}})

    def shown(withdrawn: Withdrawn) -> set[str]:
        briefing = Briefing(
            loop=loop,
            when=When(turn="2026-01-12", days=7, seed=1),
            recipes=recipes,
            prompt_versions={each.prompt_name: 1 for each in recipes},
            policy=policy,
            first=first,
            policy_version="1",
            in_force={},
            find=None,
            withdrawn=withdrawn,
        )
        return {known for listed in brief_rows(subjects, briefing)["exemplars"] for known in json.loads(listed)}

    assert {"v0", "v1"} <= shown(Withdrawn())
    assert not shown(Withdrawn(variants=frozenset({"v0"}), subjects=frozenset({rows[1]["subject_id"]}))) & {"v0", "v1"}


def test_a_candidate_that_was_withdrawn_while_it_waited_never_goes_out() -> None:
    loop = content()
    candidate = {
        "loop": "content",
        "candidate_id": "c",
        "subject_id": "s",
        "recipe_id": "r",
        "text": "Beans.",
        "answer": '{"text":"Beans."}',
    }
    people = pl.DataFrame({"candidate_id": ["c"], "decision": ["approve"], "person_reason": [None]})
    none = pl.DataFrame(schema=TABLES["verdicts"].frame([]).schema)
    args = (SECOND, pl.DataFrame(schema=pl.DataFrame([candidate]).schema), none, people, pl.DataFrame([candidate]))
    assert review_rows(*args, loop, {})["decision"].to_list() == ["approve"]
    rows = review_rows(*args, loop, {}, {"c": "It is false."})
    assert rows.select("decision", "decided_by", "reason").rows() == [("withdraw", "person", "It is false.")]
