"""What a policy's choices cost: tokens, dollars, or anything that is known of each recipe on average.

Here: the expectation over what a policy chooses.
Not here: what each recipe costs (graph.assets.promotion) and the limit that is held against it (evidence).
"""

from collections.abc import Mapping, Sequence

from orchestration.learning.policies.choice import ChoicePolicy, Context


def expected_cost(
    policy: ChoicePolicy, contexts: Sequence[tuple[Context, float]], by_option: Mapping[str, float]
) -> float:
    """Cost of one brief that the policy chooses, averaged over `contexts`, each with its weight, such as its subjects.

    An option that nobody has used yet costs what options cost on average; nan when none was ever used.
    """
    if not by_option:
        return float("nan")
    usual = sum(by_option.values()) / len(by_option)
    total = weight = 0.0
    for context, subjects in contexts:
        for option, probability in policy.probabilities(context).items():
            total += subjects * probability * by_option.get(option, usual)
        weight += subjects
    return total / weight if weight else float("nan")
