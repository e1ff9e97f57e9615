"""Figures of a turn as numeric metadata, which the Dagster UI plots over the turns.

Here: names with their units, and leaving out what is no finite number.
Not here: the figures themselves (dbt_project, learning) and pictures (plots).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestration.learning.proof.evidence import Condition
from orchestration.learning.proof.paired_estimate import PairedEstimate

if TYPE_CHECKING:
    import polars as pl

MOMENTUM_OF_A_TURN = "select * from marts.momentum where turn = $turn order by loop"
LOWER_BOUND = "lower bound of challenger minus champion (rewards per 1,000 units)"


def plotted(figures: Mapping[str, float | None]) -> dict[str, float | int]:
    """Those of `figures` that can be drawn: neither missing nor infinite."""
    known = {name: value for name, value in figures.items() if value is not None and math.isfinite(value)}
    return {name: round(value, 9) for name, value in known.items()}


def momentum_figures(rows: Iterable[Mapping[str, Any]]) -> dict[str, float | int]:
    """The lift over the holdout with its 95 % interval, each loop under its name; rows of `marts.momentum`."""
    return plotted({f"{row['loop']}: {name}": value for row in rows for name, value in lift_figures(row).items()})


def lift_figures(row: Mapping[str, Any]) -> dict[str, float | None]:
    """A row of `marts.momentum`: lift and interval in per cent, the difference in rewards per 1,000 units."""
    shares = {"lift (%)": "lift", "lift, lower bound (%)": "lift_low", "lift, upper bound (%)": "lift_high"}
    gains = {
        "difference (rewards per 1,000 units)": "difference",
        "difference, lower bound": "difference_low",
        "difference, upper bound": "difference_high",
    }
    return {
        **{name: _times(100, row[column]) for name, column in shares.items()},
        **{name: _times(1000, row[column]) for name, column in gains.items()},
        "units outside the holdout": row["treated_units"],
        "units in the holdout": row["holdout_units"],
    }


def condition_figures(conditions: Sequence[Condition]) -> dict[str, float | int]:
    """The number that each condition of a promotion was measured at."""
    return plotted({f"condition {condition.name}": condition.number for condition in conditions})


def comparison_figures(estimate: PairedEstimate) -> dict[str, float | int]:
    """What all turns against one champion prove together."""
    return plotted(
        {
            LOWER_BOUND: 1000 * estimate.low,
            "challenger minus champion (rewards per 1,000 units)": 1000 * estimate.value,
            "champion (rewards per 1,000 units)": 1000 * estimate.champion,
            "units compared": estimate.units,
            "subjects compared": estimate.subjects,
            "effective subjects": estimate.effective_sample_size,
        }
    )


def call_figures(calls: "pl.DataFrame") -> dict[str, float | int]:
    """Spend of the turn: what was asked now, without answers that were kept from before; rows of `llm_calls`."""
    asked = calls.filter(~calls["cache_hit"]).select("cost_usd", "input_tokens", "output_tokens").rows()
    return {
        "spend (US dollars)": sum((usd for usd, _, _ in asked), start=0.0),
        "spend (tokens)": sum(tokens_in + tokens_out for _, tokens_in, tokens_out in asked),
        "calls": len(asked),
    }


def measured(condition: Condition) -> dict[str, float | str]:
    """What a check page says of a condition: what was measured, and against which limit."""
    numbers = {"measured": condition.number, "limit": condition.threshold}
    limit = {">": "above", ">=": "at least", "<": "below", "<=": "at most"}[condition.comparison]
    return {
        **{name: value if math.isfinite(value) else f"{value:g}" for name, value in numbers.items()},
        "needed": f"{limit} {condition.threshold:.6g}",
    }


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value
