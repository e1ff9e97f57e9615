"""A released text comes down at once and stays down: by a landed file, by a column of the subjects, for every turn."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from orchestration.delivery.arms import variant_identity
from orchestration.delivery.briefing import Briefing, brief_rows
from orchestration.delivery.protocol import Releasing, When
from orchestration.delivery.shared_traffic import without_shares
from orchestration.delivery.traffic_statements import OBSERVED_SHARES
from orchestration.delivery.withdrawn import COMES_DOWN, Withdrawn
from orchestration.generation.answers import identity
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
from orchestration.testing.shop import FIRST, SECOND, catalogue
from orchestration.warehouse.suites import read_suites

ROW = {"withdrawn_by": "jane", "withdrawn_at": "2026-01-06T09:00:00Z", "reason": "It is false."}


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
            {"turn": date(2026, 1, 12), "facts": fact, "holdout_point": 0.9, "version": "1", "language": None, **row}
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


def test_the_next_turn_releases_nothing_that_was_withdrawn_and_its_subject_keeps_its_original() -> None:
    loop = content()
    row = catalogue(1)[0]
    subjects = TABLES["subjects"].frame(
        [
            {
                "turn": date.fromisoformat(SECOND),
                "loop": "content",
                "version": "1",
                "facts": "{}",
                "holdout_point": 0.5,
                "language": None,
            }
            | {name: row[name] for name in ("subject_id", "format", "category", "original")}
        ]
    )
    answer = '{"text":"Beans."}'
    known = {"turn": date.fromisoformat(FIRST), "loop": "content", "subject_id": row["subject_id"], "answer": answer}
    variant = variant_identity("content", row["subject_id"], identity(loop.answer, json.loads(answer)))
    last = {
        **dict.fromkeys(TABLES["releases"].columns),
        **known,
        "variant_id": variant,
        "candidate_id": "c",
        "text": "x",
    }
    review = {**dict.fromkeys(TABLES["reviews"].columns), **known, "candidate_id": "d", "decision": "publish"}
    met = pl.DataFrame(
        schema={
            "subject_id": pl.String,
            "variant_id": pl.String,
            "units": pl.Float64,
            "reward": pl.Float64,
            "turns": pl.Int64,
        }
    )

    def released(withdrawn: Withdrawn) -> list[tuple[bool, float]]:
        releasing = Releasing(
            loop=loop,
            when=When(turn=SECOND, days=7, seed=1),
            policy=loop.delivery.first(loop, {"description": ("r",)}),
            policy_version="1",
            subjects=subjects,
            waiting=subjects.clear(),
            briefs=TABLES["briefs"].frame([]),
            candidates=TABLES["candidates"].frame([]),
            reviews=TABLES["reviews"].frame([review]),
            read={
                "met": met,
                "rejected": pl.DataFrame({"candidate_id": []}, schema={"candidate_id": pl.String}),
                "last": TABLES["releases"].frame([{**last, "is_control": False, "share": 0.5}]),
            },
            embed=lambda texts: np.zeros((len(texts), 256)),
            now=datetime(2026, 1, 12),
            withdrawn=withdrawn,
        )
        return loop.delivery.released(releasing)["releases"].select("is_control", "share").rows()

    assert len(released(Withdrawn())) == 2
    for down in (
        {"variants": {variant}},
        {"candidates": {"c", "d"}, "variants": {variant}},
        {"subjects": {row["subject_id"]}},
    ):
        gone = Withdrawn(**{name: frozenset(known) for name, known in down.items()})
        assert released(gone) == [(True, 1.0)], "also not under another candidate of the same text"


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
