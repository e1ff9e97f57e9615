"""The conditions of a promotion with their numbers, gathered from the warehouse.

Here: which rows every condition is measured on, and the order in which they are held.
Not here: what a condition is (learning.proof.evidence) and what follows from them (promotion).
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.graph.assets.evidence import SUBJECTS_SEEN
from orchestration.learning.policies.policy import Policy
from orchestration.learning.policies.recipe_costs import expected_cost
from orchestration.learning.proof.evidence import (
    Condition,
    better_than_champion,
    enough_overlap,
    few_near_identical_texts,
    guardrail_of_cost,
    guardrail_of_release,
    minimum_sample,
    no_shared_subjects,
    sample_ratio,
)
from orchestration.learning.proof.folds import on_both_sides, with_folds
from orchestration.learning.proof.guardrails import worsening
from orchestration.learning.proof.leakage import shared_subjects_or_near_identical_texts
from orchestration.learning.proof.paired_estimate import Increment, accumulate
from orchestration.learning.proof.power import units_to_see
from orchestration.learning.proof.sample_ratio import pooled_sample_ratio_p_value
from orchestration.learning.traffic.traffic_comparison import fresh_subjects
from orchestration.loops.declaration import Loop
from orchestration.registry.tracking import Tracking
from orchestration.settings import Settings
from orchestration.warehouse.duckdb_file import Warehouse

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
    order by subject_id
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
COSTS = """
    select c.recipe_id,
           avg(l.input_tokens + l.output_tokens) as tokens,
           avg(l.cost_usd) as usd,
           avg((v.decision <> 'pass')::integer) as tone
    from flywheel.candidates as c
    join flywheel.llm_calls as l using (turn, loop, call_id)
    left join flywheel.verdicts as v
        on v.turn = c.turn and v.loop = c.loop and v.candidate_id = c.candidate_id and v.guard = 'tone'
    where c.loop = $loop and c.turn <= $turn
    group by c.recipe_id order by c.recipe_id
"""
PLACES = """
    select category, format, count(*) as subjects from flywheel.subjects
    where loop = $loop and turn = $turn group by all order by all
"""
TEXTS = "select turn, subject_id, text from flywheel.evidence where loop = $loop and turn <= $turn order by all"
CONTROLS = """
    select turn, subject_id, text from flywheel.evidence
    where loop = $loop and turn <= $turn and is_control
