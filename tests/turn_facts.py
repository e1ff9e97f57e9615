"""Facts of turns, written straight into a warehouse: what dbt's tests start from.

Here: releases, decisions, exposures, outcomes and results in a line each.
Not here: how the flywheel comes by them (tests of landing and of whole turns).
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

import polars as pl

from orchestration.graph.assets.facts import EXPOSURES, OUTCOMES
from orchestration.tables import TABLES
from orchestration.warehouse.dbt import Dbt, NodeResult
from orchestration.warehouse.duckdb_file import DuckDBWarehouse
from orchestration.warehouse.protocol import Query

TURN = "2026-01-05"
NEXT = "2026-01-12"
CLICK = ("click", 86_400, True, False, False)
PURCHASE = ("purchase", 7 * 86_400, False, False, True)
COMPLAINT = ("complaint", 7 * 86_400, False, True, False)


Definition = tuple[str, int, bool, bool, bool] | tuple[str, int, bool, bool, bool, float]


class TurnFacts:
    """A warehouse with the facts of some turns, and the KPIs that dbt makes of them."""

    def __init__(self, folder: Path, loop: str = "content") -> None:
        self.loop = loop
        self.warehouse = DuckDBWarehouse(folder / "warehouse.duckdb")
        self.dbt = Dbt(self.warehouse)
        self.pending: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.declare(CLICK, PURCHASE, COMPLAINT)

    def declare(self, *outcomes: Definition, loop: str | None = None) -> None:
        """Outcomes of a loop; one that is the reward has a weight of 1 unless another one is given at its end."""
        columns = ("outcome", "within_s", "is_reward", "is_guardrail", "has_value", "weight")
        rows = [
            {"loop": loop or self.loop, **dict(zip(columns, (*outcome, float(outcome[2])), strict=False))}
            for outcome in outcomes
        ]
        table = TABLES["outcome_definitions"]
        self.warehouse.replace(table, table.frame(rows), turn=TURN, loop=loop or self.loop)

    def release(self, subject: str, shares: dict[str, float], *, turn: str = TURN, **given: Any) -> None:
        """Variants of `subject` with their shares; the one named `original` is the control."""
        for variant, share in shares.items():
            control = variant == "original"
            self.insert(
                "releases",
                turn=turn,
                release_id=f"{subject} in {turn}",
                subject_id=subject,
                stratum=subject,
                variant_id=variant,
                is_control=control,
                recipe_id=None if control else f"recipe of {variant}",
                candidate_id=None if control else f"candidate of {variant}",
                share=share,
                **{"category": "toys", "format": "headline", "holdout": 0.1, **given},
            )

    def decide(self, decision: str, subject: str, option: str | None, *, turn: str = TURN, **given: Any) -> None:
        """A choice for `subject` within the pool `all`; without an option it is one of the holdout."""
        held = option is None
        self.insert(
            "decisions",
            turn=turn,
            decision_id=decision,
            subject_id=subject,
            option=option,
            recipe_id=option,
            candidate_id=None if held else f"candidate of {decision}",
            **{
                "variant_id": f"{option or 'original'} for {subject}",
                "stratum": "all",
                "category": "leads",
                "format": "mail",
                "propensity": 1.0 if held else 0.5,
                "is_control": held,
                "in_holdout": held,
                "delivered": not held,
                "holdout": 0.1,
                "decided_at": f"{turn} 06:00",
                "tried_at": None,
                **given,
            },
        )

    def meet(self, decision: str, subject: str, variant: str, at: str, *, turn: str = TURN, **given: Any) -> None:
        """An exposure of `subject` to what was decided for it."""
        self.expose(given.pop("unit", subject), subject, variant, at, turn=turn, release_id=decision, **given)

    def result(self, decision: str, subject: str, outcome: str, at: str, *, turn: str = TURN, **given: Any) -> None:
        """What the trial of a decision, or the making of its answer, showed."""
        self.insert(
            "results",
            turn=turn,
            decision_id=decision,
            subject_id=subject,
            outcome=outcome,
            recorded_at=at,
            **{"value": None, **given},
        )

    def event(self, name: str, unit: str, subject: str, at: str, *, turn: str = TURN, **given: Any) -> None:
        """What an application logged; `given` names the variant of an exposure."""
        self.insert(
            "events",
            turn=turn,
            event_type=name,
            subject_id=subject,
            unit_id=unit,
            occurred_at=at,
            **{
                "event_id": f"{self.loop} {name} {unit} {subject} {at}",
                "in_holdout": False,
                "simulated": False,
                **given,
            },
        )

    def gather(self, *turns: str) -> None:
        """Exposures and outcomes of `turns` from releases, decisions, events and results, as the stages do it."""
        self.flush()
        for turn in turns or (TURN,):
            self.warehouse.replace(TABLES["exposures"], Query(EXPOSURES, {"turn": turn}), turn=turn)
            self.warehouse.replace(TABLES["outcomes"], Query(OUTCOMES, {"turn": turn}), turn=turn)

    def expose(self, unit: str, subject: str, variant: str, at: str, *, turn: str = TURN, **given: Any) -> None:
        self.insert(
            "exposures",
            turn=turn,
            exposure_id=f"{unit} {subject} {variant} {at}",
            subject_id=subject,
            variant_id=variant,
            unit_id=unit,
            occurred_at=at,
            **{"segment": "new", "in_holdout": False, "simulated": False, **given},
        )

    def outcome(self, unit: str, subject: str, name: str, at: str, *, turn: str = TURN, **given: Any) -> None:
        self.insert(
            "outcomes",
            turn=turn,
            outcome=name,
            subject_id=subject,
            unit_id=unit,
            occurred_at=at,
            **{"outcome_id": f"{unit} {subject} {name} {at}", "simulated": False, **given},
        )

    def insert(self, table: str, **given: Any) -> None:
        """A row, written with all others before the next build."""
        self.pending[table].append({"loop": self.loop, **given})

    def append(self, table: str, rows: pl.DataFrame) -> None:
        """Many rows at once."""
        self.warehouse.append(TABLES[table], rows)

    def flush(self) -> None:
        for table, rows in self.pending.items():
            columns = {name: [row.get(name) for row in rows] for row in rows for name in row}
            self.append(table, pl.DataFrame(columns, strict=False))
        self.pending.clear()

    def build(self, *turns: str, **options: Any) -> list[NodeResult]:
        self.flush()
        return self.dbt.build(turns or (TURN,), **options)

    def mart(self, name: str, **where: Any) -> list[dict[str, Any]]:
        """Rows of a mart in a fixed order."""
        conditions = " and ".join(f"{column} = ${column}" for column in where) or "true"
        query = f"select * from marts.{name} where {conditions} order by all"
        return self.warehouse.read(query, where).to_dicts()

    def only(self, name: str, **where: Any) -> dict[str, Any]:
        (row,) = self.mart(name, **where)
        return row
