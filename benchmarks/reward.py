"""Benchmark `reward`: is the better headline named before anyone has met it, and is a split that leaks caught?

Here: pairwise accuracy on significant pairs of the Upworthy tests with whole stories kept apart, ours and simpler
models in one run; the split by pairs that leaks, and the leakage check on both.
Not here: what predictions are worth once traffic is shared (learning).
"""

import os
import time
from datetime import datetime

import numpy as np

from benchmarks.report import Row, write
from benchmarks.upworthy import Arms, folds_of, read_arms, upworthy_file
from orchestration.learning.proof.leakage import shared_subjects_or_near_identical_texts
from orchestration.learning.texts.pairs import Accuracy, pairwise_accuracy, significant_pairs
from orchestration.learning.texts.reward_model import fit_reward_model

SEEDS = int(os.environ.get("FLYWHEEL_BENCH_SEEDS", "10"))
FOLDS = 5
GOAL = 66.0
LATER = np.datetime64("2014-08-15")


def main() -> None:
    started = time.perf_counter()
    file = upworthy_file()
    if file is None:
        print("reward: skipped, no data sets (FLYWHEEL_DATA)", flush=True)
        return
    arms = read_arms(file, since=datetime(2013, 1, 1))
    better, worse = significant_pairs(arms.group, arms.impressions, arms.clicks)
    parts = [folds_of(arms.story, FOLDS, seed) for seed in range(SEEDS)]
    ours = [_accuracy(arms, _cross_fitted(arms, fold)) for fold in parts]
    tf_idf = [_words_alone(arms, better, worse, fold[better]) for fold in parts[: max(3, SEEDS // 3)]]
    length = pairwise_accuracy(arms.group, arms.impressions, arms.clicks, arms.features[:, 0])
    leaky = [
        _words_alone(arms, better, worse, np.random.default_rng(seed).integers(0, FOLDS, len(better)))
        for seed in range(max(3, SEEDS // 3))
    ]
    low = float(np.mean([one.low for one in ours])) * 100
    high = float(np.mean([one.high for one in ours])) * 100
    mean = float(np.mean([one.value for one in ours])) * 100
    words = float(np.mean(tf_idf)) * 100
    later = _by_time(arms)
    rows = [
        Row(
            f"pairwise accuracy, whole stories kept apart ({len(better):,} significant pairs, mean of {SEEDS} splits)",
            mean,
            "%",
            goal=GOAL,
            holds=mean >= GOAL,
            low=low,
            high=high,
        ),
        Row("the same against words alone", mean, "%", words, "TF-IDF, logistic regression", mean / words),
        Row("the same against length alone", mean, "%", length.value * 100, "longer wins", mean / (length.value * 100)),
        Row(
            f"accuracy on tests after {LATER}, learned on earlier ones ({later.pairs:,} pairs)",
            later.value * 100,
            "%",
            low=later.low * 100,
            high=later.high * 100,
        ),
        Row("accuracy that a random split of pairs pretends (words alone)", float(np.mean(leaky)) * 100, "%"),
        *_caught(arms, better, worse, parts[0]),
    ]
    write("reward", rows, time.perf_counter() - started)


def _fit_predict(arms: Arms, train: np.ndarray, rows: np.ndarray) -> np.ndarray:
    model = fit_reward_model(
        arms.group[train],
        arms.embeddings[train],
        arms.features[train],
        arms.impressions[train],
        arms.clicks[train],
        turn=arms.week[train],
        fold=arms.story[train],
    )
    return model.predict(arms.embeddings[rows], arms.features[rows])


def _cross_fitted(arms: Arms, fold: np.ndarray) -> np.ndarray:
    """Scores (n,) of each row by a model that saw nothing of its fold; penalties are chosen inside as well."""
    scores = np.zeros(len(arms.group))
    for part in range(FOLDS):
        scores[fold == part] = _fit_predict(arms, fold != part, fold == part)
    return scores


def _accuracy(arms: Arms, scores: np.ndarray) -> Accuracy:
    return pairwise_accuracy(arms.group, arms.impressions, arms.clicks, scores)


def _by_time(arms: Arms) -> Accuracy:
    """Accuracy on later tests, whose stories the earlier ones do not share."""
    late = arms.created_at >= LATER
    shared = np.isin(arms.story, arms.story[~late])
    late &= ~shared
    scores = _fit_predict(arms, arms.created_at < LATER, late)
    return pairwise_accuracy(arms.group[late], arms.impressions[late], arms.clicks[late], scores)


def _words_alone(arms: Arms, better: np.ndarray, worse: np.ndarray, fold: np.ndarray) -> float:
    """Cross-validated accuracy of TF-IDF differences in a logistic regression, the usual first model; fold (pairs,)."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    texts = np.array(arms.headline, dtype=object)
    sign = np.random.default_rng(0).choice([-1, 1], len(better))
    right = np.zeros(len(better))
    for part in range(FOLDS):
        train, test = fold != part, fold == part
        reading = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        reading.fit(texts[np.concatenate([better[train], worse[train]])])
        table = reading.transform(texts)
        difference = (table[better] - table[worse]).multiply(sign[:, None]).tocsr()
        model = LogisticRegression(C=10.0, max_iter=300).fit(difference[train], sign[train])
        right[test] = model.predict(difference[test]) == sign[test]
    return float(right.mean())


def _caught(arms: Arms, better: np.ndarray, worse: np.ndarray, fold: np.ndarray) -> list[Row]:
    """What the leakage check says of the split by pairs, which leaks, and of the split by stories, which does not."""
    pair_fold = np.random.default_rng(0).integers(0, FOLDS, len(better))
    pairs = np.concatenate([better[pair_fold != 0], worse[pair_fold != 0]])
    held_out = np.concatenate([better[pair_fold == 0], worse[pair_fold == 0]])
    leaky = _check(arms, pairs, held_out)
    clean = _check(arms, np.flatnonzero(fold != 0), np.flatnonzero(fold == 0))
    return [
        Row(
            "evaluation rows that leak, split by pairs: caught by the check",
            leaky * 100,
            "%",
            goal=1,
            holds=leaky > 0.5,
        ),
        Row("evaluation rows that leak, split by stories", clean * 100, "%", goal=0, holds=clean == 0),
    ]


def _check(arms: Arms, train: np.ndarray, evaluation: np.ndarray) -> float:
    train_side, evaluation_side = (
        {"subject_id": [str(arms.test[i]) for i in rows], "text": [arms.headline[i] for i in rows]}
        for rows in (train, evaluation)
    )
    return shared_subjects_or_near_identical_texts(train_side, evaluation_side).share


if __name__ == "__main__":
    main()
