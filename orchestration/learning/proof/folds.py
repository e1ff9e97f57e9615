"""Which subjects are fitted and judged together, so that nothing is judged by what it has taught.

Here: folds as connected components of equal originals and equal facts, over all subjects seen so far.
Not here: fitting without a fold (policies.training, comparison), looking for what leaked (leakage).

Subjects with the same original (a title in three sizes, a macro) or the same facts are one thing under several names:
what is learned from the one is known of the other. They share a fold, and so does whatever they are joined to. The
fold is the hash of the component's least facts, so that a subject that is joined to none keeps its fold for ever. Where
a subject that arrives later joins two components, both get the fold of one of them, in every turn: folds are found anew
whenever evidence is read, and no component ever spans two of them.

What most subjects have in common, such as one text for all or no facts at all, tells none from another: it joins
nothing, else all would be in one fold and there would be nobody to learn from.
"""

import hashlib
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from orchestration.learning.proof.leakage import normal_text

if TYPE_CHECKING:
    import polars as pl

FOLDS = 5
MOST = 0.5  # of the subjects: what more than these have in common joins nothing


def folds(subjects: "pl.DataFrame") -> dict[str, int]:
    """The fold in [0, FOLDS) of every subject.

    `subjects` (subject_id, original, facts): each subject in every version that was ever taken; repeated rows and
    their order make no difference. Originals are equal but for case, punctuation and spacing; those without a word,
    such as a sign, are equal when they are the same.
    """
    import polars as pl
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if subjects.is_empty():
        return {}
    rows = _versions(subjects)
    node = rows.select(pl.col("subject_id").rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()
    nodes = int(node.max()) + 1
    edges, offset = [], nodes
    for name in ("original", "facts"):
        linked = ~rows[f"{name}_is_common"].to_numpy()
        value = rows.select(pl.col(name).rank("dense").cast(pl.Int64) - 1).to_series().to_numpy() + offset
        edges.append(np.column_stack([node[linked], value[linked]]))
        offset = int(value.max()) + 1
    ends = np.concatenate(edges)
    graph = coo_array((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), shape=(offset, offset))
    component = connected_components(graph, directed=False)[1][node]
    named_by = pl.when("facts_is_common").then("subject_id").otherwise("facts")
    hashes = rows.select(value=named_by).to_series()
    digest = {value: _sha256(value) for value in hashes.unique()}
    least = (
        rows.select("subject_id", component=pl.Series(component), digest=hashes.replace_strict(digest))
        .with_columns(pl.col("digest").min().over("component"))
        .unique("subject_id", maintain_order=True)
    )
    return {subject: int(text[:8], 16) % FOLDS for subject, text in least.select("subject_id", "digest").iter_rows()}


def with_folds(evidence: "pl.DataFrame", subjects: "pl.DataFrame") -> "pl.DataFrame":
    """`evidence` with the folds that follow from all `subjects` seen by now, in the place of those it was kept with.

    Raises ValueError naming a subject of the evidence that is not among them.
    """
    import polars as pl

    of = folds(subjects)
    missing = sorted(set(evidence["subject_id"]) - of.keys())
    if missing:
        raise ValueError(
            f"{len(missing)} subjects of the evidence, such as {missing[0]!r}, stand in no turn's `flywheel.subjects`: "
            "fold them over the subjects of all turns up to the evidence's."
        )
    fold = pl.col("subject_id").replace_strict(of, return_dtype=pl.Int32) if of else pl.lit(None, pl.Int32)
    return evidence.with_columns(fold=fold)


def on_both_sides(controls: "pl.DataFrame", subjects: "pl.DataFrame", turn: date) -> list[str]:
    """Subjects of `turn` that trained what judged them: under their own name, or under another's original.

    `controls` (turn, subject_id, fold, text): the control of every subject and turn up to this one. A fold's judge was
    trained on the earlier turns of all other folds. `subjects` as in `folds`: an original that most of them have in
    common gives nothing away.
    """
    import polars as pl

    versions = _versions(subjects)
    common = set(versions.filter("original_is_common")["original"])
    rows = controls.with_columns(text=_same("text")).unique(["turn", "subject_id", "fold", "text"])
    earlier, judged = rows.filter(pl.col("turn") < turn), rows.filter(pl.col("turn") == turn)
    telling = ~pl.col("text").is_in(list(common))
    found: set[str] = set()
    for key, known in (("subject_id", earlier), ("text", earlier.filter(telling))):
        both = judged.join(known.select(key, other="fold").unique(), on=key)
        found.update(both.filter(pl.col("fold") != pl.col("other"))["subject_id"])
    return sorted(found)


def _versions(subjects: "pl.DataFrame") -> "pl.DataFrame":
    """Different versions of subjects, ordered, with what originals are compared by, and whether most have a value."""
    import polars as pl

    rows = subjects.select("subject_id", "facts", original=_same("original")).unique().sort(pl.all())
    most = max(1.0, MOST * rows["subject_id"].n_unique())
    return rows.with_columns(
        (pl.col("subject_id").n_unique().over(name) > most).alias(f"{name}_is_common") for name in ("original", "facts")
    )


def _same(column: str) -> "pl.Expr":
    """What originals in `column` are compared by: each different one is looked at once."""
    import polars as pl

    def compared(texts: "pl.Series") -> "pl.Series":
        of = {text: normal_text(text) or text.strip() for text in texts.unique()}
        return texts.replace_strict(of, return_dtype=pl.String) if of else texts

    return pl.col(column).fill_null("").map_batches(compared, return_dtype=pl.String)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
