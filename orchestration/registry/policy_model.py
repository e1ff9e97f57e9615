"""A policy as an MLflow model: what it answers when loaded with `mlflow.pyfunc.load_model`.

Here: the pyfunc class, its signature and its files. Imported inside functions only, since it needs MLflow.
Not here: what a policy is (learning.policies.policy) and runs, versions and aliases (registry.tracking).
"""

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc.model import PythonModel
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from orchestration.learning.policies.choice import Context
from orchestration.learning.policies.policy import Policy
from orchestration.learning.policies.recipe_policy import RecipePolicy

POLICY_FILE = "policy.json"
_CHANCES: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, "recipe_id"), ColSpec(DataType.double, "probability")]
_PLACE: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, "category"), ColSpec(DataType.string, "format")]
OF_RECIPES = ModelSignature(
    inputs=Schema(_PLACE),
    outputs=Schema(
        [*_PLACE, *_CHANCES, ColSpec(DataType.double, "expected_lift"), ColSpec(DataType.double, "lift_sd")]
    ),
)
_CONTEXT: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, "context")]
OF_DECISIONS = ModelSignature(
    inputs=Schema(_CONTEXT),
    outputs=Schema([*_CONTEXT, ColSpec(DataType.string, "option_id"), ColSpec(DataType.double, "probability")]),
)


class PolicyModel(PythonModel):
    """Where recipes are chosen, for each (category, format): every recipe's probability, and the lift expected of it
    (log ratio). Else for each context (JSON of learning.policies.choice.Context): every option's probability."""

    def load_context(self, context: Any) -> None:
        self.policy = Policy.from_json(Path(context.artifacts["policy"]).read_text())

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        choice = self.policy.choice
        if not isinstance(choice, RecipePolicy):
            chances = [
                (text, option, probability)
                for text in model_input["context"]
                for option, probability in choice.probabilities(Context.from_json(text)).items()
            ]
            return pd.DataFrame(chances, columns=_names(OF_DECISIONS))
        rows = []
        for category, form in zip(model_input["category"], model_input["format"], strict=True):
            for recipe_id, probability in choice.probabilities(Context(pool=category, format=form)).items():
                mean, sd = choice.expected(category, recipe_id)
                rows.append((category, form, recipe_id, probability, mean, sd))
        return pd.DataFrame(rows, columns=_names(OF_RECIPES))


def log(policy: str, prompts: dict[str, int]) -> tuple[str, str]:
    """Log `policy` (JSON) to the active run, as an artifact and as a model; the model's address and identity."""
    mlflow.log_text(policy, POLICY_FILE)
    choice = Policy.from_json(policy).choice
    of_recipes = isinstance(choice, RecipePolicy)
    formats = list(choice.by_format) if isinstance(choice, RecipePolicy) else []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / POLICY_FILE
        file.write_text(policy)
        logged = mlflow.pyfunc.log_model(
            name="policy",
            python_model=__file__,
            artifacts={"policy": str(file)},
            signature=OF_RECIPES if of_recipes else OF_DECISIONS,
            input_example=pd.DataFrame({"category": [""] * len(formats), "format": formats}) if formats else None,
            prompts=[f"prompts:/{name}/{number}" for name, number in prompts.items()],
            pip_requirements=[f"generative-growth-flywheel=={version('generative-growth-flywheel')}"],
        )
    return str(logged.model_uri), str(logged.model_id)


def read(run_id: str) -> str:
    """The policy's JSON, from the run that trained it."""
    return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{POLICY_FILE}"))


def _names(signature: ModelSignature) -> list[str]:
    return [column.name for column in signature.outputs.inputs]


mlflow.models.set_model(PolicyModel())  # MLflow keeps this file and runs it to load the model