"""
_UNTRUSTED = ("sample_ratio", "shared_subjects", "near_identical_texts")


def condition_checks(loop: Loop) -> list[dg.AssetCheckSpec]:
    """Every condition as a check of `L/promotion`. All block the promotion; one that says that the data cannot be
    trusted fails the run as well, since a person has to look."""
    said = {
        "sample_ratio": "Units met the variants in the shares that were released.",
        "shared_subjects": "No subject stands on both sides: what judged the challenger had not trained it.",
        **({"near_identical_texts": "Nor a text in other words."} if loop.subjects.variants else {}),
        **{
            f"guardrail_{one.outcome}": f"What is released does not raise `{one.outcome}` over the control."
            for one in loop.guardrails
        },
        **{f"guardrail_{one.name}": f"The challenger's briefs do not cost more {one.name}." for one in loop.costs},
        "effective_sample_size": "The champion's turns drew enough of what the challenger wants.",
        "minimum_sample": "As many units were compared as the largest lift to be believed takes.",
        "lower_bound": "The challenger is better than the champion, by a bound that holds at every look.",
    }
    key = dg.AssetKey([loop.name, "promotion"])
    return [dg.AssetCheckSpec(name, asset=key, description=text, blocking=True) for name, text in said.items()]


def condition_results(loop: Loop, conditions: Sequence[Condition]) -> list[dg.AssetCheckResult]:
    """The conditions as results of `condition_checks`."""
    return [
        dg.AssetCheckResult(
            check_name=one.name,
            asset_key=[loop.name, "promotion"],
            passed=one.passed,
            severity=dg.AssetCheckSeverity.ERROR if one.name in _UNTRUSTED else dg.AssetCheckSeverity.WARN,
            description=one.detail,
            metadata={"number": f"{one.number:.6g}", "needed": f"{one.comparison} {one.threshold:.6g}"},
        )
        for one in conditions
    ]


def conditions(
    warehouse: Warehouse, tracking: Tracking, loop: Loop, settings: Settings, turn: str, champion: str, challenger: str
) -> list[Condition]:
    """The conditions of a promotion, from those that say the data cannot be trusted to those of the effect.

    `champion` is a version, `challenger` the JSON of a policy.
    """
    named = {"loop": loop.name, "turn": turn}
    increments = [
        increment_of(row) for row in warehouse.read(AGAINST_CHAMPION, {**named, "champion": champion}).to_dicts()
    ]
    estimate = accumulate(increments, planned=settings.planned_turns)
    observed = warehouse.read(OBSERVED_SHARES, named)
    p_value = pooled_sample_ratio_p_value(list(zip(observed["units"], observed["shares"], strict=True)))
    return [
        sample_ratio(p_value),
        *leaks(warehouse, loop, turn),
        *(
            guardrail_of_release(
                guardrail.outcome,
                worsening(*unwanted(warehouse.read(UNWANTED, {**named, "outcome": guardrail.outcome}))),
                no_worse_than=guardrail.no_worse_than,
            )
            for guardrail in loop.guardrails
        ),
        *cost_guardrails(warehouse, tracking, loop, turn, champion, Policy.from_json(challenger)),
        enough_overlap(estimate),
        minimum_sample(estimate, at_least=units_to_see(estimate.champion, settings.planned_lift)),
        better_than_champion(estimate),
    ]


def leaks(warehouse: Warehouse, loop: Loop, turn: str) -> list[Condition]:
    """Whether what judged the challenger had been seen by it: subjects, and texts where the texts are what is judged.

    A recipe is meant to write alike for different products, so of a loop with recipes only originals are held
    against each other, word for word, between the folds.
    """
    named = {"loop": loop.name, "turn": turn}
    if not loop.subjects.variants:
        seen = warehouse.read(SUBJECTS_SEEN, named)
        shared = on_both_sides(with_folds(warehouse.read(CONTROLS, named), seen), seen, date.fromisoformat(turn))
        return [no_shared_subjects(len(shared), shared)]
    evidence = warehouse.read(TEXTS, named)
    judged = fresh_subjects(evidence, turn).select("subject_id", "text")
    trained = evidence.filter(evidence["turn"] < date.fromisoformat(turn)).unique(["subject_id", "text"])
    leak = shared_subjects_or_near_identical_texts(trained.to_dict(as_series=False), judged.to_dict(as_series=False))
    shared = sorted(set(trained["subject_id"]) & set(judged["subject_id"]))
    return [no_shared_subjects(leak.subjects, shared), few_near_identical_texts(leak.share)]


def cost_guardrails(
    warehouse: Warehouse, tracking: Tracking, loop: Loop, turn: str, champion: str, challenger: Policy
) -> list[Condition]:
    """What one brief of the challenger is expected to cost against the champion's, on this turn's subjects."""
    if not loop.costs:
        return []
    named = {"loop": loop.name, "turn": turn}
    known = warehouse.read(COSTS, named)
    subjects = warehouse.read(PLACES, named)
    before = Policy.from_json(tracking.version(loop.name, champion).policy).covering(challenger.recipes.by_format)
    found = []
    for limit in loop.costs:
        by_recipe = dict(known.select("recipe_id", limit.name).drop_nulls().iter_rows())
        ours, theirs = (expected_cost(policy.recipes, subjects, by_recipe) for policy in (challenger, before))
        found.append(guardrail_of_cost(limit.name, ours, theirs, no_worse_than=limit.no_worse_than))
    return found


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


def unwanted(rows: "pl.DataFrame") -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(events, units) of each turn for the variants and for the control."""
    rows = rows.fill_null(0.0)
    treated = list(zip(rows["treated"], rows["treated_units"], strict=True))
    return treated, list(zip(rows["control"], rows["control_units"], strict=True))
