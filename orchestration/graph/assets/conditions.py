"""The conditions of a promotion with their numbers, gathered from the warehouse.

Here: which rows every condition is measured on, and the order in which they are held.
Not here: what a condition is (learning.proof.evidence), what makes a turn trustworthy (delivery), and what follows from
them (promotion).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.delivery.protocol import Frames
from orchestration.graph.assets.figures import measured
from orchestration.graph.assets.stage import named_in, read_all
from orchestration.graph.bound import BoundLoop
from orchestration.learning.policies.policy import Policy
from orchestration.learning.policies.recipe_costs import expected_cost
from orchestration.learning.proof.evidence import (
    Condition,
    better_than_champion,
    enough_overlap,
    guardrail_of_cost,
    guardrail_of_release,
    minimum_sample,
)
from orchestration.learning.proof.guardrails import worsening
from orchestration.learning.proof.paired_estimate import Increment, PairedEstimate, accumulate
from orchestration.learning.proof.power import units_to_see, units_to_see_amount
from orchestration.loops.declaration import Guardrail, Loop
from orchestration.registry.champions import policy_of
from orchestration.registry.tracking import Tracking
from orchestration.warehouse.protocol import Warehouse

if TYPE_CHECKING:
    import polars as pl

AGAINST_CHAMPION = """
    select * from flywheel.comparisons
    where loop = $loop and turn <= $turn and champion = $champion
    order by turn
"""
UNDER_CHAMPION = "select turn from flywheel.champions where loop = $loop and policy_version = $champion"
COSTS = """
    select coalesce(b.option_id, b.recipe_id) as option_id,
           avg(l.input_tokens + l.output_tokens) as tokens,
           avg(l.cost_usd) as usd,
           avg(case when v.decision is null then null when v.decision <> 'pass' then 1.0 else 0.0 end) as tone
    from flywheel.candidates as c
    join flywheel.briefs as b on b.turn = c.turn and b.loop = c.loop and b.brief_id = c.brief_id
    join flywheel.llm_calls as l on l.turn = c.turn and l.loop = c.loop and l.call_id = c.call_id
    left join flywheel.verdicts as v
        on v.turn = c.turn and v.loop = c.loop and v.candidate_id = c.candidate_id and v.guard = 'tone'
    where c.loop = $loop and c.turn <= $turn
    group by 1 order by 1
"""
SIZE = """
    select sum(abs(reward)) / nullif(sum(units), 0) as size from flywheel.evidence
    where loop = $loop and turn <= $turn and not is_control
