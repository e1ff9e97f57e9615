"""Benchmark `makes_sense`: how much of what is wrong does the guard stop, and what does that cost?

Here: the guard's weights, fitted on the labels of the split `train`, and its shares on the split `held-out`;
`python -m benchmarks.makes_sense --write` renews the weights. Also the rule of the simulated reader, fitted on
`held-out`, which is kept apart from the guard by its data and by its code.
Not here: reading and labelling (tests/data/README.md).
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Row, write
from orchestration.guards import Draft, sense
from orchestration.worlds.simulated import readers

LABELS = Path(__file__).resolve().parents[1] / "tests" / "data" / "labelled_copy.ndjson"
LOST = 0.10
LOST_IN_FITTING = 0.15
"""Share of publishable texts over the bound in cross-fitting, whose weights know fewer labels than the last ones."""
GOAL = 0.80
WEIGHT = {"wrong": 1.0, "poor": 0.3, "publishable": 2.0}
"""What is poor lies between: whether the guard stops it matters less than that it tells the other two apart."""
STAND_IN, BLAND = "stand-in model of the tests", 2.0
"""What is bland and true must pass like what is publishable: it is poor as copy alone."""
PHRASES_BY, MEASURES_BY = 2.0, 0.15
"""Scales of the two kinds of sign before the penalty, which so bears less on phrases: they are many and rare."""
FOLDS = 8

Labelled = dict


def labelled(split: str) -> list[Labelled]:
    rows = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["split"] == split]


def main() -> None:
    started = time.perf_counter()
    if "--write" in sys.argv:
        sense.WEIGHTS.write_text(json.dumps(fitted(labelled("train")), indent=1, ensure_ascii=False) + "\n")
        readers.WEIGHTS.write_text(json.dumps(readers_rule(labelled("held-out")), indent=1) + "\n")
        sense._weights.cache_clear()
        sense.judged.cache_clear()
    guard = sense.makes_sense("type")
    held_out = labelled("held-out")
    chance = {
        label: np.array(
            [sense.judged(row["text"], row["facts"]["type"])[0] for row in held_out if row["label"] == label]
        )
        for label in ("wrong", "poor", "publishable")
    }
    blocked = {
        label: [
            guard(Draft(row["text"], row["facts"], row["original"])).decision == "block"
            for row in held_out
            if row["label"] == label
        ]
        for label in chance
    }
    stopped = {label: float(np.mean(each)) for label, each in blocked.items()}
    pairs = (chance["wrong"][:, None] > chance["publishable"][None, :]).mean()
    write(
        "makes_sense",
        [
            Row(
                f"wrong texts stopped ({len(chance['wrong'])} held-out ones)",
                100 * stopped["wrong"],
                "%",
                goal=100 * GOAL,
                holds=stopped["wrong"] >= GOAL,
            ),
            Row(
                f"publishable texts lost ({len(chance['publishable'])} held-out ones)",
                100 * stopped["publishable"],
                "%",
                goal=100 * LOST,
                holds=stopped["publishable"] <= LOST,
            ),
            Row(f"poor texts stopped ({len(chance['poor'])} held-out ones)", 100 * stopped["poor"], "%"),
            Row("a wrong text is judged likelier wrong than a publishable one", 100 * float(pairs), "%"),
        ],
        time.perf_counter() - started,
    )


def readers_rule(rows: Sequence[Labelled]) -> dict:
    """The rule of the simulated readers: a logistic regression on their own signs of the labels `wrong`."""
    from sklearn.linear_model import LogisticRegression

    counted = [readers.signs(row["text"], row["original"]) for row in rows]
    names = list(counted[0])
    model = LogisticRegression(C=30.0, class_weight="balanced", max_iter=5_000).fit(
        np.array([[each[name] for name in names] for each in counted]), [row["label"] == "wrong" for row in rows]
    )
    return {
        "intercept": round(float(model.intercept_[0]), 4),
        "signs": {name: round(float(weight), 4) for name, weight in zip(names, model.coef_[0], strict=True)},
    }


def fitted(rows: Sequence[Labelled]) -> dict:
    """Weights of the guard, with the bound that LOST_IN_FITTING sets on texts about other products."""
    groups = np.array([row["facts"]["type"] for row in rows])
    wrong = np.array([row["label"] == "wrong" for row in rows])
    publishable = np.array([row["label"] == "publishable" for row in rows])
    chance = cross_fitted(rows, wrong, groups)
    weights = _fit(rows, wrong)
    return {
        "bound": round(float(np.quantile(chance[publishable], 1 - LOST_IN_FITTING)), 3),
        "worth_telling": 0.15,
        **weights,
    }


def cross_fitted(rows: Sequence[Labelled], wrong: NDArray[np.bool_], groups: NDArray[np.str_]) -> NDArray[np.float64]:
    """(n,) probabilities from weights fitted on the other products."""
    from sklearn.model_selection import GroupKFold

    chance = np.empty(len(rows))
    for fit, test in GroupKFold(FOLDS).split(rows, groups=groups):
        judge = _judging(_fit([rows[place] for place in fit], wrong[fit]))
        chance[test] = [judge(rows[place]) for place in test]
    return chance


def _judging(weights: dict) -> Callable[[Labelled], float]:
    def judge(row: Labelled) -> float:
        about = row["facts"]["type"]
        logit = weights["intercept"]
        for name, value in sense.measures(row["text"], about).items():
            mean, scale, weight = weights["measures"][name]
            logit += weight * (value - mean) / scale
        found = set(sense.phrases(row["text"], about))
        logit += sum(weights["phrases"].get(phrase, 0.0) for phrase in found) / max(len(found), 1) ** 0.5
        return float(1 / (1 + np.exp(-logit)))

    return judge


def _fit(rows: Sequence[Labelled], wrong: NDArray[np.bool_]) -> dict:
    """A logistic regression on measures and phrases, as many wrong as other texts by weight."""
    from sklearn.linear_model import LogisticRegression

    measured = [sense.measures(row["text"], row["facts"]["type"]) for row in rows]
    names = list(measured[0])
    values = np.array([[each[name] for name in names] for each in measured])
    mean, scale = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6)
    found = [sorted(set(sense.phrases(row["text"], row["facts"]["type"]))) for row in rows]
    column = {phrase: place for place, phrase in enumerate(sorted({phrase for each in found for phrase in each}))}
    spoken = np.zeros((len(rows), len(column)))
    for place, each in enumerate(found):
        spoken[place, [column[phrase] for phrase in each]] = 1 / max(len(each), 1) ** 0.5
    design = np.hstack([MEASURES_BY * (values - mean) / scale, PHRASES_BY * spoken])
    importance = [BLAND if row["lever"] == STAND_IN else WEIGHT[row["label"]] for row in rows]
    model = LogisticRegression(C=3.0, class_weight="balanced", max_iter=5_000).fit(design, wrong, importance)
    of_measures, of_phrases = np.split(model.coef_[0], [len(names)])
    return {
        "intercept": round(float(model.intercept_[0]), 4),
        "measures": {
            name: [
                round(float(mean[at]), 4),
                round(float(scale[at]), 4),
                round(float(MEASURES_BY * of_measures[at]), 4),
            ]
            for at, name in enumerate(names)
        },
        "phrases": {
            phrase: round(float(PHRASES_BY * of_phrases[at]), 3)
            for phrase, at in column.items()
            if abs(PHRASES_BY * of_phrases[at]) >= 0.05
        },
    }


if __name__ == "__main__":
    main()
