"""What a reward model says about itself: what it saw, what it is worth on held-out subjects, where it is weak.

Here: the contents of the model card, as plain values, and as tables that people read.
Not here: the fit (reward_model) and where the card is kept (registry.tracking).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from orchestration.learning.texts.pairs import pairwise_accuracy


def accuracy_on(
    rows: np.ndarray, subject: np.ndarray, units: np.ndarray, rewards: np.ndarray, scores: np.ndarray
) -> dict[str, object]:
    """Pairwise accuracy of scores (n,) on the significant pairs among `rows` (a mask), with its interval."""
    return pairwise_accuracy(subject[rows], units[rows], rewards[rows], scores[rows]).as_dict()


def strongest(effects: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """Effect on the log rate of one standard deviation more of a surface feature, the ten strongest."""
    order = np.argsort(-np.abs(effects))[:10]
    return {names[index]: float(effects[index]) for index in order}


def weak_where(
    subject: np.ndarray,
    units: np.ndarray,
    rewards: np.ndarray,
    scores: np.ndarray,
    lengths: np.ndarray,
) -> dict[str, object]:
    """Accuracy where a reader would doubt it: subjects of short, middle and long texts, and those with few rewards."""
    count = np.maximum(np.bincount(subject), 1)
    length = (np.bincount(subject, lengths) / count)[subject]
    part = np.digitize(length, np.quantile(length, [1 / 3, 2 / 3]))
    earned = (np.bincount(subject, rewards) / count)[subject]
    parts = {
        "short texts": part == 0,
        "middle texts": part == 1,
        "long texts": part == 2,
        "few rewards": earned <= np.median(earned),
        "many rewards": earned > np.median(earned),
    }
    return {name: accuracy_on(rows, subject, units, rewards, scores) for name, rows in parts.items()}


def card_lines(card: Mapping[str, object]) -> list[str]:
    """The card as Markdown: a table of its figures, one of accuracies on pairs that were held out, one of effects."""
    figures = {name: value for name, value in card.items() if not isinstance(value, Mapping) and value is not None}
    parts: dict[str, Mapping[str, object]] = {}
    for name, value in card.items():
        if isinstance(value, Mapping):
            nested = all(isinstance(each, Mapping) for each in value.values()) and bool(value)
            parts |= {f"{_words(part)}": each for part, each in value.items()} if nested else {_words(name): value}
    accuracies = {name: values for name, values in parts.items() if "accuracy" in values}
    lines = _table(("figure", "value"), [(_words(name), _number(value)) for name, value in figures.items()])
    if accuracies:
        heads = list(next(iter(accuracies.values())))
        rows = [(name, *(_number(values.get(head)) for head in heads)) for name, values in accuracies.items()]
        lines += ["", "Which of two texts earns more, on texts that the model had not seen:", ""]
        lines += _table(("where", *map(_words, heads)), rows)
    for name, values in parts.items():
        if name not in accuracies and values:
            rows = [(_words(each), _number(value)) for each, value in values.items()]
            lines += ["", f"{name.capitalize()}:", "", *_table(("name", "value"), rows)]
    return lines


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines]


def _words(name: object) -> str:
    return str(name).replace("_", " ")


def _number(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return "" if value is None else str(value)
