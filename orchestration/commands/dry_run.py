"""What producing a turn would ask of the model, and cost, before anything is asked.

Here: laying out the turn's briefs from what has landed, without writing or calling anything.
Not here: doing it (driver) and estimating tokens (model.language_model).
"""

from collections.abc import Iterator, Sequence

from orchestration.graph.assets.briefs import briefs_of
from orchestration.graph.assets.candidates import request_of
from orchestration.graph.assets.subjects import alive_subjects, as_subjects, whose_turn
from orchestration.learning.policies.policy import Policy
from orchestration.loops.declaration import Loop
from orchestration.loops.recipes import recipes_by_format
from orchestration.model.language_model import LanguageModel
from orchestration.registry.tracking import Tracking
from orchestration.settings import Settings
from orchestration.turns import Turn
from orchestration.warehouse.duckdb_file import Warehouse


def planned_calls(turn: str, loops: Sequence[Loop], settings: Settings) -> Iterator[str]:
    """One line for each loop. Prompts that are not in the registry yet count as version 0.

    Raises ValueError when no turn starts on that day.
    """
    window = Turn.of(turn, settings)
    turn = window.key
    warehouse = Warehouse(settings.warehouse_path, settings.lock_timeout_s)
    tracking = Tracking(settings.root, settings.mlflow_ui)
    model = LanguageModel(settings)
    for loop in loops:
        if loop.subjects.variants:
            yield f"{loop.name}: subjects bring their variants, so nothing would be asked."
            continue
        recipes = loop.recipes.for_languages(settings.languages)
        alive = alive_subjects(warehouse, loop, turn)
        subjects = as_subjects(alive, whose_turn(alive, window, settings.subjects_per_turn).taken)
        champion = tracking.champion(loop.name)
        by_format = recipes_by_format(recipes)
        policy = Policy.from_json(champion.policy).covering(by_format) if champion else Policy.first(by_format)
        unregistered = {recipe.prompt_name: 0 for recipe in recipes}
        briefs = briefs_of(
            subjects, policy, champion.version if champion else "first", recipes, unregistered, loop, settings
        )
        requests = [request_of(brief) for brief in briefs.to_dicts()]
        if not requests:
            yield f"{loop.name}: nothing has been ingested, so nothing would be asked (`flywheel ingest` first)."
            continue
        plan = model.plan(requests, loop.answer, text_field=loop.text_field, turn=turn, loop=loop.name)
        yield (
            f"{loop.name}: {len(requests)} briefs for {subjects.height} subjects: {plan.calls} calls, "
            f"{plan.cached} kept from before; about {plan.input_tokens:,} tokens in, {plan.output_tokens:,} out, "
            f"${plan.usd:.2f} (at most ${plan.worst_usd:.2f}; the budget is ${settings.budget_usd:.2f})."
        )
