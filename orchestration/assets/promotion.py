"""Whether the challenger takes over: every condition with its number, and the record of the decision.

Here: gathering the numbers, recording the decision, and telling the registry and the next turn.
Not here: what the conditions are (learning.evidence) and what a turn contributes to them (comparison).
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.assets.plots import momentum_plot
from orchestration.assets.stage import MODEL_REGISTRY, POOL, key_of, of_loop, turn_output
from orchestration.champions import champion_in_force, predecessor, rolled_back_to
from orchestration.learning.evidence import (
    Condition,
    Decision,
    better_than_champion,
    decide,
    enough_overlap,
    guardrail_of_release,
    no_shared_subjects,
    sample_ratio,
)
from orchestration.learning.guardrails import worsening
from orchestration.learning.leakage import shared_subjects_or_near_identical_texts
from orchestration.learning.paired_estimate import Increment, accumulate
from orchestration.learning.sample_ratio import pooled_sample_ratio_p_value
from orchestration.loops.declaration import Loop
from orchestration.resources.tracking import Tracking
from orchestration.resources.warehouse import Warehouse
from orchestration.tables import TABLES

if TYPE_CHECKING:
    import polars as pl

AGAINST_CHAMPION = """
    select * from flywheel.comparisons
    where loop = $loop and turn <= $turn and champion = $champion
    order by turn
"""
OBSERVED_SHARES = """
    select subject_id, list(units order by variant_id) as units, list(share order by variant_id) as shares
    from marts.variant_readouts where loop = $loop and turn = $turn and share > 0
    group by subject_id having sum(units) > 0 and count(*) > 1
"""
UNWANTED = """
    select turn, sum(converted) filter (where not is_control)::double as treated,
           sum(units) filter (where not is_control)::double as treated_units,
           sum(converted) filter (where is_control)::double as control,
           sum(units) filter (where is_control)::double as control_units
    from marts.variant_outcomes where loop = $loop and turn <= $turn and outcome = $outcome
    group by turn order by turn
"""
UNWANTED_UNDER_CHAMPION = f"""
    select * from ({UNWANTED})
    where turn in (select turn from flywheel.champions where loop = $loop and policy_version = $champion)
"""
MOMENTUM = "select * from marts.momentum where loop = $loop and turn <= $turn order by turn"
SPLIT = """
    select turn, subject_id, fold, text from flywheel.evidence
    where loop = $loop and turn <= $turn and is_control
"""


def promotion_asset(loop: Loop, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`L/promotion` and `L/promotion_conditions`; the registry hears of every decision, promoted or not."""
    kinds = ("mlflow", "duckdb")

    @dg.multi_asset(
        name=f"{loop.name}_promotion",
        partitions_def=partitions,
        pool=POOL,
        ins={"challenger": of_loop(loop, "challenger")},
        deps=[
            key_of("comparisons", loop, "comparison"),
            dg.AssetKey("variant_readouts"),
            dg.AssetKey("variant_outcomes"),
            dg.AssetKey("momentum"),
        ],
        outs={
            "promotion": turn_output(
                "promotions",
                loop=loop,
                name="promotion",
                description="The decision record: who was champion, who is now, and why.",
                kinds=kinds,
            ),
            "promotion_conditions": turn_output(
                "promotion_conditions",
                loop=loop,
                description="Every condition of the decision, with its number and its threshold.",
                kinds=kinds,
            ),
        },
    )
    def promotion(
        context: dg.AssetExecutionContext,
        challenger: Any,
        warehouse: dg.ResourceParam[Warehouse],
        tracking: dg.ResourceParam[Tracking],
    ) -> Any:
        turn = context.partition_key
        champion = champion_in_force(warehouse, loop.name, turn)
        (trained,) = challenger.to_dicts()
        before = predecessor(warehouse, loop.name, champion, turn)
        harm = harmed(warehouse, loop, turn, champion) if before else None
        if harm:
            decision = Decision(False, f"Rolled back from {champion} to {before}. {harm.detail}", (harm,))
        else:
            decision = decide(conditions(warehouse, loop, turn, champion))
        after = before if harm and before else trained["policy_version"] if decision.promoted else champion
        newest = warehouse.read(
            "select count(*) = 0 from flywheel.promotions where loop = ? and turn > ?", [loop.name, turn]
        ).item()
        if newest:
            tracking.set_champion(loop.name, rolled_back_to(warehouse, loop.name, turn) or after)
        context.log.info(decision.reason)
        run_url = dg.UrlMetadataValue(tracking.run_url(loop.name, trained["mlflow_run_id"]))
        yield dg.Output(
            promotion_rows(turn, loop.name, champion, trained, after, decision),
            "promotion",
            metadata={
                "promoted": decision.promoted,
                "champion": after,
                "decision": dg.MarkdownMetadataValue(decision.as_markdown()),
                "momentum": dg.MarkdownMetadataValue(
                    momentum_plot(warehouse.read(MOMENTUM, {"loop": loop.name, "turn": turn}))
                ),
                "mlflow_run": run_url,
            },
        )
        yield dg.Output(condition_rows(turn, loop.name, decision), "promotion_conditions")
        if newest:
            context.log_event(
                dg.AssetMaterialization(
                    MODEL_REGISTRY,
                    description=decision.reason,
                    metadata={"loop": loop.name, "turn": turn, "champion": after, "mlflow_run": run_url},
                    tags={"dagster/data_version": f"{loop.name}-policy/{after}"},
                )
            )

    return promotion


