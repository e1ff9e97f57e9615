"""Pictures for the Dagster UI, where people would rather look than read.

Here: figures as Markdown with the image in it.
Not here: the numbers that they show (dbt_project, learning).
"""

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

INK, ACCENT = "#333333", "#2f6f9f"
_MOST_TICKS = 10


def momentum_plot(momentum: "pl.DataFrame") -> str:
    """Lift over the holdout turn by turn with its 95 % interval; rows of `marts.momentum` of one loop, in order."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    known = momentum.drop_nulls("lift")
    figure = Figure(figsize=(7, 3))  # fixed margins: finding them costs more than all else of a turn's picture
    axes = figure.subplots(gridspec_kw={"left": 0.09, "right": 0.98, "top": 0.9, "bottom": 0.22})
    at = list(range(known.height))
    lift, low, high = (known[name].to_numpy() for name in ("lift", "lift_low", "lift_high"))
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.errorbar(at, lift, yerr=[lift - low, high - lift], fmt="o-", color=ACCENT, capsize=3)
    step = max(1, -(-len(at) // _MOST_TICKS))
    labels = [str(turn) for turn in known["turn"][::step]]
    axes.set_xticks(at[::step], labels, rotation=20 if len(labels) > 6 else 0, fontsize=8)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    audience = " (simulated audience)" if known["simulated"].any() else ""
    axes.set_title(f"Lift over the holdout, 95 % interval{audience}", fontsize=10)
    return as_markdown_image(figure, "lift over the holdout by turn")


def beliefs_plot(beliefs: "pl.DataFrame") -> str:
    """Expected log lift of each recipe with one standard deviation; columns recipe, log lift, sd."""
    from matplotlib.figure import Figure

    height = 0.6 + 0.3 * beliefs.height
    figure = Figure(figsize=(7, height))
    margins = {"left": 0.34, "right": 0.98, "top": 1 - 0.3 / height, "bottom": 0.3 / height}
    axes = figure.subplots(gridspec_kw=margins)
    at = list(range(beliefs.height))
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.errorbar(beliefs["log lift"].to_numpy(), at, xerr=beliefs["sd"].to_numpy(), fmt="o", color=ACCENT, capsize=3)
    axes.set_yticks(at, beliefs["recipe"].to_list())
    axes.invert_yaxis()
    axes.set_title("Expected log lift of a recipe over the control, one standard deviation", fontsize=10)
    return as_markdown_image(figure, "beliefs about recipes")


def as_markdown_image(figure: "Figure", alternative: str) -> str:
    """A figure as Markdown with the image in it."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return f"![{alternative}](data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()})"
