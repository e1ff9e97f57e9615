"""Experiment tracking: prompts, runs, and the registered policies with their aliases, in MLflow.

Here: every call to MLflow.
Not here: how a policy is fitted (learning) and when it is promoted (graph.assets.promotion).
"""

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.environment import MLFLOW, shed
from orchestration.loops.recipes import Recipe
from orchestration.registry.moved import ARTIFACTS, bring_up_to_date
from orchestration.registry.traces import Conversation, write_traces

if TYPE_CHECKING:
    import polars as pl
    from mlflow import MlflowClient
    from mlflow.data.dataset import Dataset

log = logging.getLogger(__name__)

CHAMPION, CHALLENGER = "champion", "challenger"
DATABASE = "mlflow.db"
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_SCHEMA_ROWS = 500


@dataclass(frozen=True)
class RegisteredPolicy:
    """One version of a loop's policy as the registry holds it; `policy` is its JSON."""

    version: str
    run_id: str
    policy: str


@dataclass(frozen=True)
class Training:
    """What a run records beside the policy itself."""

    turn: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    prompts: Mapping[str, int]
    tags: Mapping[str, str] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)  # file name -> text, such as a model card


@dataclass(frozen=True)
class Tracking:
    """MLflow in a SQLite file under `folder`; its artifacts lie beside it."""

    folder: Path
    ui: str
    traces_calls: bool = True

    @cached_property
    def client(self) -> "MlflowClient":
        """A client of a database that is complete: created once, under a lock, since a race breaks a fresh one.

        Raises RegistryError, naming the remedy, when the database is damaged.
        """
        shed(*MLFLOW)
        os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        import mlflow

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.folder / ".mlflow.lock"):
            # First, since MLflow would try to open a damaged file again and again, for hours.
            bring_up_to_date(self.folder / DATABASE, self.folder)
            mlflow.set_tracking_uri(self._uri)
            mlflow.set_registry_uri(self._uri)
            client = mlflow.MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
            client.search_experiments(max_results=1)
        return client

    def prompt_versions(self, recipes: Sequence[Recipe]) -> dict[str, int]:
        """Version of each recipe's prompt in the registry; a template that changed becomes a new version."""
        import mlflow

        client = self.client
        versions: dict[str, int] = {}
        for recipe in recipes:
            if recipe.prompt_name in versions:
                continue
            latest = mlflow.genai.load_prompt(f"prompts:/{recipe.prompt_name}@latest", allow_missing=True)
            if latest is None or _canonical(latest.template) != _canonical(recipe.prompt):
                latest = client.register_prompt(
                    recipe.prompt_name,
                    template=recipe.prompt,
                    commit_message=f"{recipe.format}, {recipe.style}",
                    tags={"format": recipe.format, "style": recipe.style},
                )
            versions[recipe.prompt_name] = int(latest.version)
        return versions

    def champion(self, loop: str) -> RegisteredPolicy | None:
        """The policy that bears the alias `champion`, or None before the first one."""
        from mlflow.exceptions import MlflowException

        try:
            version = self.client.get_model_version_by_alias(model_name(loop), CHAMPION)
        except MlflowException as error:
            if error.error_code in _NOT_THERE:
                return None
            raise
        return self._registered(loop, version)

    def version(self, loop: str, version: str) -> RegisteredPolicy:
        """The policy of that version. Raises LookupError, naming the remedy, when the registry has none."""
        from mlflow.exceptions import MlflowException

        try:
            return self._registered(loop, self.client.get_model_version(model_name(loop), version))
        except MlflowException as error:
            if error.error_code not in _NOT_THERE:
                raise
            raise LookupError(
                f"{model_name(loop)}/{version} is neither in the warehouse nor in MLflow: `flywheel status` lists the "
                f"policies there are, and `flywheel rollback {loop} --to VERSION` puts another one in force."
            ) from error

    def register(
        self, loop: str, policy: str, training: Training, evidence: "pl.DataFrame | None", *, newest: int = 0
    ) -> RegisteredPolicy:
        """Log one training run with all it saw, and register its policy as the newest version, the challenger.

        The same training of the same turn is registered once: learning again, after a crash too, finds its version.
        `newest` is the highest number that the warehouse knows: no version gets a number that another one has had, not
        even when MLflow has lost its models and would count from 1.
        """
        import mlflow

        from orchestration.registry import policy_model

        client = self.client
        identity = _identity(policy, training)
        known = self._trained_before(loop, training.turn, identity)
        if known:
            client.set_registered_model_alias(model_name(loop), CHALLENGER, known.version)
            return RegisteredPolicy(str(known.version), known.run_id, policy)
        experiment = self._experiment(loop)
        with mlflow.start_run(experiment_id=experiment, run_name=f"{loop} {training.turn}") as run:
            mlflow.log_params(dict(training.parameters))
            mlflow.log_metrics(dict(training.metrics))
            mlflow.set_tags(
                {"loop": loop, "turn": training.turn, "prompts": json.dumps(training.prompts), **training.tags}
            )
            if evidence is not None and not evidence.is_empty():
                dataset = _dataset_of(evidence, training.turn)
                mlflow.log_input(dataset, context="training")
            for name, text in training.documents.items():
                mlflow.log_text(text, name)
            model_uri, model_id = policy_model.log(policy, dict(training.prompts))
        if not client.search_registered_models(f"name = '{model_name(loop)}'", max_results=1):
            client.create_registered_model(model_name(loop), description=f"Policy of the loop {loop}.")
        while True:
            version = client.create_model_version(
                model_name(loop),
                model_uri,
                run.info.run_id,
                tags={"turn": training.turn, "training": identity},
                model_id=model_id,
            )
            if int(version.version) > newest:
                break
            client.delete_model_version(model_name(loop), version.version)
        client.set_registered_model_alias(model_name(loop), CHALLENGER, version.version)
        return RegisteredPolicy(str(version.version), run.info.run_id, policy)

    def set_champion(self, loop: str, version: str) -> bool:
        """Let the alias `champion` point to `version`; whether MLflow still has that version."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.set_registered_model_alias(model_name(loop), CHAMPION, version)
        except MlflowException as error:
            if error.error_code in _NOT_THERE:
                return False
            raise
        return True

    def champion_alias(self, loop: str) -> str | None:
        """The version that bears the alias `champion`; None without one."""
        from mlflow.exceptions import MlflowException

        try:
            return str(self.client.get_model_version_by_alias(model_name(loop), CHAMPION).version)
        except MlflowException as error:
            if error.error_code in _NOT_THERE:
                return None
            raise

    def trace(self, loop: str, turn: str, conversations: Sequence[Conversation]) -> int:
        """Write the calls of a turn as traces, unless that is switched off; how many there were. Never raises."""
        if not self.traces_calls or not conversations:
            return 0
        try:
            experiment = self._experiment(loop)
        except Exception as problem:
            log.warning("The calls of %s of %s are not traced to MLflow: %s", turn, loop, problem)
            return 0
        return write_traces(self._uri, experiment, loop, turn, conversations)

    def run_url(self, loop: str, run_id: str) -> str:
        """Address of a run in the MLflow UI."""
        return f"{self.ui}/#/experiments/{self._experiment(loop)}/runs/{run_id}"

    def _registered(self, loop: str, version: Any) -> RegisteredPolicy:
        from mlflow.exceptions import MlflowException

        from orchestration.registry import policy_model

        try:
            policy = policy_model.read(version.run_id)
        except (MlflowException, OSError) as error:
            raise LookupError(
                f"MLflow has {model_name(loop)}/{version.version}, but not its artifact {policy_model.POLICY_FILE}, "
                f"and the warehouse does not know the policy: bring {ARTIFACTS}/ back from a backup, or put another "
                f"version in force with `flywheel rollback {loop} --to VERSION`."
            ) from error
        return RegisteredPolicy(str(version.version), version.run_id, policy)

    def _trained_before(self, loop: str, turn: str, identity: str) -> Any:
        wanted = f"name = '{model_name(loop)}' and tags.turn = '{turn}' and tags.training = '{identity}'"
        found = self.client.search_model_versions(wanted, max_results=1)
        return found[0] if found else None

    def _experiment(self, loop: str) -> str:
        name = f"flywheel-{loop}"
        known = self.client.get_experiment_by_name(name)
        if known is not None:
            if known.lifecycle_stage == "deleted":  # by hand, in MLflow's pages: what a turn needs is brought back
                self.client.restore_experiment(known.experiment_id)
            return known.experiment_id
        return self.client.create_experiment(name, artifact_location=(self.folder / ARTIFACTS / loop).as_uri())

    @property
    def _uri(self) -> str:
        return f"sqlite:///{self.folder / DATABASE}"


class TrackingResource(dg.ConfigurableResource):
    """MLflow under the flywheel's home."""

    folder: str
    ui: str
    traces_calls: bool = True

    def create_resource(self, context: dg.InitResourceContext) -> Tracking:  # noqa: ARG002
        return Tracking(Path(self.folder), self.ui, self.traces_calls)


