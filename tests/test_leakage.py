"""Leaks between training and evaluation: found when there, not invented when not."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.learning.proof.leakage import groups_of_near_identical, shared_subjects_or_near_identical_texts


def rows(*pairs: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(pairs, schema=["subject_id", "text"], orient="row")


TRAIN = rows(
    ("milk", "Cold and creamy milk from farms that you can visit any day of the week"),
    ("bread", "Bread with a crust that sings when you break it"),
)


def test_a_shared_subject_is_a_leak():
    leak = shared_subjects_or_near_identical_texts(TRAIN, rows(("milk", "Nothing like the other text")))
    assert (leak.found, leak.subjects, leak.share) == (True, 1, 1.0)
    assert "Split by whole subjects" in leak.reason


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("BREAD with a crust that sings, when you break it!", "equal"),
        ("Cold and creamy milk from farms that you can visit any day of the year", "near"),
    ],
)
def test_the_same_text_under_another_subject_is_a_leak(text, kind):
    leak = shared_subjects_or_near_identical_texts(TRAIN, rows(("other", text), ("clean", "An unrelated line")))
    assert getattr(leak, kind) == 1
    assert leak.share == 0.5
    assert leak.examples[0][1] == text


def test_two_texts_on_the_same_matter_are_no_leak():
    leak = shared_subjects_or_near_identical_texts(TRAIN, rows(("cheese", "Creamy cheese from farms you can visit")))
    assert not leak.found
    assert leak.reason.startswith("No leak")


@pytest.mark.parametrize("side", [(TRAIN.clear(), TRAIN), (TRAIN, TRAIN.clear())])
def test_an_empty_side_shares_nothing(side):
    assert not shared_subjects_or_near_identical_texts(*side).found


def test_empty_texts_are_not_alike():
    leak = shared_subjects_or_near_identical_texts(rows(("a", ""), ("b", "...")), rows(("c", ""), ("d", "!")))
    assert not leak.found


words = st.lists(st.sampled_from(["red", "green", "blue", "warm", "cold", "soft", "loud"]), min_size=1, max_size=12)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), words.map(" ".join)), min_size=2, max_size=30), st.integers(0, 99))
def test_a_split_by_groups_leaves_nothing_to_find(table, seed):
    frame = rows(*table)
    groups = groups_of_near_identical(frame["subject_id"].to_list(), frame["text"].to_list())
    chosen = np.random.default_rng(seed).random(int(groups.max()) + 1) < 0.5
    train = frame.filter(pl.Series(chosen[groups]))
    evaluation = frame.filter(pl.Series(~chosen[groups]))
    leak = shared_subjects_or_near_identical_texts(train, evaluation)
    assert (leak.subjects, leak.equal) == (0, 0)


def test_a_needle_is_found_among_twenty_thousand_texts():
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"word{index}" for index in range(5000)])
    texts = [" ".join(rng.choice(vocabulary, 12)) for _ in range(20_000)]
    copies = [f"{text} indeed" for text in texts[:50]]
    leak = shared_subjects_or_near_identical_texts(
        {"subject_id": [f"t{i}" for i in range(len(texts))], "text": texts},
        {"subject_id": [f"e{i}" for i in range(len(copies))], "text": copies},
    )
    assert leak.near == 50
