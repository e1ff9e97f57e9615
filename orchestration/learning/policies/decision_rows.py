"""Logged decisions as arrays: the one way in which every policy reads them.

Here: the frame's columns read once, distinct options and contexts as mappings, and what was chosen as indices.
Not here: what is learned from them (contextual, prices) and how they are judged (proof.decision_comparison).

A frame of decisions has one row for each logged decision: `turn` (date), `decision_id`, `subject_id`, `category` (the
pool), `context` (JSON of features), `options` (JSON of option_id: probability), `option_parts` (JSON of option_id:
parts), `option` (what was chosen; null in the holdout), `propensity`, `in_holdout`, `reward`, `units` (0 or 1: whether
the reward is known) and `fold`. A column `format`, where there is one, says which options compete.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from orchestration.learning.policies.choice import Context, Option, Value, values

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
HELD_OUT = -1


@dataclass(frozen=True, kw_only=True)
class DecisionRows:
    """Decisions as arrays over n rows, in the order of decision_id whatever the frame's order was.

    `features` of each row's subject; `catalogue` all options ever offered, sorted by name and parts; `offered` (n, w)
    the indices of those on offer, padded with -1, and `logged` (n, w) their probabilities; `chosen` (n,) an index into
    `catalogue`, -1 in the holdout.
    """

    pools: tuple[str, ...]
    features: tuple[Mapping[str, Value], ...]
    catalogue: tuple[Option, ...]
    offered: Ints
    logged: Floats
    formats: tuple[str, ...]
    chosen: Ints
    propensities: Floats
    rewards: Floats
    subjects: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rewards)

    def contexts(self) -> list[Context]:
        """The context of each row, with the options that were on offer; equal sets of options are one object."""
        sets: dict[bytes, tuple[Option, ...]] = {}
        contexts = []
        rows = zip(self.pools, self.formats, self.features, self.offered, strict=True)
        for pool, form, features, offered in rows:
            key = offered.tobytes()
            if key not in sets:
                sets[key] = tuple(self.catalogue[index] for index in offered if index >= 0)
            contexts.append(Context(pool=pool, format=form, features=features, options=sets[key]))
        return contexts


def read_decisions(decisions: pl.DataFrame) -> DecisionRows:
    """The rows whose reward is known. Raises ValueError when a chosen option was not on offer or has no parts."""
    known = decisions.filter(pl.col("units") > 0).sort("turn", "decision_id")
    contexts = {text: values(json.loads(text or "{}"), "context") for text in known["context"].unique()}
    place: dict[tuple[str, str], int] = {}
    catalogue: list[Option] = []
    named: dict[str, dict[str, int]] = {}  # the catalogue's index of each name, by the text of all parts
    for parts in known["option_parts"].unique(maintain_order=True):
        named[parts] = {}
        for name, of in json.loads(parts or "{}").items():
            key = (name, json.dumps(of, sort_keys=True))
            if key not in place:
                place[key] = len(catalogue)
                catalogue.append(Option(option_id=name, parts=of))
            named[parts][name] = place[key]
    # Names first, so that the catalogue does not depend on which decision was logged first.
    order = sorted(place, key=lambda key: key)
    moved = np.empty(len(catalogue) + 1, dtype=int)
    moved[[place[key] for key in order]] = np.arange(len(order))
    moved[-1] = -1
    offers = [json.loads(options or "{}") for options in known["options"].to_list()]
    width = max((len(chances) for chances in offers), default=0)
    offered = np.full((known.height, width), -1)
    logged = np.zeros((known.height, width))
    chosen = np.full(known.height, HELD_OUT)
    rows = known.select("option_parts", "option", "in_holdout").iter_rows()
    for row, (chances, (parts, option, held_out)) in enumerate(zip(offers, rows, strict=True)):
        index = named[parts]
        try:
            offered[row, : len(chances)] = [index[name] for name in chances]
        except KeyError as error:
            remedy = "write what it is made of in option_parts."
            raise ValueError(f"The option {error} has no parts: {remedy}") from None
        logged[row, : len(chances)] = list(chances.values())
        if held_out or option is None:
            continue
        if option not in chances:
            raise ValueError(f"The option {option!r} was chosen and not on offer ({sorted(chances)}): check the log.")
        chosen[row] = index[option]
    return DecisionRows(
        pools=tuple(pool or "" for pool in known["category"].to_list()),
        features=tuple(contexts[text] for text in known["context"].to_list()),
        catalogue=tuple(catalogue[place[key]] for key in order),
        formats=tuple(known["format"].fill_null("").to_list()) if "format" in known.columns else ("",) * known.height,
        offered=moved[offered],
        logged=logged,
        chosen=moved[chosen],
        propensities=known["propensity"].fill_null(1.0).to_numpy().astype(float),
        rewards=known["reward"].to_numpy().astype(float),
        subjects=tuple(known["subject_id"].to_list()),
    )
