"""What producing a turn would ask of the model, and cost, before anything is asked.

Here: laying out the turn's briefs from what has landed, without writing or calling anything.
Not here: doing it (graph.driver) and estimating tokens (model.language_model).
"""

from collections.abc import Iterator, Sequence

from orchestration.delivery.briefing import brief_rows
from orchestration.generation.answers import text_field, without_fields
from orchestration.generation.pipeline import request_of
from orchestration.graph.assets.briefs import briefing
from orchestration.graph.assets.subjects import alive_subjects, as_subjects, whose_turn
from orchestration.graph.bound import BoundLoop
from orchestration.loops.declaration import Loop
from orchestration.model.language_model import LanguageModel
from orchestration.registry.tracking import Tracking
from orchestration.settings import Settings
from orchestration.turns import Turn
from orchestration.warehouse.engines import open_warehouse


def planned_calls(turn: str, loops: Sequence[Loop], settings: Settings) -> Iterator[str]:
    """One line for each loop. Prompts that are not in the registry yet count as version 0.

    Raises ValueError when no turn starts on that day.
    """
    window = Turn.of(turn, settings)
    warehouse = open_warehouse(settings)
    tracking = Tracking(settings.root, settings.mlflow_ui)
    model = LanguageModel(settings)
    turning = frozenset(loop.name for loop in loops)
    for loop in loops:
        if not loop.generation.asks(loop.answer):
            yield f"{loop.name}: its answers are given or chosen, so nothing would be asked."
            continue
        bound = BoundLoop.of(loop, settings, turning)
        alive = alive_subjects(warehouse, loop, window.key)
        subjects = as_subjects(alive, whose_turn(alive, window, settings.subjects_per_turn).taken)
        champion = tracking.champion(loop.name)
        unregistered = {recipe.prompt_name: 0 for recipe in bound.recipes}
        known = briefing(
            bound,
            warehouse,
            window.key,
            champion.policy if champion else None,
            champion.version if champion else "first",
            unregistered,
        )
        briefs = brief_rows(subjects, known).to_dicts() if len(subjects) else []
        requests = [request_of(brief) for brief in briefs if brief["escalation"] is None]
        if not requests:
            yield f"{loop.name}: nothing has been ingested, so nothing would be asked (`flywheel ingest` first)."
            continue
        wanted = without_fields(loop.answer, tuple(sorted(set(loop.generation.fields))))
        plan = model.plan(requests, wanted, text_field=text_field(wanted), turn=window.key, loop=loop.name)
        yield (
            f"{loop.name}: {len(requests)} briefs for {subjects.height} subjects: {plan.calls} calls, "
            f"{plan.cached} kept from before; about {plan.input_tokens:,} tokens in, {plan.output_tokens:,} out, "
            f"${plan.usd:.2f} (at most ${plan.worst_usd:.2f}; the budget is ${settings.budget_usd:.2f})."
        )
