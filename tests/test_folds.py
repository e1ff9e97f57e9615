"""Folds: what is the same under several names is fitted and judged together, told as examples."""

import hashlib
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.delivery import traffic_statements as statements
from orchestration.delivery.protocol import When
from orchestration.delivery.traffic_learning import trusted
from orchestration.learning.proof.folds import FOLDS, folds, on_both_sides, with_folds
from orchestration.loops.content import declare
from orchestration.testing.landed_events import FIRST, SECOND, Shop


def subjects(*rows: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=["subject_id", "original", "facts"], orient="row")


def by_facts(facts: str) -> int:
    return int(hashlib.sha256(facts.encode()).hexdigest()[:8], 16) % FOLDS


def different(count: int) -> list[tuple[str, str, str]]:
    return [(f"s{number}", f"Text number {number}", f'{{"size":"{number} oz"}}') for number in range(count)]


SIZES = [
    (f"tea{size}", title, f'{{"tea":"{size}"}}') for size, title in enumerate(("Black Tea", "black tea!", "Black tea"))
]


def test_a_subject_alone_has_the_fold_of_its_facts() -> None:
    rows = different(40)

    assert folds(subjects(*rows)) == {subject: by_facts(facts) for subject, _, facts in rows}
    assert len(set(folds(subjects(*rows)).values())) == FOLDS
    assert folds(subjects()) == {}


def test_three_sizes_with_one_title_share_a_fold() -> None:
    assert len({by_facts(facts) for _, _, facts in SIZES}) > 1

    found = folds(subjects(*different(10), *SIZES))

    assert len({found[subject] for subject, _, _ in SIZES}) == 1
    assert found["s3"] == by_facts('{"size":"3 oz"}')


def test_a_subject_whose_facts_changed_keeps_one_fold_for_all_its_turns() -> None:
    changed = [("a", "Old words", "1"), ("a", "New words", "2"), ("b", "Other", "2"), ("c", "Old words", "3")]

    found = folds(subjects(*different(10), *changed))

    assert found["a"] == found["b"] == found["c"]


def test_what_joins_two_folds_later_joins_them_in_every_turn() -> None:
    rows = [*different(10), ("early", "Green tea", "E"), ("late", "White tea", "L1")]
    before = folds(subjects(*rows))
    after = folds(subjects(*rows, ("bridge", "Green tea", "L1")))

    assert before["early"] != before["late"]
    assert after["early"] == after["late"] == after["bridge"]
    assert after["early"] in (before["early"], before["late"])
    assert {name: fold for name, fold in after.items() if name.startswith("s")} == {
        name: fold for name, fold in before.items() if name.startswith("s")
    }


def test_what_most_have_in_common_joins_nothing() -> None:
    letters = [(f"lead{number}", "Dear customer,", f'{{"n":{number}}}') for number in range(30)]
    bare = [(f"lead{number}", f"Letter {number}", "{}") for number in range(30)]

    assert len(set(folds(subjects(*letters)).values())) == FOLDS
    assert len(set(folds(subjects(*bare)).values())) == FOLDS


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefghij"), st.sampled_from("uvwxyz"), st.sampled_from("0123456")), max_size=30
    )
)
def test_no_component_ever_spans_two_folds_whatever_the_order(rows: list[tuple[str, str, str]]) -> None:
    found = folds(subjects(*rows))

    assert found == folds(subjects(*reversed(rows), *rows))
    assert set(found) == {subject for subject, _, _ in rows}
    for place in (1, 2):
        shared: dict[str, set[str]] = {}
        for row in rows:
            shared.setdefault(row[place], set()).add(row[0])
        for of in shared.values():
            if len(of) <= max(1, len(found) / 2):
                assert len({found[subject] for subject in of}) == 1


def test_evidence_is_read_with_the_folds_of_all_that_was_seen() -> None:
    evidence = pl.DataFrame({"subject_id": ["s0", "tea0"], "fold": [0, 0]})

    read = with_folds(evidence, subjects(*different(10), *SIZES))

    assert read["fold"].to_list() == [by_facts('{"size":"0 oz"}'), folds(subjects(*different(10), *SIZES))["tea0"]]
    with pytest.raises(ValueError, match=r"1 subjects of the evidence, such as 'tea0', stand in no turn's"):
        with_folds(evidence, subjects(*different(10)))


def test_a_leak_between_folds_is_named() -> None:
    rows = [
        (date(2026, 1, 5), "a", 0, "Tea"),
        (date(2026, 1, 5), "b", 1, "Coffee"),
        (date(2026, 1, 12), "c", 2, "tea!"),
        (date(2026, 1, 12), "b", 1, "Coffee"),
        (date(2026, 1, 12), "d", 3, "Water"),
    ]
    controls = pl.DataFrame(rows, schema=["turn", "subject_id", "fold", "text"], orient="row")
    seen = subjects(*((subject, text, subject) for _, subject, _, text in rows))

    assert on_both_sides(controls, seen, date(2026, 1, 12)) == ["c"]
    assert on_both_sides(controls.with_columns(fold=0), seen, date(2026, 1, 12)) == []


def test_three_sizes_with_one_title_are_no_leak_that_stops_learning(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    turns = {FIRST: [*different(8), *SIZES[:1]], SECOND: [*different(8), *SIZES[1:]]}
    with shop.warehouse.connect() as connection:
        for turn, rows in turns.items():
            for subject, original, facts in rows:
                connection.execute(
                    "insert into flywheel.subjects (turn, loop, subject_id, original, facts) "
                    "values (?, 'content', ?, ?, ?)",
                    [turn, subject, original, facts],
                )
                connection.execute(
                    "insert into flywheel.evidence (turn, loop, subject_id, variant_id, is_control, text, fold) "
                    "values (?, 'content', ?, 'v', true, ?, ?)",
                    [turn, subject, original, by_facts(facts)],
                )

    named = {"loop": "content", "turn": SECOND}
    read = {
        name: shop.warehouse.read(sql, named)
        for name, sql in (("controls", statements.CONTROLS), ("seen", statements.SUBJECTS_SEEN))
    }
    observed = pl.DataFrame({"units": [[50, 50]], "shares": [[0.5, 0.5]]})

    conditions = trusted(declare(), {**read, "observed": observed}, When(turn=SECOND, days=7, seed=1))

    assert [condition.passed for condition in conditions] == [True, True]
    assert conditions[1].detail == "0 subjects are in both the training and the evaluation rows."
    evidence = with_folds(shop.warehouse.read(statements.EVIDENCE_SO_FAR, named), read["seen"])
    assert evidence.filter(pl.col("subject_id").str.starts_with("tea"))["fold"].n_unique() == 1
