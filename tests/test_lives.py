"""Who is alive in a turn, for each of the five lives, told as examples on a real warehouse."""

import json
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration.delivery.protocol import When
from orchestration.delivery.shared_traffic import with_turns_left
from orchestration.graph.assets.subjects import alive_subjects, as_subjects, nobody, whose_turn
from orchestration.loops.declaration import Loop, Outcome, Subjects, days
from orchestration.loops.lives import Life, between, each_turn, once, stays, until_met
from orchestration.tables import TABLES
from orchestration.testing.landed_events import FIRST, LOOP, SECOND, THIRD, Shop
from orchestration.turns import Turn


def living(life: Life) -> Loop:
    subjects = Subjects(
        key="product_id", facts=("opens", "closes"), original="description", pool="category", lives=life
    )
    return replace(LOOP, subjects=subjects, outcomes=(*LOOP.outcomes, Outcome("passed", within=days(1))))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path, now=datetime(2026, 1, 4, 9))
    days_of = (("2026-01-01", "2026-01-10"), ("2026-01-05", "2026-01-20"), ("2026-01-12", "2026-02-01"), ("soon", ""))
    rows = [
        {
            "product_id": f"s{number}",
            "opens": opens,
            "closes": closes,
            "description": f"Text {number}",
            "category": "c",
        }
        for number, (opens, closes) in enumerate(days_of)
    ]
    shop.landing.write("subjects", "content", rows, "a")
    shop.landing.ingest_subjects(living(stays()), run_id="run", progress=lambda _: None)
    return shop


def put(shop: Shop, table: str, **row: Any) -> None:
    with shop.warehouse.connect() as connection:
        names = ", ".join(["loop", *row])
        marks = ", ".join("?" for _ in range(len(row) + 1))
        connection.execute(f"insert into flywheel.{table} ({names}) values ({marks})", ["content", *row.values()])


def alive(shop: Shop, life: Life, turn: str) -> list[str]:
    return alive_subjects(shop.warehouse, living(life), turn)["subject_id"].to_list()


def taken(shop: Shop, life: Life, turn: str, limit: int) -> list[str]:
    rows = alive_subjects(shop.warehouse, living(life), turn)
    return list(whose_turn(rows, Turn.of(turn, shop.settings), limit).taken)


def test_a_product_stays_in_force_in_every_turn(shop: Shop) -> None:
    put(shop, "releases", turn=FIRST, subject_id="s0", variant_id="v")
    put(shop, "results", turn=FIRST, subject_id="s1", outcome="passed")

    for life in (stays(), each_turn()):
        assert alive(shop, life, FIRST) == alive(shop, life, THIRD) == ["s0", "s1", "s2", "s3"]


def test_a_test_is_in_force_between_its_days_and_never_without_them(shop: Shop) -> None:
    life = between("opens", "closes")

    assert alive(shop, life, FIRST) == ["s0", "s1"]
    assert alive(shop, life, SECOND) == ["s1", "s2"]
    assert alive(shop, life, "2026-02-02") == []


def test_a_ticket_is_taken_once(shop: Shop) -> None:
    put(shop, "decisions", turn=FIRST, subject_id="s0", decision_id="d")
    put(shop, "releases", turn=SECOND, subject_id="s1", variant_id="v")

    assert alive(shop, once(), FIRST) == ["s0", "s1", "s2", "s3"]
    assert alive(shop, once(), SECOND) == ["s1", "s2", "s3"]
    assert alive(shop, once(), THIRD) == ["s2", "s3"]


@pytest.mark.parametrize("table", ["results", "outcomes"])
def test_a_specification_lives_until_its_outcome_was_counted(shop: Shop, table: str) -> None:
    put(shop, table, turn=FIRST, subject_id="s0", outcome="passed")
    put(shop, table, turn=FIRST, subject_id="s1", outcome="click")

    assert alive(shop, until_met("passed"), FIRST) == ["s0", "s1", "s2", "s3"]
    assert alive(shop, until_met("passed"), SECOND) == ["s1", "s2", "s3"]


def test_the_newest_facts_are_in_force_at_the_place_of_the_first(shop: Shop) -> None:
    row = {"product_id": "s0", "opens": "", "closes": "", "description": "New text", "category": "c"}
    shop.landing.write("subjects", "content", [row], "b")
    shop.landing.ingest_subjects(living(stays()), run_id="run", progress=lambda _: None)

    rows = alive_subjects(shop.warehouse, living(stays()), FIRST)

    assert rows["original"].to_list() == ["New text", "Text 1", "Text 2", "Text 3"]
    assert as_subjects(rows, ["s0"]).columns == list(TABLES["subjects"].columns)


