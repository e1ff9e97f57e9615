"""What may compete for a subject's traffic: its original, what was in force, and what people or gates have let out.

Here: gathering those answers, each once, with its identity.
Not here: their shares (learning.traffic.competition) and the row of a release (shared_traffic).
"""

import hashlib
import json
from collections.abc import Collection
from typing import TYPE_CHECKING

from pydantic import BaseModel

from orchestration.generation.answers import canonical, identity, original_answer, rendered

if TYPE_CHECKING:
    import polars as pl

PUBLISHABLE: Collection[str] = ("publish", "approve", "edit")


def variant_identity(loop: str, subject_id: str, answer: str) -> str:
    """The same answer for the same subject is the same variant, in whichever turn it is released.

    `answer` is what generation.answers.identity gives.
    """
    return hashlib.sha256(f"{loop}\x1f{subject_id}\x1f{answer}".encode()).hexdigest()[:20]


def arms_of(
    subjects: "pl.DataFrame",
    reviews: "pl.DataFrame",
    last_release: "pl.DataFrame",
    loop: str,
    form: type[BaseModel],
) -> "pl.DataFrame":
    """What may compete: one row for each subject and different answer, the control first, then carried-over, then new.

    An answer that is the original's, or is there already, is not there twice. `subjects` may say in `turns_left` for
    how many turns a subject is in force, this one included.
    """
    import polars as pl

    known = subjects.select("subject_id", "category", "format", *({"turns_left"} & set(subjects.columns)))
    columns = ["subject_id", "answer", "candidate_id", "recipe_id"]
    control = subjects.select(
        "subject_id",
        answer=pl.col("original").map_elements(
            lambda text: canonical(original_answer(form, text)), return_dtype=pl.String
        ),
        candidate_id=pl.lit(None, pl.String),
        recipe_id=pl.lit(None, pl.String),
    )
    fresh = reviews.filter(pl.col("decision").is_in(PUBLISHABLE)).select(columns)
    answers = pl.concat(
        [control.with_columns(rank=0), last_release.select(columns).with_columns(rank=1), fresh.with_columns(rank=2)]
    )
    arms = answers.join(known, on="subject_id", how="inner", maintain_order="left")
    values = [json.loads(text) for text in arms["answer"]]
    return (
        arms.with_columns(
            identity=pl.Series([identity(form, value) for value in values], dtype=pl.String),
            text=pl.Series([rendered(form, value).strip() for value in values], dtype=pl.String),
        )
        .unique(["subject_id", "identity"], keep="first", maintain_order=True)
        .with_columns(
            is_control=pl.col("rank") == 0,
            variant_id=pl.struct("subject_id", "identity").map_elements(
                lambda row: variant_identity(loop, row["subject_id"], row["identity"]), return_dtype=pl.String
            ),
        )
        .sort("subject_id", "rank", "variant_id", maintain_order=True)
        .drop("identity")
    )
