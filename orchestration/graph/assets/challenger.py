"""What the turns so far have taught: a policy fitted on all their evidence, and registered.

Here: gathering the evidence, fitting, and one tracked run with all it saw.
Not here: the fits themselves (learning) and whether the result may take over (promotion).
"""

import json
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.graph.assets.evidence import evidence_so_far
from orchestration.graph.assets.plots import beliefs_plot
from orchestration.graph.assets.stage import key_of, turn_asset
from orchestration.learning.policies.policy import Policy
from orchestration.learning.policies.training import fit_policy
from orchestration.loops.declaration import Loop
from orchestration.loops.recipes import recipes_by_format
from orchestration.model.text_embedding import embed_texts
from orchestration.registry.tracking import RegisteredPolicy, Tracking, Training
from orchestration.settings import Settings
from orchestration.tables import TABLES
from orchestration.warehouse.duckdb_file import Warehouse
from orchestration.warehouse.turn_tables import as_markdown

if TYPE_CHECKING:
    import polars as pl


def challenger_asset(loop: Loop, settings: Settings, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`L/challenger`: fitted on every turn up to this one, whatever was promoted in between."""
    recipes = loop.recipes.for_languages(settings.languages)
    by_format = recipes_by_format(recipes)

    @turn_asset(
        "challengers",
        partitions,
        loop=loop,
        name="challenger",
        description="Recipe beliefs, reward model and exemplars from all turns so far; a registered MLflow model.",
        kinds=("mlflow", "scikitlearn"),
        deps=[key_of("evidence", loop)],
    )
    def challenger(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        tracking: dg.ResourceParam[Tracking],
    ) -> Any:
        turn = context.partition_key
        evidence = evidence_so_far(warehouse, loop.name, turn)
        if evidence["units"].sum() == 0:
            raise dg.Failure(
                f"No unit met a variant of {loop.name} up to turn {turn}: "
                "land events in landing/events/, then learn again.",
                allow_retries=False,
            )
        policy = fit_policy(evidence, by_format, embed_texts)
        trained_on = [str(day) for day in evidence["turn"].unique().sort()]
        training = Training(
            turn=turn,
            parameters={
                "turns": len(trained_on),
                "rows": evidence.height,
                "subjects": evidence["subject_id"].n_unique(),
                "reward": loop.reward,
                "briefs_per_subject": loop.briefs_per_subject,
                "exploration": policy.recipes.exploration,
                "seed": settings.seed,
            },
            metrics=metrics_of(policy, evidence),
            prompts=tracking.prompt_versions(recipes),
            tags={"dagster_run": context.run.run_id, "simulated": str(bool(evidence["simulated"].any())).lower()},
            documents={"model_card.md": model_card(policy, loop, trained_on, evidence)},
        )
        registered = tracking.register(loop.name, policy.to_json(), training, evidence)
        context.add_output_metadata(
            {
                "policy_version": registered.version,
                "mlflow_run": dg.UrlMetadataValue(tracking.run_url(loop.name, registered.run_id)),
                **(shown_beliefs(policy) if by_format else {}),
                "model_card": dg.MarkdownMetadataValue(training.documents["model_card.md"]),
                **training.metrics,
            }
        )
        return challenger_rows(turn, loop.name, registered, trained_on, evidence.height)

    return challenger


def shown_beliefs(policy: Policy) -> dict[str, dg.MarkdownMetadataValue]:
    """Beliefs about recipes as metadata: a table and a plot."""
    beliefs = beliefs_table(policy)
    return {
        "recipes": dg.MarkdownMetadataValue(as_markdown(beliefs)),
        "beliefs": dg.MarkdownMetadataValue(beliefs_plot(beliefs)),
    }


def metrics_of(policy: Policy, evidence: "pl.DataFrame") -> dict[str, float]:
    """Numbers of a training run, as MLflow keeps them."""
    held_out = policy.reward_model.card.get("held_out_subjects")
    accuracy = held_out.get("accuracy") if isinstance(held_out, dict) else None
    return {
        "units": float(evidence["units"].sum()),
        "rewards": float(evidence["reward"].sum()),
        "recipe_spread": policy.recipes.spreads.recipe,
        "category_spread": policy.recipes.spreads.category,
        "text_spread": policy.recipes.spreads.text,
        "exemplars": float(sum(len(of) for of in policy.exemplars.values())),
        "reward_model_residual_sd": policy.reward_model.residual_sd,
        **({"reward_model_pairwise_accuracy": float(accuracy)} if isinstance(accuracy, int | float) else {}),
    }


def beliefs_table(policy: Policy) -> "pl.DataFrame":
    """What is believed of each recipe in general: expected log lift, its sd, and the probability to be chosen."""
    import polars as pl

    rows = []
    for form in policy.recipes.by_format:
        chances = policy.recipes.probabilities("", form)
        for recipe, chance in chances.items():
            belief = policy.recipes.general[recipe]
            rows.append({"recipe": recipe, "log lift": belief.mean, "sd": belief.sd, "probability": chance})
    return pl.DataFrame(rows)


def model_card(policy: Policy, loop: Loop, trained_on: list[str], evidence: "pl.DataFrame") -> str:
    """What the policy saw, what it is worth on subjects it has not seen, and where it is weak, as Markdown."""
    simulated = " (some of it from a **simulated audience**)" if evidence["simulated"].any() else ""
    return "\n".join(
        [
            f"# Policy of {loop.name} after {trained_on[-1]}",
            f"Learned to raise `{loop.reward}` from {evidence.height} variants and "
            f"{int(evidence['units'].sum()):,} units over {len(trained_on)} turns{simulated}.",
            "## Recipes",
            as_markdown(beliefs_table(policy)),
            "## Reward model of texts",
            "The prior of a fresh text, never the judge of a release.",
            "```json",
            json.dumps(policy.reward_model.card, indent=2, default=str),
            "```",
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
