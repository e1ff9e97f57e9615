"""What a loop's turns were truly worth, for the benchmark `shapes`: its rows, read beside the world's own truth.

Here: the true mean reward of what was released and of its holdout, and how prices moved.
Not here: the worlds (orchestration.worlds.simulated.shapes) and what is reported (shapes).
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl

from orchestration.worlds.simulated.shapes import CEILING, FLOOR, Shape

if TYPE_CHECKING:
    from orchestration.warehouse.protocol import Warehouse

RELEASED = """
    select r.turn, r.stratum, r.answer, s.facts, false as in_holdout, r.share, u.units * r.share as units
    from flywheel.releases as r
    join flywheel.subjects as s using (turn, loop, subject_id)
    join (select turn, subject_id, sum(units) as units from marts.variant_readouts where loop = $loop group by all) as u
        using (turn, subject_id)
    where r.loop = $loop
    union all
    select r.turn, r.stratum, r.answer, s.facts, true, 1.0, h.units
    from flywheel.releases as r
    join flywheel.subjects as s using (turn, loop, subject_id)
    join (select turn, subject_id, count(distinct unit_id) as units from flywheel.exposures
          where loop = $loop and in_holdout group by all) as h using (turn, subject_id)
    where r.loop = $loop and r.is_control
    order by all
"""
DECIDED = """
    select d.turn, d.stratum, d.answer, s.facts, d.in_holdout, 1.0 as share, m.units
    from flywheel.decisions as d
    join flywheel.subjects as s using (turn, loop, subject_id)
    join marts.decision_readouts as m using (turn, loop, decision_id)
    where d.loop = $loop and m.units > 0
    order by all
"""
PRICED = """
    select turn, subject_id, answer from flywheel.decisions
    where loop = $loop and delivered and not in_holdout order by subject_id, turn
"""


def true_sides(warehouse: "Warehouse", shape: Shape) -> Iterator[tuple[float, float]]:
    """For each turn, the true mean reward of what was released and that of the holdout.

    Both are means over strata with the weights of `momentum` (Mantel and Haenszel, 1959), n_treated n_holdout / n.
    Within a stratum every variant counts by its share, every decision that was met once.
    """
    named = {"loop": shape.loop.name}
    shared = warehouse.read(RELEASED, named)
    rows = warehouse.read(DECIDED, named) if shared.is_empty() else shared
    worth = [
        shape.worth(json.loads(answer), json.loads(facts)) for answer, facts in rows.select("answer", "facts").rows()
    ]
    sides = (
        rows.with_columns(earned=pl.col("units") * pl.Series(worth, dtype=pl.Float64))
        .group_by("turn", "stratum", "in_holdout")
        .agg(pl.col("units", "earned").sum())
        .with_columns(rate=pl.col("earned") / pl.col("units"))
    )
    both = sides.filter(~pl.col("in_holdout")).join(sides.filter("in_holdout"), on=["turn", "stratum"])
    weight = pl.col("units") * pl.col("units_right") / (pl.col("units") + pl.col("units_right"))
    means = (
        both.with_columns(weight=weight)
        .group_by("turn")
        .agg(
            treated=(pl.col("weight") * pl.col("rate")).sum() / pl.col("weight").sum(),
            held=(pl.col("weight") * pl.col("rate_right")).sum() / pl.col("weight").sum(),
        )
        .sort("turn")
    )
    yield from means.select("treated", "held").iter_rows()


def price_moves(warehouse: "Warehouse", shape: Shape) -> tuple[float, float]:
    """How far any price lay outside its bounds, and the largest relative move of a subject's price between turns."""
    price = pl.col("answer").str.json_path_match("$.price").cast(pl.Float64)
    rows = warehouse.read(PRICED, {"loop": shape.loop.name}).with_columns(price=price)
    before = pl.col("price").shift(1).over("subject_id", order_by="turn")
    found = rows.select(
        outside=pl.max_horizontal(FLOOR - pl.col("price"), pl.col("price") - CEILING, pl.lit(0.0)).max(),
        moved=(pl.col("price") / before - 1).abs().max(),
    )
    return float(found["outside"].item()), float(found["moved"].item() or 0.0)
