"""The answers to a turn's briefs: a brief in, a candidate out, whatever happens on the way.

Here: handing briefs to the generation, and one row for each answer and each call, which is traced too.
Not here: how answers come about (generation, model) and what they are worth (verdicts).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import BaseModel

from orchestration.generation.calls import Answer, Request
from orchestration.generation.pipeline import Draft, Workshop
from orchestration.generation.tested import RunsTrials
from orchestration.graph.assets.figures import call_figures
from orchestration.graph.assets.stage import POOL, is_released, of_loop, turn_output
from orchestration.graph.bound import BoundLoop
from orchestration.model.language_model import LanguageModel
from orchestration.registry.traces import Conversation
from orchestration.registry.tracking import Tracking
from orchestration.tables import TABLES
from orchestration.warehouse.protocol import Warehouse

if TYPE_CHECKING:
    import polars as pl


def candidates_asset(bound: BoundLoop) -> dg.AssetsDefinition:
    """`L/candidates` and `L/llm_calls`: one row per brief, and one per call made for it."""
    loop = bound.loop

    @dg.multi_asset(
        name=f"{loop.name}_candidates",
        partitions_def=bound.partitions,
        pool=POOL,
        ins={"briefs": of_loop(loop, "briefs"), "subjects": of_loop(loop, "subjects")},
        outs={
            "candidates": turn_output(
                "candidates",
                loop=loop,
                description="One row per brief: the parsed answer, or the status that says why there is none.",
                kinds=("openai", "polars"),
            ),
            "llm_calls": turn_output(
                "llm_calls",
                loop=loop,
                description="What was asked of the model, what it cost and how long it took.",
                kinds=("openai", "polars"),
            ),
        },
    )
    def candidates(
        context: dg.AssetExecutionContext,
        briefs: Any,
        subjects: Any,
        model: dg.ResourceParam[LanguageModel],
        trials: dg.ResourceParam[RunsTrials],
        tracking: dg.ResourceParam[Tracking],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Any:
        turn = context.partition_key
        if is_released(context, warehouse, loop):
            yield dg.Output(None, "candidates")
            yield dg.Output(None, "llm_calls")
            return
        conversations: list[Conversation] = []

        def ask(requests: Sequence[Request], answer: type[BaseModel], text_field: str) -> list[Answer]:
            found = model.answer_all(
                requests,
                answer,
                text_field=text_field,
                turn=turn,
                loop=loop.name,
                progress=lambda done, of: context.log.info(f"{done} of {of} answers"),
            )
            conversations.extend(zip(requests, found, strict=True))
            return found

        workshop = Workshop(ask=ask, best_of=bound.best_of, trials=trials, tell=context.log.info)
        asked = with_facts(briefs, subjects)
        drafts = loop.delivery.tried(loop.generation.answers(asked, loop.answer, workshop), asked, workshop)
        answers = [draft.answer for draft in drafts]
        rows, calls = candidate_rows(briefs, drafts), call_rows(turn, loop.name, answers)
        traced = tracking.trace(loop.name, turn, conversations)
        by_status = dict(rows["status"].value_counts().sort("status").iter_rows())
        answered = by_status.get("ok", 0)
        yield dg.Output(
            rows,
            "candidates",
            metadata={
                "by_status": dg.JsonMetadataValue(by_status),
                "answered": answered,
                "without an answer": rows.height - answered,
                **call_figures(calls),
            },
        )
        yield dg.Output(
            calls,
            "llm_calls",
            metadata={
                **({"model": model.name, **model.capabilities} if len(calls) else {}),
                **call_figures(calls),
                "cache_hits": int(calls["cache_hit"].sum()),
                "traced": traced,
            },
        )
        if answers and set(by_status) - {"escalated"} and not by_status.get("ok"):
            first = next(answer.error for answer in answers if answer.status != "escalated")
            raise dg.Failure(
                f"None of {len(answers)} briefs was answered; the first says: {first} "
                "Run the turn again once that is mended: answers that were paid for are kept.",
                metadata={"by_status": dg.JsonMetadataValue(by_status)},
                allow_retries=False,
            )

    return candidates


def with_facts(briefs: "pl.DataFrame", subjects: "pl.DataFrame") -> list[dict[str, Any]]:
    """Briefs with the facts of their subjects."""
    return briefs.join(subjects.select("subject_id", "facts"), on="subject_id", maintain_order="left").to_dicts()


def candidate_rows(briefs: "pl.DataFrame", drafts: Sequence[Draft]) -> "pl.DataFrame":
    """One row for each brief, in its order."""
    rows = []
    for brief, draft in zip(briefs.to_dicts(), drafts, strict=True):
        answer = draft.answer
        identity = f"{brief['brief_id']}\x1f{answer.status}\x1f{answer.text}"
        rows.append(
            {
                **{name: brief[name] for name in ("turn", "loop", "brief_id", "subject_id", "recipe_id")},
                "candidate_id": hashlib.sha256(identity.encode()).hexdigest()[:20],
                "status": answer.status,
                "text": answer.text,
                "answer": json.dumps(answer.answer, ensure_ascii=False) if answer.answer is not None else None,
                "rounds": draft.rounds,
                "results": None if draft.measured is None else json.dumps(dict(draft.measured), sort_keys=True),
                "error": answer.error,
                "call_id": answer.calls[-1].call_id if answer.calls else None,
            }
        )
    return TABLES["candidates"].frame(rows)


def call_rows(turn: str, loop: str, answers: Sequence[Answer]) -> "pl.DataFrame":
    """One row for each call."""
    rows = [
        {"turn": date.fromisoformat(turn), "loop": loop, **asdict(call)} for answer in answers for call in answer.calls
    ]
    return TABLES["llm_calls"].frame(rows)
