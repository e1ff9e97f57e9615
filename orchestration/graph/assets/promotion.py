"""Whether the challenger takes over: the decision, its record, and whom it is told to.

Here: deciding, and telling the registry and the next turn. Deciding on a past turn again, when events came late, writes
a record beside the earlier ones and changes nothing that took effect.
Not here: the conditions with their numbers (conditions), what a turn contributes to them (comparison), what a record
holds (registry.promotions).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.graph.assets.conditions import condition_checks, condition_results, conditions, harmed
from orchestration.graph.assets.figures import condition_figures, lift_figures, plotted
from orchestration.graph.assets.plots import momentum_plot
from orchestration.graph.assets.stage import MODEL_REGISTRY, POOL, handed_over, key_of, of_loop, turn_output
from orchestration.graph.bound import BoundLoop
from orchestration.learning.proof.cuped import Moments, stratified_difference
from orchestration.learning.proof.evidence import Decision, decide
from orchestration.registry.champions import champion_in_force, predecessor, rolled_back_to
from orchestration.registry.promotions import Records
from orchestration.registry.tracking import Tracking
from orchestration.warehouse.protocol import Warehouse

if TYPE_CHECKING:
    import polars as pl

MOMENTS = """
    select subject_id, is_control, units::double as units, y, yy, x, xx, xy from marts.pre_period_moments
    where loop = $loop and turn = $turn order by all
"""
DECIDED_SINCE = """
    select count(*) as records from flywheel.promotions
    where loop = $loop and turn > $turn and coalesce(took_effect, true)
