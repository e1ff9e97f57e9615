"""Landed documents as something that passages can be found in.

Here: reading a corpus, and keeping its index for as long as its documents do not change.
Not here: landing documents (landing), the index (generation.retrieval), what is looked for (generation.grounded).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from orchestration.generation.pipeline import Find, Passage
from orchestration.model.text_embedding import embed_texts
from orchestration.warehouse.protocol import Warehouse

if TYPE_CHECKING:
    from orchestration.generation.retrieval import Passages

DOCUMENTS = """
    select document_id, title, text from flywheel.landed_documents where corpus = $corpus
    qualify row_number() over (partition by document_id order by landed_order desc) = 1
    order by document_id
"""


def finder(warehouse: Warehouse, corpora: Sequence[str]) -> Find | None:
    """What finds passages of the corpora; None where a loop rests on none, or no document of one has landed."""
    indexes = {}
    for corpus in corpora:
        rows = warehouse.read(DOCUMENTS, {"corpus": corpus})
        if not rows.is_empty():
            indexes[corpus] = _index(tuple(rows.iter_rows()))
    if not indexes:
        return None

    def find(corpus: str, query: str, most: int) -> list[Passage]:
        if corpus not in indexes:
            raise LookupError(f"No document of {corpus!r} has landed: put files into landing/documents/{corpus}/.")
        return [
            Passage(document_id=found.document_id, title=found.title, text=found.text)
            for found in indexes[corpus].search(query, most)
        ]

    return find


@lru_cache(maxsize=8)
def _index(documents: tuple[tuple[str, str, str], ...]) -> "Passages":
    from orchestration.generation.retrieval import Document, Passages

    return Passages.of(
        [Document(document_id=named, title=title, text=text) for named, title, text in documents], embed_texts
    )