def conditions(warehouse: Warehouse, loop: Loop, turn: str, champion: str) -> list[Condition]:
    """The conditions of a promotion, from those that say the data cannot be trusted to those of the effect."""
    named = {"loop": loop.name, "turn": turn}
    increments = [
        increment_of(row) for row in warehouse.read(AGAINST_CHAMPION, {**named, "champion": champion}).to_dicts()
    ]
    estimate = accumulate(increments)
    observed = warehouse.read(OBSERVED_SHARES, named)
    p_value = pooled_sample_ratio_p_value(list(zip(observed["units"], observed["shares"], strict=True)))
    return [
        sample_ratio(p_value),
        no_shared_subjects(subjects_on_both_sides(warehouse.read(SPLIT, named), turn)),
        enough_overlap(estimate),
        *(
            guardrail_of_release(
                guardrail.outcome,
                worsening(*unwanted(warehouse.read(UNWANTED, {**named, "outcome": guardrail.outcome}))),
                no_worse_than=guardrail.no_worse_than,
            )
            for guardrail in loop.guardrails
        ),
        better_than_champion(estimate),
    ]


def harmed(warehouse: Warehouse, loop: Loop, turn: str, champion: str) -> Condition | None:
    """The guardrail that what this champion has released hurts, over the turns that it produced; None if none."""
    for guardrail in loop.guardrails:
        named = {"loop": loop.name, "turn": turn, "outcome": guardrail.outcome, "champion": champion}
        rows = warehouse.read(UNWANTED_UNDER_CHAMPION, named)
        condition = guardrail_of_release(
            guardrail.outcome, worsening(*unwanted(rows)), no_worse_than=guardrail.no_worse_than
        )
        if len(rows) and not condition.passed:
            return condition
    return None


def increment_of(row: Mapping[str, Any]) -> Increment:
    """A row of `flywheel.comparisons` as the increment that it keeps."""
    return Increment(
        turn=row["turn"],
        subjects=row["subjects"],
        weight=row["weight"],
        difference=row["difference"],
        squares=row["squares"],
        champion=row["champion_value"],
        drawn=row["drawn"],
        drawn_squares=row["drawn_squares"],
    )


def subjects_on_both_sides(controls: "pl.DataFrame", turn: str) -> int:
    """Subjects that trained the challenger which judged them, under their own name or under another's original.

    `controls` (turn, subject_id, fold, text): the control of every subject and turn. A fold's judge was trained on
    the earlier turns of all other folds.
    """
    import polars as pl

    today = date.fromisoformat(turn)
    shared = 0
    for (fold,), judged in controls.filter(pl.col("turn") == today).group_by("fold"):
        earlier = controls.filter(pl.col("turn") < today, pl.col("fold") != fold)
        trained = earlier.unique(["subject_id", "text"])  # the same in most turns: history would be compared anew
        leak = shared_subjects_or_near_identical_texts(
            trained.to_dict(as_series=False), judged.to_dict(as_series=False), 1.0
        )
        shared += leak.subjects + leak.equal
    return shared


def unwanted(rows: "pl.DataFrame") -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(events, units) of each turn for the variants and for the control."""
    rows = rows.fill_null(0.0)
    treated = list(zip(rows["treated"], rows["treated_units"], strict=True))
    return treated, list(zip(rows["control"], rows["control_units"], strict=True))


def promotion_rows(
    turn: str, loop: str, champion: str, trained: Mapping[str, Any], after: str, decision: Decision
) -> "pl.DataFrame":
    """The turn's row of `flywheel.promotions`."""
    return TABLES["promotions"].frame(
        [
            {
                "turn": date.fromisoformat(turn),
                "loop": loop,
                "champion_before": champion,
                "challenger": trained["policy_version"],
                "promoted": decision.promoted,
                "champion_after": after,
                "reason": decision.reason,
                "mlflow_run_id": trained["mlflow_run_id"],
                "decided_at": datetime.now(UTC).replace(tzinfo=None),
            }
        ]
    )


def condition_rows(turn: str, loop: str, decision: Decision) -> "pl.DataFrame":
    """The turn's rows of `flywheel.promotion_conditions`."""
    day = date.fromisoformat(turn)
    return TABLES["promotion_conditions"].frame(
        {"turn": day, "loop": loop, **condition.as_row()} for condition in decision.conditions
    )
