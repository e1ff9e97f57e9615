"""Feeds: what one loop hands to another, as facts for turn t from turn t-1.

Here: the declaration of a hand-over, and the facts that come of it.
Not here: reading the other loop's rows (graph.assets.subjects) and which feeds are switched on (settings).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

Gather = Callable[["pl.DataFrame"], Mapping[str, str]]
"""From the evidence of the source's turn (columns of `flywheel.evidence`) to a fact for each pool."""
EVERY_POOL = "*"


@dataclass(frozen=True, kw_only=True)
class Feed:
    """The fact `fact` of a loop's subjects comes from the loop `source`: what `gather` finds in its turn t-1, by pool.

    A value under "*" is for every pool that has none of its own.
    """

    source: str
    fact: str
    gather: Gather = field(hash=False)

    def __post_init__(self) -> None:
        if not self.source or not self.fact.isidentifier():
            raise ValueError(
                f"A feed names a loop and a fact, such as `questions`; not {self.source!r}, {self.fact!r}."
            )


def with_fed_facts(subjects: "pl.DataFrame", fact: str, by_pool: Mapping[str, str]) -> "pl.DataFrame":
    """`subjects` (columns of `flywheel.subjects`) with `fact` among the facts, where its pool was handed something."""
    import polars as pl

    def fed(row: Mapping[str, str]) -> str:
        value = by_pool.get(row["category"], by_pool.get(EVERY_POOL))
        facts = json.loads(row["facts"])
        return json.dumps({**facts, fact: value}, ensure_ascii=False) if value else row["facts"]

    facts = pl.struct("category", "facts").map_elements(fed, return_dtype=pl.String)
    return subjects.with_columns(facts=facts)


def best_texts(evidence: "pl.DataFrame") -> dict[str, str]:
    """A ready `gather`: for each pool the text that earned most a unit, among those that at least thirty units met."""
    import polars as pl

    rates = (
        evidence.filter(~pl.col("is_control"), pl.col("units") >= 30)
        .with_columns(rate=pl.col("reward") / pl.col("units"))
        .sort("category", "rate", "variant_id", descending=[False, True, False])
        .unique("category", keep="first", maintain_order=True)
    )
    return dict(rates.select("category", "text").iter_rows())
