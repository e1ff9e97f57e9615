"""Who gets which recipe: one brief is one request to the model.

Here: asking the champion, showing it what won before, and laying out the request.
Not here: how the choice is made (learning.policies.recipe_policy) and what a prompt says (loops.recipes).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.graph.assets.stage import is_released, of_loop, turn_asset
from orchestration.learning.policies.exemplars import shown_to
from orchestration.learning.policies.policy import Policy
from orchestration.loops.declaration import Loop
from orchestration.loops.recipes import Example, Recipe, as_json, recipes_by_format
from orchestration.registry.tracking import Tracking
from orchestration.settings import Settings
from orchestration.tables import TABLES
from orchestration.warehouse.duckdb_file import Warehouse

if TYPE_CHECKING:
    import polars as pl


def briefs_asset(loop: Loop, settings: Settings, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`L/briefs`: `briefs_per_subject` different recipes for each subject, with the propensity of each."""
    recipes = loop.recipes.for_languages(settings.languages)

    @turn_asset(
        "briefs",
        partitions,
        loop=loop,
        description="Subject x recipe, chosen by the champion: one row is one request, with its propensity.",
        kinds=("polars", "mlflow"),
        ins={"champion": of_loop(loop, "champion"), "subjects": of_loop(loop, "subjects")},
    )
    def briefs(
        context: dg.AssetExecutionContext,
        champion: Any,
        subjects: Any,
        warehouse: dg.ResourceParam[Warehouse],
        tracking: dg.ResourceParam[Tracking],
    ) -> Any:
        if is_released(context, warehouse, loop):
            return None
        (in_force,) = champion.to_dicts()
        if loop.subjects.variants:
            return given_briefs(subjects, in_force["policy_version"], loop)
        policy = Policy.from_json(in_force["policy"]).covering(recipes_by_format(recipes))
        versions = tracking.prompt_versions(recipes)
        rows = briefs_of(subjects, policy, in_force["policy_version"], recipes, versions, loop, settings)
        context.add_output_metadata(
            {
                "by_recipe": dg.JsonMetadataValue(dict(rows["recipe_id"].value_counts().sort("recipe_id").iter_rows())),
                "prompts": dg.JsonMetadataValue(versions),
                "with_exemplars": int((rows["exemplars"] != "[]").sum()),
                "mlflow_run": dg.UrlMetadataValue(tracking.run_url(loop.name, in_force["mlflow_run_id"])),
            }
        )
        return rows

    return briefs


def briefs_of(
    subjects: "pl.DataFrame",
    policy: Policy,
    policy_version: str,
    recipes: Sequence[Recipe],
    prompt_versions: Mapping[str, int],
    loop: Loop,
    settings: Settings,
) -> "pl.DataFrame":
    """One row for each subject and recipe chosen. Same input, same rows: seeds and identities are hashes."""
    by_id = {recipe.recipe_id: recipe for recipe in recipes}
    facts_of = {row["subject_id"]: row["facts"] for row in subjects.to_dicts()}
    rows = []
    for subject in subjects.to_dicts():
        facts = json.loads(subject["facts"])
        turn = str(subject["turn"])
        chosen = policy.recipes.choose(
            subject["subject_id"], subject["category"], subject["format"], turn, loop.briefs_per_subject, settings.seed
        )
        for recipe_id, propensity in chosen:
            recipe = by_id[recipe_id]
            shown = shown_to(subject["subject_id"], policy.exemplars.get(recipe_id, ()), facts_of)
            examples = [
                Example(one.variant_id, json.loads(facts_of[one.subject_id]), one.text)
                for one in shown
                if one.subject_id in facts_of
            ]
            seed = int(_hash(settings.seed, turn, subject["subject_id"], recipe_id)[:8], 16) & 0x7FFFFFFF
            messages = as_json(recipe.messages(facts, examples))
            rows.append(
                {
                    "turn": subject["turn"],
                    "loop": loop.name,
                    "brief_id": _hash(loop.name, turn, subject["subject_id"], recipe_id, messages, seed)[:20],
                    "subject_id": subject["subject_id"],
                    "recipe_id": recipe_id,
                    "style": recipe.style,
                    "language": recipe.language,
                    "prompt_name": recipe.prompt_name,
                    "prompt_version": prompt_versions[recipe.prompt_name],
                    "messages": messages,
                    "exemplars": json.dumps([example.variant_id for example in examples]),
                    "max_tokens": recipe.max_tokens,
                    "temperature": recipe.temperature,
                    "seed": seed,
                    **chosen_of(recipe_id),
                    "propensity": propensity,
                    "policy_version": policy_version,
                }
            )
    return TABLES["briefs"].frame(rows)


def given_briefs(subjects: "pl.DataFrame", policy_version: str, loop: Loop) -> "pl.DataFrame":
    """One row for each text that a subject brings, where no model is asked; its message is the text itself.

    Texts go by their place, `given-01` first: what stands at a place is no recipe, and nothing is learned of it.
    """
    rows = []
    for subject in subjects.to_dicts():
        turn = str(subject["turn"])
        texts = json.loads(json.loads(subject["facts"])[loop.subjects.variants])
        for place, text in enumerate(texts, start=1):
            messages = as_json([{"role": "assistant", "content": text}])
            rows.append(
                {
                    "turn": subject["turn"],
                    "loop": loop.name,
                    "brief_id": _hash(loop.name, turn, subject["subject_id"], messages)[:20],
                    "subject_id": subject["subject_id"],
                    "recipe_id": f"given-{place:02d}",
                    "style": "given",
                    "language": "en",
                    "prompt_name": "given",
                    "prompt_version": 0,
                    "messages": messages,
                    "exemplars": "[]",
                    "max_tokens": 0,
                    "temperature": 0.0,
                    "seed": 0,
                    **chosen_of(f"given-{place:02d}"),
                    "propensity": 1.0,
                    "policy_version": policy_version,
                }
            )
    return TABLES["briefs"].frame(rows)


def chosen_of(option_id: str) -> dict[str, str | None]:
    """What is logged of a choice that is a recipe and nothing else."""
    return {
        "option_id": option_id,
        "options": None,
        "option_parts": None,
        "context": "{}",
        "fields": "{}",
        "sources": "[]",
    }


def _hash(*parts: object) -> str:
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()
