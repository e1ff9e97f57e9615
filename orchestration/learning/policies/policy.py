"""What a loop has learned, as one value: which recipe, what a text is worth, what to show as an example.

Here: the parts of a policy held together, written and read as JSON.
Not here: fitting any part (recipe_policy, reward_model, exemplars) and keeping versions (registry.tracking).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from orchestration.learning.policies.choice import ChoicePolicy
from orchestration.learning.policies.contextual import ContextualPolicy
from orchestration.learning.policies.exemplars import Exemplar
from orchestration.learning.policies.prices import PricePolicy
from orchestration.learning.policies.recipe_policy import RecipePolicy, initial_policy
from orchestration.learning.policies.variant_prior import VariantPrior
from orchestration.learning.texts.reward_model import RewardModel


@dataclass(frozen=True)
class Policy:
    """What chooses, a reward model of texts, the winners of each recipe, and what predictions are worth."""

    choice: ChoicePolicy
    reward_model: RewardModel = RewardModel()
    exemplars: Mapping[str, Sequence[Exemplar]] = field(default_factory=dict)
    variant_prior: VariantPrior = VariantPrior()

    @classmethod
    def first(cls, by_format: Mapping[str, Sequence[str]]) -> "Policy":
        """The policy before any evidence: every recipe of a format equally likely, nothing known of texts."""
        return cls(initial_policy([recipe for of in by_format.values() for recipe in of], by_format))

    def covering(self, by_format: Mapping[str, Sequence[str]]) -> "Policy":
        """This policy for the recipes there are now; a policy that learns of parts needs no telling."""
        if not isinstance(self.choice, RecipePolicy):
            return self
        return replace(self, choice=self.choice.covering(by_format))

    def to_json(self) -> str:
        return json.dumps(
            {
                "recipes": json.loads(self.choice.to_json()),
                "reward_model": json.loads(self.reward_model.to_json()),
                "exemplars": {recipe: [asdict(one) for one in of] for recipe, of in self.exemplars.items()},
                "variant_prior": json.loads(self.variant_prior.to_json()),
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> "Policy":
        values = json.loads(text)
        return cls(
            _choice(json.dumps(values["recipes"]), values["recipes"].get("kind")),
            RewardModel.from_json(json.dumps(values["reward_model"])),
            {recipe: tuple(Exemplar(**one) for one in of) for recipe, of in values["exemplars"].items()},
            VariantPrior.from_json(json.dumps(values["variant_prior"])),
        )


def recipes_of(policy: Policy) -> RecipePolicy:
    """The beliefs about recipes that a policy chooses by. Raises TypeError where it chooses something else."""
    if not isinstance(policy.choice, RecipePolicy):
        raise TypeError(
            f"A {type(policy.choice).__name__} knows nothing of recipes: traffic is shared by those that do."
        )
    return policy.choice


_READ: Mapping[str, Callable[[str], ChoicePolicy]] = {
    "contextual": ContextualPolicy.from_json,
    "prices": PricePolicy.from_json,
}


def _choice(text: str, kind: str | None) -> ChoicePolicy:
    """What chooses, as its kind is read; beliefs about recipes name none."""
    if kind is None:
        return RecipePolicy.from_json(text)
    if kind not in _READ:
        raise ValueError(
            f"A policy of kind {kind!r} is not known here; known are {sorted(_READ)}: update this program."
        )
    return _READ[kind](text)
