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
from mlflow.types import ColSpec, DataType, Schema

from orchestration.learning.policies.policy import Policy

POLICY_FILE = "policy.json"
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "category"), ColSpec(DataType.string, "format")]),
    outputs=Schema(
        [
            ColSpec(DataType.string, "category"),
            ColSpec(DataType.string, "format"),
            ColSpec(DataType.string, "recipe_id"),
            ColSpec(DataType.double, "probability"),
            ColSpec(DataType.double, "expected_lift"),
            ColSpec(DataType.double, "lift_sd"),
        ]
    ),
)


class PolicyModel(PythonModel):
    """For each (category, format): the probability of every recipe, and the lift expected of it (log ratio)."""

    def load_context(self, context: Any) -> None:
        self.policy = Policy.from_json(Path(context.artifacts["policy"]).read_text())

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002
        rows = []
        for category, form in zip(model_input["category"], model_input["format"], strict=True):
            for recipe_id, probability in self.policy.recipes.probabilities(category, form).items():
                mean, sd = self.policy.recipes.expected(category, recipe_id)
                rows.append((category, form, recipe_id, probability, mean, sd))
        return pd.DataFrame(rows, columns=[column.name for column in SIGNATURE.outputs.inputs])


def log(policy: str, prompts: dict[str, int]) -> tuple[str, str]:
    """Log `policy` (JSON) to the active run, as an artifact and as a model; the model's address and identity."""
    mlflow.log_text(policy, POLICY_FILE)
    formats = list(Policy.from_json(policy).recipes.by_format)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / POLICY_FILE
        file.write_text(policy)
        logged = mlflow.pyfunc.log_model(
            name="policy",
            python_model=__file__,
            artifacts={"policy": str(file)},
            signature=SIGNATURE,
            input_example=pd.DataFrame({"category": [""] * len(formats), "format": formats}) if formats else None,
            prompts=[f"prompts:/{name}/{number}" for name, number in prompts.items()],
            pip_requirements=[f"generative-growth-flywheel=={version('generative-growth-flywheel')}"],
        )
    return str(logged.model_uri), str(logged.model_id)


def read(run_id: str) -> str:
    """The policy's JSON, from the run that trained it."""
    return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{POLICY_FILE}"))


mlflow.models.set_model(PolicyModel())  # MLflow keeps this file and runs it to load the model