"""
_UNTRUSTED = ("sample_ratio", "shared_subjects", "near_identical_texts")


def condition_checks(loop: Loop) -> list[dg.AssetCheckSpec]:
    """Every condition as a check of `L/promotion`. All block the promotion; one that says that the data cannot be
    trusted fails the run as well, since a person has to look."""
    said = {
        **loop.delivery.trust_checks(loop),
        **{
            f"guardrail_{guardrail.outcome}": f"What is released does not raise `{guardrail.outcome}` over the control."
            for guardrail in loop.guardrails
        },
        **{
            f"guardrail_{limit.name}": f"The challenger's briefs do not cost more {limit.name}." for limit in loop.costs
        },
        "effective_sample_size": "The champion's turns tried enough of what the challenger would choose to judge it.",
        "minimum_sample": "Enough units were compared to see the largest lift to be believed (FLYWHEEL_PLANNED_LIFT).",
        "lower_bound": "The challenger earns more than the champion, by a lower bound that is valid at every turn.",
    }
    key = dg.AssetKey([loop.name, "promotion"])
    return [dg.AssetCheckSpec(name, asset=key, description=text, blocking=True) for name, text in said.items()]


def condition_results(loop: Loop, conditions: Sequence[Condition]) -> list[dg.AssetCheckResult]:
    """The conditions as results of `condition_checks`."""
    return [
        dg.AssetCheckResult(
            check_name=condition.name,
            asset_key=[loop.name, "promotion"],
            passed=condition.passed,
            severity=dg.AssetCheckSeverity.ERROR if condition.name in _UNTRUSTED else dg.AssetCheckSeverity.WARN,
            description=condition.detail,
            metadata=measured(condition),
        )
        for condition in conditions
    ]


def conditions(
    warehouse: Warehouse, tracking: Tracking, bound: BoundLoop, turn: str, champion: str, challenger: str
) -> list[Condition]:
    """The conditions of a promotion, from those that say the data cannot be trusted to those of the effect.

    `champion` is a version, `challenger` the JSON of a policy.
    """
    loop = bound.loop
    named = {"loop": loop.name, "turn": turn}
    against = warehouse.read(AGAINST_CHAMPION, {**named, "champion": champion})
    estimate = accumulate([increment_of(row) for row in against.to_dicts()], planned=bound.planned_turns)
    read = read_all(warehouse, loop.delivery.condition_reads, **named)
    return [
        *loop.delivery.trusted(loop, read, bound.when(turn)),
        *(measured_guardrail(warehouse, loop, guardrail, turn) for guardrail in loop.guardrails),
        *cost_guardrails(warehouse, tracking, bound, read, turn, champion, bound.policy(challenger)),
        enough_overlap(estimate),
        minimum_sample(
            estimate,
            at_least=units_needed(loop, estimate, bound.planned_lift, warehouse.read(SIZE, named).item() or 0.0),
        ),
        better_than_champion(estimate),
    ]


def units_needed(loop: Loop, estimate: PairedEstimate, lift: float, size: float = 0.0) -> float:
    """Units that the largest lift to be believed takes: by the rate of a reward of 0 or 1, else by how gains vary.

    Where a reward takes off, what is earned and what is lost may cancel, and no share of nothing is a lift: it is then
    counted in the `size` of a unit's reward, up or down.
    """
    if loop.reward_is_rate:
        return units_to_see(estimate.champion, lift)
    variance = estimate.standard_error**2 * estimate.units if estimate.units else float("inf")
    mean = max(abs(estimate.champion), size) if loop.reward.less and estimate.units else estimate.champion
    return units_to_see_amount(variance, mean, lift)


def measured_guardrail(
    warehouse: Warehouse, loop: Loop, guardrail: Guardrail, turn: str, under: str | None = None
) -> Condition:
    """Whether what is released raises an unwanted outcome, over all turns or those under the champion `under`."""
    sql = loop.delivery.unwanted
    values = {"loop": loop.name, "turn": turn, "outcome": guardrail.outcome}
    rows = warehouse.read(sql, named_in(sql, values))
    if under is not None:
        produced = warehouse.read(UNDER_CHAMPION, {"loop": loop.name, "champion": under})["turn"].to_list()
        rows = rows.filter(rows["turn"].is_in(produced))
    measured = worsening(*unwanted(rows))
    return guardrail_of_release(guardrail.outcome, measured, no_worse_than=guardrail.margin)


def cost_guardrails(
    warehouse: Warehouse,
    tracking: Tracking,
    bound: BoundLoop,
    read: Frames,
    turn: str,
    champion: str,
    challenger: Policy,
) -> list[Condition]:
    """What a brief of the challenger is expected to cost against the champion's, where choices were made."""
    loop = bound.loop
    if not loop.costs:
        return []
    known = warehouse.read(COSTS, {"loop": loop.name, "turn": turn})
    places = loop.delivery.places(read)
    before = bound.policy(policy_of(warehouse, tracking, loop.name, champion).policy)
    found = []
    for limit in loop.costs:
        by_option = dict(known.select("option_id", limit.name).drop_nulls().iter_rows())
        ours, theirs = (expected_cost(policy.choice, places, by_option) for policy in (challenger, before))
        found.append(guardrail_of_cost(limit.name, ours, theirs, no_worse_than=limit.margin))
    return found


def harmed(warehouse: Warehouse, loop: Loop, turn: str, champion: str) -> Condition | None:
    """The guardrail that what this champion has released hurts, over the turns that it produced; None if none."""
    for guardrail in loop.guardrails:
        condition = measured_guardrail(warehouse, loop, guardrail, turn, under=champion)
        if condition.number > -float("inf") and not condition.passed:
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


def unwanted(rows: "pl.DataFrame") -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(events, units) of each turn for the treated and for the others."""
    rows = rows.fill_null(0.0)
    treated = list(zip(rows["treated"], rows["treated_units"], strict=True))
    return treated, list(zip(rows["control"], rows["control_units"], strict=True))
