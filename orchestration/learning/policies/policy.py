"""What a loop has learned, as one value: which recipe, what a text is worth, what to show as an example.

Here: the parts of a policy held together, written and read as JSON.
Not here: fitting any part (recipe_policy, reward_model, exemplars) and keeping versions (registry.tracking).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from orchestration.learning.policies.exemplars import Exemplar
from orchestration.learning.policies.recipe_policy import RecipePolicy, initial_policy
from orchestration.learning.policies.variant_prior import VariantPrior
from orchestration.learning.texts.reward_model import RewardModel


@dataclass(frozen=True)
class Policy:
    """Beliefs about recipes, a reward model of texts, the winners of each recipe, and what predictions are worth."""

    recipes: RecipePolicy
    reward_model: RewardModel = RewardModel()
    exemplars: Mapping[str, Sequence[Exemplar]] = field(default_factory=dict)
    variant_prior: VariantPrior = VariantPrior()

    @classmethod
    def first(cls, by_format: Mapping[str, Sequence[str]]) -> "Policy":
        """The policy before any evidence: every recipe of a format equally likely, nothing known of texts."""
        return cls(initial_policy([recipe for of in by_format.values() for recipe in of], by_format))

    def covering(self, by_format: Mapping[str, Sequence[str]]) -> "Policy":
        """This policy for the recipes there are now."""
        return replace(self, recipes=self.recipes.covering(by_format))

    def to_json(self) -> str:
        return json.dumps(
            {
                "recipes": json.loads(self.recipes.to_json()),
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
            RecipePolicy.from_json(json.dumps(values["recipes"])),
            RewardModel.from_json(json.dumps(values["reward_model"])),
            {recipe: tuple(Exemplar(**one) for one in of) for recipe, of in values["exemplars"].items()},
            VariantPrior.from_json(json.dumps(values["variant_prior"])),
        )
