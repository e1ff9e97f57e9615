"""Winners that later prompts show as examples.

Here: which variants have won, by how much that can be relied on.
Not here: how a prompt shows them (loops.recipes) and who is shown which (policy).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl

PER_RECIPE = 2
CONFIDENCE = 1.2816  # one-sided 90 %: a shot in a prompt is cheap to be wrong about


@dataclass(frozen=True)
class Exemplar:
    """A variant that did better than its subject's original: `lift` is the lower bound of its log ratio."""

    variant_id: str
    subject_id: str
    text: str
    lift: float


def winners(evidence: "pl.DataFrame", effect_sd: float, per_recipe: int = PER_RECIPE) -> dict[str, list[Exemplar]]:
    """The best variants of each recipe, best first, of different subjects; `per_recipe` + 1 so that one can be spared.

    `evidence` has the columns of `flywheel.evidence`, turns pooled here. A variant wins when the lower bound of its
    posterior log lift is above zero: a normal prior of mean 0 and sd `effect_sd`, and the delta-method variance of a
    log ratio of two rates with half a reward added to each (Agresti 2013, section 3.1.1).
    """
    import polars as pl

    if evidence.is_empty():
        return {}
    totals = evidence.group_by("subject_id", "variant_id", "is_control").agg(
        pl.col("recipe_id", "text").drop_nulls().first(), pl.col("units", "reward").sum()
    )
    control = totals.filter("is_control").select("subject_id", control_units="units", control_reward="reward")
    rows = (
        totals.filter(~pl.col("is_control") & pl.col("recipe_id").is_not_null() & (pl.col("units") > 0))
        .join(control.filter(pl.col("control_units") > 0), on="subject_id")
        .sort("subject_id", "variant_id")
    )
    if rows.is_empty():
        return {}
    reward, units, control_reward, control_units = (
        rows[name].to_numpy().astype(float) for name in ("reward", "units", "control_reward", "control_units")
    )
    lift = np.log((reward + 0.5) / (units + 0.5)) - np.log((control_reward + 0.5) / (control_units + 0.5))
    variance = 1 / (reward + 0.5) + 1 / (control_reward + 0.5)
    kept = effect_sd**2 / (effect_sd**2 + variance)
    low = kept * lift - CONFIDENCE * np.sqrt(kept * variance)
    best = (
        rows.with_columns(lift=pl.Series(low))
        .filter(pl.col("lift") > 0)
        .sort("lift", "variant_id", descending=[True, False])
        .unique(["recipe_id", "subject_id"], keep="first", maintain_order=True)
        .group_by("recipe_id", maintain_order=True)
        .head(per_recipe + 1)
    )
    found: dict[str, list[Exemplar]] = {}
    for row in best.to_dicts():
        found.setdefault(row["recipe_id"], []).append(
            Exemplar(row["variant_id"], row["subject_id"], row["text"], round(row["lift"], 6))
        )
    return found


def shown_to(
    subject_id: str, of_recipe: Sequence[Exemplar], same_facts: Mapping[str, str], per_recipe: int = PER_RECIPE
) -> list[Exemplar]:
    """The exemplars that a subject's prompt may show: never one that it would be judged with.

    `same_facts` maps a subject to a label shared by the subjects that describe the same thing; none of those counts
    as another subject.
    """
    mine = same_facts.get(subject_id, subject_id)
    others = [one for one in of_recipe if same_facts.get(one.subject_id, one.subject_id) != mine]
    return others[:per_recipe]