def _dataset_of(evidence: "pl.DataFrame", turn: str) -> "Dataset":
    """What a policy was trained on, as MLflow shows it: digest of all rows, schema of the first.

    A whole frame would be looked at value by value for its schema, which makes each turn dearer than the last. How
    many rows there are stands among the parameters of the run.
    """
    import mlflow.data.pandas_dataset
    import polars as pl
    import polars.selectors as cs
    from mlflow.data.meta_dataset import MetaDataset

    seen = evidence.head(_SCHEMA_ROWS).with_columns(cs.integer().cast(pl.Float64)).to_pandas()
    digest = hashlib.sha256(evidence.write_csv().encode()).hexdigest()[:8]
    first = mlflow.data.pandas_dataset.from_pandas(seen, digest=digest)
    return MetaDataset(first.source, name=f"evidence-{turn}", digest=digest, schema=first.schema)  # type: ignore[abstract]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def model_name(loop: str) -> str:
    """Name of the loop's registered model."""
    return f"{loop}-policy"


def _identity(policy: str, training: Training) -> str:
    """Content hash of a training: the policy, and what it was made from."""
    made_from = json.dumps([dict(training.parameters), dict(training.prompts)], sort_keys=True)
    return hashlib.sha256(f"{policy}\x1f{made_from}".encode()).hexdigest()[:20]


def _canonical(template: Any) -> str:
    return json.dumps(template, sort_keys=True)
