"""The reward model: what it learns, what it says about itself, and that it never claims more than it can show."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.learning.texts.log_rates import dispersion, within_subjects
from orchestration.learning.texts.pairs import pairwise_accuracy, significant_pairs
from orchestration.learning.texts.reward_card import card_lines
from orchestration.learning.texts.reward_model import RewardModel, fit_reward_model, fit_with_held_out
from orchestration.learning.texts.text_features import FEATURE_NAMES, FEATURES, text_features, tone
from orchestration.model.text_embedding import DIMENSIONS, embed_texts

FEATURE_COUNT = len(FEATURE_NAMES)


def texts_with_results(worth: float, *, subjects: int = 300, units: int = 2000, spread: float = 0.15, seed: int = 0):
    """Four texts a subject; the log rate follows one embedding direction and one feature, times `worth`."""
    rng = np.random.default_rng(seed)
    subject = np.repeat(np.arange(subjects), 4)
    embeddings = rng.normal(size=(len(subject), 16))
    features = rng.normal(size=(len(subject), FEATURE_COUNT))
    score = worth * (0.2 * embeddings[:, 0] + 0.2 * features[:, 3])
    rate = np.exp(rng.normal(-4, 0.5, subjects)[subject] + score + rng.normal(0, spread, len(subject)))
    met = np.full(len(subject), float(units))
    return subject, embeddings, features, met, rng.binomial(units, np.minimum(rate, 1)).astype(float), score


def test_what_texts_are_worth_is_learned_and_calibrated():
    subject, embeddings, features, units, rewards, score = texts_with_results(1.0)
    model = fit_reward_model(subject, embeddings, features, units, rewards)
    fresh = texts_with_results(1.0, seed=9)
    predicted = model.predict(fresh[1], fresh[2])
    assert np.corrcoef(predicted, fresh[5])[0, 1] > 0.9
    slope = np.polyfit(predicted, fresh[5], 1)[0]
    assert slope == pytest.approx(1, abs=0.2)
    assert model.residual_sd == pytest.approx(0.15, abs=0.05)
    assert score.std() > 0


def test_the_card_says_what_it_saw_and_what_it_is_worth_on_held_out_subjects():
    subject, embeddings, features, units, rewards, _ = texts_with_results(1.0)
    turn = subject // 30
    model = fit_reward_model(subject, embeddings, features, units, rewards, turn=turn)
    card = model.card
    assert (card["rows"], card["subjects"], card["turns"]) == (1200, 300, 10)
    assert card["held_out_subjects"]["low"] > 0.6
    assert card["held_out_turns"]["low"] > 0.5
    assert next(iter(card["strongest_features"])) == FEATURE_NAMES[3]
    assert {"short texts", "long texts", "few rewards"} < set(card["weak_where"])
    json.dumps(dict(card))


def test_texts_that_make_no_difference_are_given_no_weight():
    subject, embeddings, features, units, rewards, _ = texts_with_results(0.0)
    model = fit_reward_model(subject, embeddings, features, units, rewards)
    assert model.card["held_out_subjects"]["low"] <= 0.5 <= model.card["held_out_subjects"]["high"]
    assert np.abs(model.predict(embeddings, features)).max() < 0.1


def test_a_level_that_differs_between_subjects_teaches_nothing():
    """A feature that is the same for all texts of a subject follows its level, and must not be taken for an effect."""
    subject, embeddings, features, units, _, _ = texts_with_results(0.0)
    level = np.random.default_rng(3).normal(size=300)[subject]
    features[:, 5] = level
    rewards = np.random.default_rng(4).binomial(2000, np.exp(-4 + level)).astype(float)
    model = fit_reward_model(subject, embeddings, features, units, rewards)
    assert abs(model.feature_coefficients[5]) < 0.02


def test_before_there_is_anything_to_learn_from_the_model_stays_at_zero():
    nothing = fit_reward_model(
        np.array(["a", "a"]), np.ones((2, 8)), np.ones((2, FEATURE_COUNT)), np.array([10, 10]), np.zeros(2)
    )
    assert nothing.card["fitted"] is False
    assert nothing.predict(np.ones((3, 8)), np.ones((3, FEATURE_COUNT))).tolist() == [0, 0, 0]


def test_only_the_newest_rows_are_kept_in_mind():
    subject, embeddings, features, units, rewards, _ = texts_with_results(1.0)
    model = fit_reward_model(subject, embeddings, features, units, rewards, turn=subject, window=400)
    assert model.card["rows"] == 400


def test_a_model_is_a_value_that_survives_writing_down():
    subject, embeddings, features, units, rewards, _ = texts_with_results(1.0, subjects=60)
    model = fit_reward_model(subject, embeddings, features, units, rewards)
    again = RewardModel.from_json(model.to_json())
    assert again == model
    with pytest.raises(ValueError, match="16 columns of embedding, not 8"):
        again.predict(np.ones((1, 8)), features[:1])


def test_real_headlines_are_told_apart_on_tests_that_were_kept_out(shared_data):
    import polars as pl

    arms = pl.read_parquet(shared_data / "upworthy" / "headline_tests.parquet").filter(pl.col("test_week") >= 201402)
    arms = arms.group_by("test_id", "eyecatcher_id", "headline", maintain_order=True).agg(
        pl.col("impressions", "clicks").sum()
    )
    headlines = arms["headline"].to_list()
    labels = arms.select(pl.concat_str("test_id", pl.col("eyecatcher_id").fill_null(""), separator="/")).to_series()
    model = fit_reward_model(
        labels.to_numpy().astype(str),
        embed_texts(headlines),
        text_features(headlines),
        arms["impressions"].to_numpy(),
        arms["clicks"].to_numpy(),
    )
    assert model.card["held_out_subjects"]["low"] > 0.6
    assert model.card["calibration_slope"] == pytest.approx(1, abs=0.3)


def test_every_feature_is_named_explained_and_finite():
    values = text_features(["", "...", "12 Things You'll NEVER believe! See: “wow”", "Ein Satz ohne Englisch."])
    assert values.shape == (4, FEATURE_COUNT)
    assert np.isfinite(values).all()
    assert len(set(FEATURE_NAMES)) == FEATURE_COUNT
    assert all(feature.meaning.endswith(".") for feature in FEATURES)


@pytest.mark.parametrize(
    ("text", "feature", "value"),
    [
        ("Is it good?", "question", 1),
        ("5 ways to cook", "number_first", 1),
        ("You and your dog", "second_person", 0.5),
        ("They don’t know", "negation", 1 / 3),
        ("One. Two! Three", "sentences", 3),
        ("She said 'never again'", "quote", 1),
        ("It's the dog's bone", "quote", 0),
    ],
)
def test_a_feature_reads_what_its_name_says(text, feature, value):
    assert text_features([text])[0, FEATURE_NAMES.index(feature)] == pytest.approx(value)


def test_tone_falls_with_harsh_words_and_rises_with_kind_ones():
    assert tone("A terrible, cruel day") < tone("A day") == 0 < tone("A lovely day")


def test_embeddings_need_no_network_and_take_anything():
    vectors = embed_texts(["Cold milk", "Cold milk", ""])
    assert vectors.shape == (3, DIMENSIONS)
    assert (vectors[0] == vectors[1]).all()
    assert np.isfinite(vectors).all()
    assert embed_texts([]).shape == (0, DIMENSIONS)


def test_significant_pairs_are_those_of_the_test_and_in_the_right_order():
    subject = np.array([0, 1, 0, 1])
    better, worse = significant_pairs(subject, np.full(4, 1000.0), np.array([10.0, 20, 60, 22]))
    assert (better.tolist(), worse.tolist()) == ([2], [0])
    assert (
        pairwise_accuracy(subject, np.full(4, 1000.0), np.array([10.0, 20, 60, 22]), np.array([0, 0, 1, 0])).value == 1
    )


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 400), st.floats(0, 1)), min_size=2, max_size=40))
def test_the_working_effects_of_a_subject_balance_out(rows):
    subject, units, part = (np.array(values) for values in zip(*rows, strict=True))
    rewards = np.floor(units * part)
    data, used = within_subjects(subject, units.astype(float), rewards)
    assert len(data.effect) == used.sum()
    assert (data.noise > 0).all()
    if used.any():
        balance = np.bincount(data.subject, data.effect / data.noise)
        assert balance == pytest.approx(np.zeros(len(balance)), abs=1e-6)


def test_dispersion_is_that_of_a_yes_or_no_and_of_amounts():
    clicks = np.array([300.0, 500.0])
    assert dispersion(np.array([1000.0, 1000.0]), clicks, clicks) == pytest.approx(1 - 0.4, abs=0.03)
    assert dispersion(np.array([1e6]), np.array([500.0]), np.array([500.0 * 20])) == pytest.approx(20, rel=0.01)
    assert dispersion(np.array([10.0]), np.array([0.0]), np.array([0.0])) == 1


def test_levels_of_subjects_help_when_they_follow_the_same_words():
    """What draws readers to a subject also draws them to one of its texts: many levels to learn from."""
    rng = np.random.default_rng(0)
    subject = np.repeat(np.arange(600), 2)
    embeddings = rng.normal(size=(1200, 16)) + rng.normal(size=(600, 16))[subject] * 2
    features = rng.normal(size=(1200, FEATURE_COUNT))
    rate = np.exp(-4 + 0.15 * embeddings[:, :4].sum(axis=1))
    rewards = rng.binomial(300, np.minimum(rate, 1)).astype(float)
    model = fit_reward_model(subject, embeddings, features, np.full(1200, 300.0), rewards)
    assert model.card["penalties"]["between"] > 0
    assert min(model.embedding_coefficients[:4]) > max(np.abs(model.embedding_coefficients[4:]))


def test_every_text_is_also_scored_by_a_model_that_has_not_seen_its_subject():
    subject, embeddings, features, units, rewards, score = texts_with_results(1.0)
    model, unseen = fit_with_held_out(subject, embeddings, features, units, rewards)
    of_card = model.card["held_out_subjects"]
    assert pairwise_accuracy(subject, units, rewards, unseen).as_dict() == of_card
    assert np.corrcoef(unseen, score)[0, 1] > 0.8
    noise = texts_with_results(0.0, subjects=60)
    _, of_noise = fit_with_held_out(*noise[:5])
    assert abs(np.corrcoef(of_noise + 1e-9 * noise[1][:, 0], noise[4])[0, 1]) < 0.2


def test_the_card_is_tables_that_a_person_reads():
    right = {"accuracy": 0.75, "low": 0.5, "high": 0.9, "pairs": 12}
    card = {
        "fitted": True,
        "units": 12345.0,
        "held_out_subjects": right,
        "held_out_turns": None,
        "strongest_features": {"question_marks": -0.123456},
        "weak_where": {"short texts": right},
    }
    text = "\n".join(card_lines(card))
    assert "| units | 12,345 |" in text
    assert "| where | accuracy | low | high | pairs |" in text
    assert "| held out subjects | 0.75 | 0.5 | 0.9 | 12 |" in text
    assert "| short texts | 0.75 |" in text
    assert "| question marks | -0.1235 |" in text
    assert "{" not in text
