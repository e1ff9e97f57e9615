"""What the turns so far have taught: a policy fitted on all their evidence, and registered.

Here: gathering the evidence, fitting, and one tracked run with all it saw.
Not here: the fits themselves (learning) and whether the result may take over (promotion).
"""

import json
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.graph.assets.learned_from import learned_from
from orchestration.graph.assets.plots import beliefs_plot
from orchestration.graph.assets.stage import key_of, turn_asset
from orchestration.graph.bound import BoundLoop
from orchestration.learning.policies.policy import Policy
from orchestration.learning.policies.summary import beliefs_table, metrics_of
from orchestration.learning.texts.reward_card import card_lines
from orchestration.loops.declaration import Loop
from orchestration.registry.champions import newest_version
from orchestration.registry.tracking import RegisteredPolicy, Tracking, Training
from orchestration.tables import TABLES
from orchestration.warehouse.protocol import Warehouse
from orchestration.warehouse.turn_tables import as_markdown

if TYPE_CHECKING:
    import polars as pl


def challenger_asset(bound: BoundLoop) -> dg.AssetsDefinition:
    """`L/challenger`: fitted on every turn up to this one, whatever was promoted in between."""
    loop = bound.loop

    @turn_asset(
        "challengers",
        bound.partitions,
        loop=loop,
        name="challenger",
        description="Beliefs, reward model and exemplars from all turns so far; a registered MLflow model.",
        kinds=("mlflow", "scikitlearn"),
        deps=[key_of("evidence", loop)],
    )
    def challenger(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        tracking: dg.ResourceParam[Tracking],
    ) -> Any:
        turn = context.partition_key
        learning = learned_from(bound, warehouse, turn)
        evidence = learning.read[loop.delivery.learns_from]
        if evidence["units"].sum() == 0:
            raise dg.Failure(
                f"No exposure of a variant of {loop.name} was logged up to turn {turn}: "
                "land events in landing/events/, then learn again.",
                allow_retries=False,
            )
        policy = loop.delivery.fitted(learning)
        trained_on = [str(day) for day in evidence["turn"].unique().sort()]
        training = Training(
            turn=turn,
            parameters={
                "turns": len(trained_on),
                "rows": evidence.height,
                "subjects": evidence["subject_id"].n_unique(),
                "reward": loop.reward.outcome,
                **loop.delivery.parameters(policy),
                "seed": bound.seed,
            },
            metrics=metrics_of(policy, evidence),
            prompts=tracking.prompt_versions(bound.recipes),
            tags={"dagster_run": context.run.run_id, "simulated": str(bool(evidence["simulated"].any())).lower()},
            documents={"model_card.md": model_card(policy, loop, trained_on, evidence)},
        )
        newest = newest_version(warehouse, loop.name)
        registered = tracking.register(loop.name, policy.to_json(), training, evidence, newest=newest)
        context.add_output_metadata(
            {
                "policy_version": registered.version,
                "mlflow_run": dg.UrlMetadataValue(tracking.run_url(loop.name, registered.run_id)),
                **shown_beliefs(policy),
                "model_card": dg.MarkdownMetadataValue(training.documents["model_card.md"]),
                **training.metrics,
            }
        )
        return challenger_rows(turn, loop.name, registered, trained_on, evidence.height)

    return challenger


def shown_beliefs(policy: Policy) -> dict[str, dg.MarkdownMetadataValue]:
    """Beliefs about options as metadata: a table and a plot; nothing where none are chosen."""
    beliefs = beliefs_table(policy)
    if beliefs.is_empty():
        return {}
    return {
        "recipes": dg.MarkdownMetadataValue(as_markdown(beliefs)),
        "beliefs": dg.MarkdownMetadataValue(beliefs_plot(beliefs)),
    }


def model_card(policy: Policy, loop: Loop, trained_on: list[str], evidence: "pl.DataFrame") -> str:
    """What the policy saw, what it is worth on subjects it has not seen, and where it is weak, as Markdown."""
    simulated = " (some of it from a **simulated audience**)" if evidence["simulated"].any() else ""
    return "\n".join(
        [
            f"# Policy of {loop.name} after {trained_on[-1]}",
            f"Learned to raise `{loop.reward.outcome}` from {evidence.height} variants and "
            f"{int(evidence['units'].sum()):,} units over {len(trained_on)} turns{simulated}.",
            "## Recipes",
            as_markdown(beliefs_table(policy)),
            "## Reward model of texts",
            "The prior of a fresh text, never the judge of a release.",
            "",
            *card_lines(policy.reward_model.card),
        ]
    )


def challenger_rows(
    turn: str, loop: str, registered: RegisteredPolicy, trained_on: list[str], rows: int
) -> "pl.DataFrame":
    """The turn's row of `flywheel.challengers`."""
    from datetime import date

    return TABLES["challengers"].frame(
        [
            {
                "turn": date.fromisoformat(turn),
                "loop": loop,
                "policy_version": registered.version,
                "mlflow_run_id": registered.run_id,
                "trained_on": json.dumps(trained_on),
                "rows": rows,
                "policy": registered.policy,
            }
        ]
    )