def test_where_more_are_alive_than_a_turn_takes_they_take_turns(shop: Shop) -> None:
    seen = []
    for turn in (FIRST, SECOND, THIRD):
        seen.append(taken(shop, stays(), turn, 2))
        for subject in seen[-1]:
            put(shop, "subjects", turn=turn, subject_id=subject)

    assert seen[:2] == [["s0", "s1"], ["s2", "s3"]]
    rows = alive_subjects(shop.warehouse, living(stays()), THIRD)
    assert rows["could_be_taken"].to_list() == [date(2026, 1, 4)] * 4
    assert rows["last_turn"].to_list() == [date(2026, 1, 5)] * 2 + [date(2026, 1, 12)] * 2
    chosen = whose_turn(rows, Turn.of(THIRD, shop.settings), 1)
    assert chosen.message == "1 of 4 subjects; 3 wait, the longest for 2 turns"


def test_traffic_and_what_is_still_open_tell_whose_turn_it_is(shop: Shop) -> None:
    for subject, units, reward in (("s0", 100, 1.0), ("s1", 5_000, 2_500.0), ("s2", 3_000, 2.0), ("s3", 10, 0.0)):
        put(shop, "subjects", turn=FIRST, subject_id=subject)
        put(
            shop, "evidence", turn=FIRST, subject_id=subject, variant_id="v", units=units, reward=reward,
            reward_squares=reward,
        )  # fmt: skip

    rows = alive_subjects(shop.warehouse, living(stays()), SECOND)

    assert rows["traffic"].to_list() == [100, 5_000, 3_000, 10]
    assert rows["headroom"].to_list() == pytest.approx([2**-0.5, 2501**-0.5, 3**-0.5, 1.0])
    assert taken(shop, stays(), SECOND, 2) == ["s0", "s2"]


def test_a_turn_without_subjects_says_what_to_do(shop: Shop, tmp_path: Path) -> None:
    life = between("opens", "closes")

    assert "None of the landed subjects of content is alive in turn 2026-02-02" in nobody(
        shop.warehouse, living(life), "2026-02-02"
    )
    empty = nobody(Shop(tmp_path / "empty").warehouse, living(life), FIRST)
    assert empty.startswith("No subject of content has landed. Put a file with the columns ['product_id',")


def test_lives_say_how_many_turns_are_left() -> None:
    left = {"closes": "2026-01-20"}

    assert between("opens", "closes").turns_left(left, date(2026, 1, 5), 7) == 3
    assert between("opens", "closes").turns_left(left, date(2026, 1, 19), 7) == 1
    assert stays().turns_left({}, date(2026, 1, 5), 7) is until_met("won").turns_left({}, date(2026, 1, 5), 7) is None
    assert each_turn().turns_left({}, date(2026, 1, 5), 7) == once().turns_left({}, date(2026, 1, 5), 7) == 1
    with pytest.raises(ValueError, match="'closes' must be a day such as 2026-01-31, not 'soon'"):
        between("opens", "closes").turns_left({"closes": "soon"}, date(2026, 1, 5), 7)


def test_sharing_reckons_with_the_turns_left_whatever_the_column_is_called() -> None:
    facts = [json.dumps({"closes on": day, "x-y.z": "1"}) for day in ("2026-01-20", "2026-01-07")]
    found = with_turns_left(
        pl.DataFrame({"facts": facts}), between("x-y.z", "closes on"), When(turn="2026-01-05", days=7, seed=1)
    )
    assert found["turns_left"].to_list() == [3, 1]


def test_a_wrong_life_names_the_remedy() -> None:
    with pytest.raises(ValueError, match="name two columns of days"):
        between("day", "day")
    with pytest.raises(ValueError, match="until_met needs the name of an outcome"):
        until_met(" ")
    with pytest.raises(ValueError, match=r"Name \['ends', 'starts'\] among the facts"):
        Subjects(key="id", facts=(), original="o", pool="c", lives=between("starts", "ends"))
    with pytest.raises(ValueError, match="lives until 'won', but declares only"):
        replace(LOOP, subjects=replace(LOOP.subjects, lives=until_met("won")))
