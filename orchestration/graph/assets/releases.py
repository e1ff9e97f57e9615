"""What goes out: the variants in force for each subject, with their shares, written once.

Here: reading what earlier turns have shown, and the rows of the release.
Not here: who competes and with what share (learning.traffic.competition), who approved (reviews), the file that an
application reads (outbox).

What earlier turns have shown is read from `flywheel.evidence`, where it lies as facts and counts. Dagster sees that
edge through the model registry, since assets may not form a cycle; the metadata names the turns that were read.
"""

import hashlib
import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg

from orchestration.graph.assets.stage import is_released, of_loop, turn_asset
from orchestration.graph.assets.subjects import alive_subjects, as_subjects
from orchestration.learning.policies.policy import Policy
from orchestration.learning.traffic.competition import PUBLISHABLE, allocated, arms_of
from orchestration.learning.traffic.rotation import staying
from orchestration.loops.declaration import Loop
from orchestration.loops.recipes import recipes_by_format
from orchestration.model.text_embedding import embed_texts
from orchestration.settings import Settings
from orchestration.tables import TABLES
from orchestration.turns import Turn
from orchestration.warehouse.duckdb_file import Warehouse
from orchestration.warehouse.turn_tables import as_markdown

if TYPE_CHECKING:
    import polars as pl

MET_BEFORE = """
    select subject_id, variant_id, sum(units) as units, sum(reward) as reward, count(distinct turn) as turns
    from flywheel.evidence where loop = $loop and turn < $turn group by all order by all
"""
REJECTED = "select candidate_id from flywheel.reviews where loop = $loop and turn <= $turn and decision = 'reject'"
LAST_RELEASE = """
    select * exclude (release_id, released_at) from flywheel.releases
    where loop = $loop and turn = (select max(turn) from flywheel.releases where loop = $loop and turn < $turn)
    order by subject_id, variant_id
"""


def releases_asset(loop: Loop, settings: Settings, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """`L/releases`: a fact. A turn that has one keeps it."""
    by_format = recipes_by_format(loop.recipes.for_languages(settings.languages))

    @turn_asset(
        "releases",
        partitions,
        loop=loop,
        description="The variants in force for each subject, their shares, and the control they compete with.",
        kinds=("polars", "duckdb"),
        ins={name: of_loop(loop, name) for name in ("champion", "subjects", "reviews")},
    )
    def releases(
        context: dg.AssetExecutionContext,
        champion: Any,
        subjects: Any,
        reviews: Any,
        warehouse: dg.ResourceParam[Warehouse],
    ) -> Any:
        import polars as pl

        turn = context.partition_key
        if is_released(context, warehouse, loop):
            return None
        named = {"loop": loop.name, "turn": turn}
        (in_force,) = champion.to_dicts()
        policy = Policy.from_json(in_force["policy"]).covering(by_format)
        alive = alive_subjects(warehouse, loop, turn)
        subjects = pl.concat([subjects, as_subjects(alive, newly_allowed(alive, subjects, reviews))])
        if loop.subjects.lives.ends:
            subjects = with_turns_left(subjects, loop.subjects.lives.ends, Turn.of(turn, settings))
        last = warehouse.read(LAST_RELEASE, named)
        competing = last.filter(~pl.col("is_control") & loop.subjects.lives.keeps)
        arms = arms_of(subjects, reviews, competing, loop.name)
        met = warehouse.read(MET_BEFORE, named)
        rows = release_rows(
            turn, loop, allocated(arms, met, policy, loop.allocation, embed_texts), in_force["policy_version"]
        )
        if loop.subjects.lives.keeps:
            waiting = set(alive["subject_id"]) - set(subjects["subject_id"])
            stays = staying(last, waiting, turn, warehouse.read(REJECTED, named)["candidate_id"].to_list())
            rows = pl.concat([rows, release_rows(turn, loop, stays, in_force["policy_version"])])
        context.add_output_metadata(
            {
                "subjects": rows["subject_id"].n_unique(),
                "variants": int((~rows["is_control"]).sum()),
                "only_control": int((rows["share"] == 1).sum()),
                "evidence_turns": met["turns"].max() or 0,
                "shares": dg.MarkdownMetadataValue(as_markdown(shares_by_recipe(rows))),
            }
        )
        return rows

    return releases


def newly_allowed(alive: "pl.DataFrame", subjects: "pl.DataFrame", reviews: "pl.DataFrame") -> list[str]:
    """Living subjects not among those taken, for which a person has let a text out meanwhile: they compete anew."""
    import polars as pl

    allowed = reviews.filter(pl.col("decision").is_in(PUBLISHABLE))["subject_id"]
    return sorted((set(allowed) & set(alive["subject_id"])) - set(subjects["subject_id"]))


def with_turns_left(subjects: "pl.DataFrame", ends: str, turn: Turn) -> "pl.DataFrame":
    """`subjects` with `turns_left`: turns that begin before the day that the fact `ends` names, this one included."""
    import polars as pl

    last = pl.col("facts").str.json_path_match(f"$.{ends}").str.to_date("%Y-%m-%d")
    days = (last - pl.lit(turn.first_day)).dt.total_days()
    return subjects.with_columns(turns_left=(days / turn.length.days).ceil().clip(1).cast(pl.Int64))


def release_rows(turn: str, loop: Loop, arms: "pl.DataFrame", policy_version: str) -> "pl.DataFrame":
    """Rows of `flywheel.releases` for arms with shares."""
    now = datetime.now(UTC).replace(tzinfo=None)
    listed: dict[str, list[str]] = {}
    for arm in arms.to_dicts():
        listed.setdefault(arm["subject_id"], []).append(f"{arm['variant_id']} {arm['share']:.12f}")
    identity = {
        subject: hashlib.sha256("\x1f".join([loop.name, turn, subject, *of]).encode()).hexdigest()[:20]
        for subject, of in listed.items()
    }
    return TABLES["releases"].frame(
        {
            "turn": date.fromisoformat(turn),
            "loop": loop.name,
            "release_id": identity[arm["subject_id"]],
            "holdout": loop.allocation.holdout,
            "policy_version": policy_version,
            "released_at": now,
            "stratum": arm["subject_id"],
            "answer": json.dumps({"text": arm["text"]}, ensure_ascii=False),
            **arm,
        }
        for arm in arms.to_dicts()
    )


def shares_by_recipe(rows: "pl.DataFrame") -> "pl.DataFrame":
    """Variants, mean share and mean predicted lift of each recipe."""
    import polars as pl

    return (
        rows.group_by(recipe=pl.col("recipe_id").fill_null("control"))
        .agg(pl.len().alias("variants"), pl.col("share", "predicted").mean())
        .sort("recipe")
    )