"""
MOMENTUM = "select * from marts.momentum where loop = $loop and turn <= $turn order by turn"


def promotion_asset(bound: BoundLoop) -> dg.AssetsDefinition:
    """`L/promotion` and `L/promotion_conditions`; the registry hears of every decision, promoted or not."""
    loop = bound.loop
    kinds = ("mlflow", "duckdb")

    @dg.multi_asset(
        name=f"{loop.name}_promotion",
        partitions_def=bound.partitions,
        pool=POOL,
        ins={"challenger": of_loop(loop, "challenger")},
        check_specs=condition_checks(loop),
        deps=[
            key_of("comparisons", loop, "comparison"),
            dg.AssetKey("variant_readouts"),
            dg.AssetKey("variant_outcomes"),
            dg.AssetKey("decision_readouts"),
            dg.AssetKey("momentum"),
            dg.AssetKey("pre_period_moments"),
        ],
        outs={
            "promotion": turn_output(
                "promotions",
                loop=loop,
                name="promotion",
                description="The decision records: who was champion, who is now, and why; a late change is one more.",
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
        found = conditions(warehouse, tracking, bound, turn, champion, trained["policy"])
        decision = decide(found)
        if harm:
            held = (harm, *(one for one in found if one.name != harm.name))
            decision = Decision(False, f"Rolled back from {champion} to {before}. {harm.detail}", held)
        after = before if harm and before else trained["policy_version"] if decision.promoted else champion
        records = Records(warehouse, loop.name, turn)
        now = datetime.now(UTC).replace(tzinfo=None)
        rows, measured = records.with_record(
            promotion_row(turn, loop.name, champion, trained, after, decision, now),
            condition_rows(turn, loop.name, decision),
            now,
        )
        in_effect = [row for row in rows.to_dicts() if row["took_effect"]][-1:]
        newest = bool(in_effect) and not warehouse.read(DECIDED_SINCE, {"loop": loop.name, "turn": turn}).item()
        if newest:
            (obeyed,) = in_effect
            after = rolled_back_to(warehouse, loop.name, turn) or obeyed["champion_after"]
            tracking.set_champion(loop.name, after)
        said = told(rows.to_dicts())
        context.log.info(said)
        momentum = warehouse.read(MOMENTUM, {"loop": loop.name, "turn": turn})
        run_url = dg.UrlMetadataValue(tracking.run_url(loop.name, trained["mlflow_run_id"]))
        yield dg.Output(measured, "promotion_conditions")
        yield dg.Output(
            rows,
            "promotion",
            metadata={
                "promoted": decision.promoted,
                "champion": after,
                "records": rows.height,
                "decision": dg.MarkdownMetadataValue(decision.as_markdown()),
                "momentum": dg.MarkdownMetadataValue(momentum_plot(momentum)),
                **of_this_turn(momentum, turn),
                **condition_figures(decision.conditions),
                **adjusted_metadata(warehouse.read(MOMENTS, {"loop": loop.name, "turn": turn})),
                "mlflow_run": run_url,
            },
        )
        context.log_event(
            dg.AssetMaterialization(
                handed_over(loop.name),
                partition=turn,
                description=f"What turn {turn} of {loop.name} has shown, for the loops that it feeds.",
                tags={"dagster/data_version": f"{loop.name}/{turn}/{trained['policy_version']}"},
            )
        )
        if newest:
            context.log_event(
                dg.AssetMaterialization(
                    MODEL_REGISTRY,
                    description=said,
                    metadata={"loop": loop.name, "turn": turn, "champion": after, "mlflow_run": run_url},
                    tags={"dagster/data_version": f"{loop.name}-policy/{after}"},
                )
            )
        yield from condition_results(loop, decision.conditions)

    return promotion


def of_this_turn(momentum: "pl.DataFrame", turn: str) -> dict[str, float | int]:
    """The lift of the turn that is learned, of rows of `marts.momentum`; nothing where there is none."""
    rows = [row for row in momentum.to_dicts() if str(row["turn"]) == turn]
    return plotted(lift_figures(rows[0])) if rows else {}


def adjusted_metadata(moments: "pl.DataFrame") -> dict[str, str]:
    """What variants earned over the control in this turn, with what their units did before taken out."""
    sides: dict[str, dict[bool, Moments]] = {}
    for subject_id, is_control, *sums in moments.iter_rows():
        sides.setdefault(subject_id, {})[is_control] = Moments(*sums)
    strata = [(of[False], of[True]) for of in sides.values() if len(of) == 2]
    if not any(min(group.units for group in pair) >= 2 for pair in strata):
        return {}
    found = stratified_difference(strata)
    said = (
        f"{100 * found.relative:+.1f} % ({100 * found.relative_low:+.1f} to {100 * found.relative_high:+.1f}) over the "
        "control, within subjects; what units did in the four weeks before takes "
        f"{100 * (1 - found.variance_ratio):.1f} % of the variance away (CUPED)"
    )
    return {"variants_over_control": said}


def promotion_row(
    turn: str, loop: str, champion: str, trained: Mapping[str, Any], after: str, decision: Decision, now: datetime
) -> dict[str, Any]:
    """What the turn's record in `flywheel.promotions` says, less what tells one record from another."""
    return {
        "turn": date.fromisoformat(turn),
        "loop": loop,
        "champion_before": champion,
        "challenger": trained["policy_version"],
        "promoted": decision.promoted,
        "champion_after": after,
        "reason": decision.reason,
        "mlflow_run_id": trained["mlflow_run_id"],
        "decided_at": now,
    }


def condition_rows(turn: str, loop: str, decision: Decision) -> list[dict[str, Any]]:
    """The decision's rows of `flywheel.promotion_conditions`, less the number of their record."""
    day = date.fromisoformat(turn)
    return [{"turn": day, "loop": loop, **condition.as_row()} for condition in decision.conditions]


def told(records: Sequence[Mapping[str, Any]]) -> str:
    """The newest record in a sentence; where late events would now decide otherwise, that too."""
    newest = records[-1]
    if newest["took_effect"]:
        return str(newest["reason"])
    return f"What took effect stays. {newest['because'].capitalize()} would now decide: {newest['reason']}"
