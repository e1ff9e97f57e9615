"""Which share of a turn's refused events is too large for anything to be learned from the rest.

Here: the judgement, for each loop and type of event. Not here: why a row is refused (landing.rules), the gate (gates).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

EXPOSURE = "exposure"
MOST = 0.2
"""Largest share of a type's rows that may be refused."""
SOME = 5
"""Fewer refused rows than these are chance, as long as some of their type are accepted."""
NOTICEABLE = 1 / 200
"""Share of a loop's rows from which fewer than `SOME` count, where none of their type is accepted."""


def refused_too_often(counted: "pl.DataFrame") -> str | None:
    """Each loop and type of which too many events were refused, with the share, the main reason and a file; None where
    there is none.

    `counted` has the columns loop, event_type, reason, file and rows. Accepted rows have no reason; refused ones whose
    loop or type nobody knows have '' there, and are held against the outcomes: what they are is most likely one.
    """
    import polars as pl

    accepted = counted.filter(pl.col("reason").is_null())
    refused = counted.filter(pl.col("reason").is_not_null())
    said = []
    for (loop, event_type), of_type in refused.group_by("loop", "event_type", maintain_order=True):
        rows = int(of_type["rows"].sum())
        in_loop = accepted.filter((pl.col("loop") == loop) | pl.lit(loop == ""))
        alike = in_loop.filter(pl.col("event_type") == event_type if event_type else pl.col("event_type") != EXPOSURE)
        beside = int((alike if event_type else in_loop)["rows"].sum())
        of_loop, share = int(in_loop["rows"].sum()), rows / (rows + beside)
        nothing_left = alike.is_empty() and (rows >= SOME or rows >= NOTICEABLE * of_loop)
        if nothing_left or (rows >= SOME and share > MOST):
            main = of_type.sort("rows", "reason", descending=[True, False]).row(0, named=True)
            name = " ".join(part for part in (str(loop), str(event_type or "rows of no known event_type")) if part)
            said.append(
                f"{name}: {rows:,} of {rows + beside:,} rows refused ({share:.0%}), mostly {main['reason']}, "
                f"as in landing/{main['file']}"
            )
    return "; ".join(sorted(said)) or None
