"""What a loop learns from: everything that its way of delivery asks to read, up to a turn.

Here: reading it, with the folds that follow from all subjects seen by then.
Not here: what is learned (challenger) and what it proves (comparison).
"""

from orchestration.delivery.protocol import Learning
from orchestration.graph.assets.stage import read_all
from orchestration.graph.bound import BoundLoop
from orchestration.learning.proof.folds import with_folds
from orchestration.model.text_embedding import embed_texts
from orchestration.warehouse.protocol import Warehouse


def learned_from(bound: BoundLoop, warehouse: Warehouse, turn: str) -> Learning:
    """Rows with a fold are folded anew: a later subject may have joined two that an earlier turn kept apart."""
    read = read_all(warehouse, bound.loop.delivery.learning_reads, loop=bound.loop.name, turn=turn)
    seen = read["seen"]
    folded = {name: with_folds(rows, seen) if "fold" in rows.columns else rows for name, rows in read.items()}
    return Learning(loop=bound.loop, when=bound.when(turn), read=folded, by_format=bound.by_format, embed=embed_texts)
