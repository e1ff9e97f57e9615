"""What a turn contains when everything around it is taken away: the bare statements and the bare fits.

Here: running them on a warehouse that the project filled, and comparing what comes out with the project's marts.
Not here: what is made of the seconds (turn, scale).

The statements are written for this purpose, as short as their author could make them. They create no schema, keep no
history, check nothing and may not be interrupted; events are copied into a table, not judged, made anonymous or
told from duplicates.
"""

import time
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from orchestration.delivery import SharedTraffic
from orchestration.delivery.arms import arms_of
from orchestration.delivery.traffic_statements import (
    DRAWN,
    EVIDENCE,
    EVIDENCE_SO_FAR,
    LAST_RELEASE,
    MET_BEFORE,
    SUBJECTS_SEEN,
)
from orchestration.learning.policies.policy import Policy
from orchestration.learning.policies.training import fit_policy, fit_recipes
from orchestration.learning.proof.comparison import increment
from orchestration.learning.proof.folds import with_folds
from orchestration.learning.traffic.competition import allocated
from orchestration.loops.content import declare as content_loop
from orchestration.loops.recipes import recipes_by_format
from orchestration.model.text_embedding import embed_texts

SCRIPT = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
LOOP = "content"

TOTALS = {
    "units": "select sum(units) from {schema}.variant_readouts where turn = $turn",
    "exposures": "select sum(exposures) from {schema}.variant_readouts where turn = $turn",
    "reward": "select sum(reward) from {schema}.variant_readouts where turn = $turn",
    "excluded units": "select sum(excluded_units) from {schema}.variant_readouts where turn = $turn",
    "outcomes": "select sum(converted) from {schema}.variant_outcomes where turn = $turn",
    "outcomes of KPIs": "select sum(converted) from {schema}.turn_kpis where turn = $turn",
    "values of KPIs": "select round(sum(value), 4) from {schema}.turn_kpis where turn = $turn",
    "units of KPIs": "select sum(units) from {schema}.turn_kpis where turn = $turn",
    "lift over the holdout": "select round(lift, 8) from {schema}.momentum where turn = $turn",
    "its lower end": "select round(lift_low, 3) from {schema}.momentum where turn = $turn",
    "holdout": "select holdout_units from {schema}.holdout_ratios where turn = $turn",
    "sample ratios": "select round(sum(chi_square), 6) from {schema}.sample_ratios where turn = $turn",
    "best variants": "select sum(best_reward) from {schema}.experiment_readouts where turn = $turn",
    "rewards of before": "select sum(x) from {schema}.pre_period_moments where turn = $turn",
    "verdicts": "select sum(judged) from {schema}.guard_verdicts where turn = $turn",
    "statuses": "select sum(candidates) from {schema}.generation_statuses where turn = $turn",
    "calls": "select sum(calls) from {schema}.turn_costs where turn = $turn",
}


def statements(warehouse: Path, turn: str) -> float:
    """Seconds to make the turn's facts and marts from its events, in one connection, saved to the file."""
    start = time.perf_counter()
    with duckdb.connect(str(warehouse)) as connection:
        _prepare(connection, turn)
        connection.execute(SCRIPT)
    return time.perf_counter() - start


def differences(warehouse: Path, turn: str) -> list[str]:
    """Totals that differ between the project's marts and those of the bare statements."""
    found = []
    with duckdb.connect(str(warehouse)) as connection:
        for what, sql in TOTALS.items():
            values = [
                connection.execute(sql.format(schema=schema), {"turn": turn}).fetchone() for schema in ("marts", "bare")
            ]
            ours, bare = (value[0] if value else None for value in values)
            if ours is None or bare is None or not np.isclose(float(ours), float(bare), rtol=1e-9, atol=1e-9):
                found.append(f"{what}: {ours} in marts, {bare} by the bare statements")
    return found


def forget(warehouse: Path) -> None:
    """Remove what the bare statements made."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("drop schema if exists bare cascade")


def copied(warehouse: Path, events: Path) -> float:
    """Seconds to copy a landed file into a table."""
    start = time.perf_counter()
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create schema if not exists bare")
        connection.execute(f"create or replace table bare.landed as from '{events}'")
    return time.perf_counter() - start


def fits(path: Path, turn: str) -> float:
    """Seconds of the fits of a turn and the reading of what they need: shares, beliefs, reward model, comparison."""
    start = time.perf_counter()
    loop = content_loop()
    by_format = recipes_by_format(loop.generation.recipes.for_languages(("en",)))
    assert isinstance(loop.delivery, SharedTraffic)
    named = {"loop": LOOP, "turn": turn}
    with duckdb.connect(str(path)) as connection:

        def read(sql: str) -> pl.DataFrame:
            return connection.execute(sql, named).pl()

        champion = Policy.from_json(
            connection.execute("select policy from flywheel.champions where turn = ?", [turn]).fetchall()[0][0]
        ).covering(by_format)
        subjects, reviews = (
            read(f"select * from flywheel.{table} where loop = $loop and turn = $turn order by all")
            for table in ("subjects", "reviews")
        )
        allocated(
            arms_of(subjects, reviews, read(LAST_RELEASE).filter(~pl.col("is_control")), LOOP, loop.answer),
            read(MET_BEFORE),
            champion,
            loop.delivery.allocation,
            embed_texts,
        )
        connection.execute(f"create or replace table bare.evidence as {EVIDENCE}", named)
        evidence = with_folds(read(EVIDENCE_SO_FAR), read(SUBJECTS_SEEN))
        fit_policy(evidence, by_format, embed_texts)
        increment(
            evidence,
            lambda rows: fit_recipes(rows, by_format),
            champion.choice,
            turn,
            briefs=read(DRAWN),
            control_share=loop.delivery.control,
        )
    return time.perf_counter() - start


def _prepare(connection: duckdb.DuckDBPyConnection, turn: str) -> None:
    connection.execute("set timezone = 'UTC'")
    connection.execute("create schema if not exists bare")
    connection.execute(f"set variable turn = date '{turn}'")
