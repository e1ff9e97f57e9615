"""The model's answers: a brief in, a candidate out, whatever happens on the way.

Here: asking the model, and one row for each answer and each call.
Not here: how the endpoint is spoken to (model.language_model) and what answers are worth (verdicts).
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.graph.assets.stage import POOL, is_released, of_loop, turn_output
from orchestration.loops.declaration import Loop
from orchestration.model.language_model import Answer, LanguageModel, Request
from orchestration.tables import TABLES
from orchestration.warehouse.duckdb_file import Warehouse

if TYPE_CHECKING:
    import polars as pl


def candidates_asset(loop: Loop, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`L/candidates` and `L/llm_calls`: one row per brief, and one per call made for it."""

    @dg.multi_asset(
        name=f"{loop.name}_candidates",
        partitions_def=partitions,
        pool=POOL,
        ins={"briefs": of_loop(loop, "briefs")},
        outs={
            "candidates": turn_output(
                "candidates",
                loop=loop,
                description="One row per brief: the model's parsed answer, or the status that says why there is none.",
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
        model: dg.ResourceParam[LanguageModel],
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Any:
        turn = context.partition_key
        if is_released(context, warehouse, loop):
            yield dg.Output(None, "candidates")
            yield dg.Output(None, "llm_calls")
            return
        if loop.subjects.variants:
            given = [given_answer(brief, loop) for brief in briefs.to_dicts()]
            yield dg.Output(candidate_rows(briefs, given), "candidates", metadata={"given": len(given)})
            yield dg.Output(call_rows(turn, loop.name, given), "llm_calls")
            return
        requests = [request_of(brief) for brief in briefs.to_dicts()]
        answers = model.answer_all(
            requests,
            loop.answer,
            text_field=loop.text_field,
            turn=turn,
            loop=loop.name,
            progress=lambda done, of: context.log.info(f"{done} of {of} answers"),
        )
        rows, calls = candidate_rows(briefs, answers), call_rows(turn, loop.name, answers)
        by_status = dict(rows["status"].value_counts().sort("status").iter_rows())
        yield dg.Output(rows, "candidates", metadata={"by_status": dg.JsonMetadataValue(by_status)})
        yield dg.Output(
            calls,
            "llm_calls",
            metadata={
                "model": model.name,
                **model.capabilities,
                "tokens": sum(calls["input_tokens"]) + sum(calls["output_tokens"]),
                "cost_usd": float(calls["cost_usd"].sum()),
                "cache_hits": int(calls["cache_hit"].sum()),
            },
        )
        if requests and not by_status.get("ok"):
            first = next(answer.error for answer in answers)
            raise dg.Failure(
                f"None of {len(requests)} briefs was answered; the first says: {first} "
                "Run the turn again once that is mended: answers that were paid for are kept.",
                metadata={"by_status": dg.JsonMetadataValue(by_status)},
                allow_retries=False,
            )

    return candidates


def request_of(brief: dict[str, Any]) -> Request:
    """A brief as the model resource takes it."""
    return Request(
        brief_id=brief["brief_id"],
        messages=tuple(json.loads(brief["messages"])),
        seed=brief["seed"],
        max_tokens=brief["max_tokens"],
        temperature=brief["temperature"],
        prompt_name=brief["prompt_name"],
        prompt_version=brief["prompt_version"],
    )


def given_answer(brief: dict[str, Any], loop: Loop) -> Answer:
    """The text that a subject brought, as an answer that nobody had to be asked for."""
    (message,) = json.loads(brief["messages"])
    return Answer(brief["brief_id"], "ok", message["content"], {loop.text_field: message["content"]}, None, ())


def candidate_rows(briefs: "pl.DataFrame", answers: Sequence[Answer]) -> "pl.DataFrame":
    """One row for each brief, in its order."""
    rows = []
    for brief, answer in zip(briefs.to_dicts(), answers, strict=True):
        identity = f"{brief['brief_id']}\x1f{answer.status}\x1f{answer.text}"
        rows.append(
            {
                **{name: brief[name] for name in ("turn", "loop", "brief_id", "subject_id", "recipe_id")},
                "candidate_id": hashlib.sha256(identity.encode()).hexdigest()[:20],
                "status": answer.status,
                "text": answer.text,
                "answer": json.dumps(answer.answer, ensure_ascii=False) if answer.answer is not None else None,
                "error": answer.error,
                "rounds": 1,
                "results": None,
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
