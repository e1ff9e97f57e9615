"""What is proven on shared traffic: recipes against recipes, shares against shares, and whether to trust the turn.

Here: handing a turn's rows to the comparisons, and the conditions of trust.
Not here: the comparisons themselves (learning.proof, learning.traffic).
"""

from datetime import date
from typing import TYPE_CHECKING

from orchestration.delivery.protocol import Compared, Frames, Learning, When
from orchestration.learning.policies.policy import Policy
from orchestration.learning.policies.training import fit_recipes
from orchestration.learning.proof.comparison import increment
from orchestration.learning.proof.evidence import Condition, few_near_identical_texts, no_shared_subjects, sample_ratio
from orchestration.learning.proof.folds import on_both_sides, with_folds
from orchestration.learning.proof.leakage import shared_subjects_or_near_identical_texts
from orchestration.learning.proof.sample_ratio import pooled_sample_ratio_p_value
from orchestration.learning.traffic.allocation import Allocation
from orchestration.learning.traffic.traffic_comparison import fresh_subjects, increment_of_traffic

if TYPE_CHECKING:
    from orchestration.loops.declaration import Loop


def compared_recipes(learning: Learning, champion: Policy, control_share: float) -> Compared | None:
    """Challenger minus champion on this turn's subjects, by challengers that never saw them."""
    found = increment(
        learning.read["evidence"],
        lambda rows: fit_recipes(rows, learning.by_format),
        champion.choice,
        learning.when.turn,
        briefs=learning.read["drawn"],
        control_share=control_share,
    )
    return Compared(increment=found) if found else None


def compared_shares(learning: Learning, champion: Policy, allocation: Allocation) -> Compared | None:
    """The last challenger's shares against the champion's, on subjects that neither has seen."""
    from orchestration.delivery.shared_traffic import with_turns_left

    before = learning.read["challenger_before"]
    if before.is_empty():
        return None
    fresh = fresh_subjects(learning.read["evidence"], learning.when.turn)
    lives = learning.loop.subjects.lives
    if lives.ends:
        subjects = with_turns_left(learning.read["subjects"], lives, learning.when)
        fresh = fresh.join(subjects.select("subject_id", "turns_left"), on="subject_id")
    challenger = Policy.from_json(before.item())
    found = increment_of_traffic(fresh, challenger, champion, learning.when.turn, allocation, learning.embed)
    return Compared(increment=found) if found else None


def trusted(loop: "Loop", read: Frames, when: When) -> list[Condition]:
    """Sample ratio, and whether what judged the challenger had been seen by it.

    A recipe is meant to write alike for different products, so where recipes are chosen only originals are held
    against each other, word for word, between the folds.
    """
    observed = list(zip(read["observed"]["units"], read["observed"]["shares"], strict=True))
    ratio = sample_ratio(pooled_sample_ratio_p_value(observed))
    day = date.fromisoformat(when.turn)
    if loop.generation.decides:
        shared = on_both_sides(with_folds(read["controls"], read["seen"]), read["seen"], day)
        return [ratio, no_shared_subjects(len(shared), shared)]
    texts = read["texts"]
    judged = fresh_subjects(texts, when.turn).select("subject_id", "text")
    trained = texts.filter(texts["turn"] < day).unique(["subject_id", "text"])
    leak = shared_subjects_or_near_identical_texts(trained.to_dict(as_series=False), judged.to_dict(as_series=False))
    shared = sorted(set(trained["subject_id"]) & set(judged["subject_id"]))
    return [ratio, no_shared_subjects(leak.subjects, shared), few_near_identical_texts(leak.share)]
