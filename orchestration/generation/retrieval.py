"""Finding passages: which parts of a corpus fit what is asked, by its words and by its meaning.

Here: cutting documents into passages, the index over them, and the search.
Not here: landing documents (landing), embeddings (handed in), what a brief shows of what was found (grounded).

A passage is scored twice: by BM25, which knows rare words and names, and by the inner product of embeddings, which
knows other words for the same. Neither scale means anything by itself, so both are put on their standard scores over
the corpus and added. A document has the score of its best passage. What is needed seldom stands alone: the documents
most like a document lend it half of their mean score, so that the second of two pages about one product comes up with
the first. Sources: Robertson and Zaragoza (2009) for BM25, with the idf of Lucene; Kurland and Lee (2004) for
neighbours that lend their score.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from orchestration.generation.pipeline import Passage

if TYPE_CHECKING:
    import bm25s

Embed = Callable[[Sequence[str]], np.ndarray]
Floats = NDArray[np.float64]

LONGEST = 800  # characters of a passage, unless a single paragraph is longer
NEIGHBOURS = 5
LENT = 0.5
_AT_ONCE = 2_000  # documents whose neighbours are looked for at a time
_PARAGRAPH = re.compile(r"\n\s*\n|\n(?=\s*(?:[-#*•]|\d+[.)]))")
_STOP_WORDS = frozenset({"da", "de", "en", "es", "fr", "it", "ko", "nl", "no", "pt", "ru", "sv", "tr", "zh"})


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document of a corpus."""

    document_id: str
    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ScoredPassage(Passage):
    """A passage that was found. Scores compare the passages of one search, and of no other."""

    score: float


@dataclass(frozen=True, kw_only=True)
class Passages:
    """The index of a corpus: its documents, their passages, and what a search compares with. Built by `of`.

    `owner` (passages,) is the index of each passage's document, `first` (documents,) the index of its first passage,
    `vectors` (passages, dimensions) their embeddings, `neighbours` (documents, at most NEIGHBOURS) the documents most
    like each, with `likeness` as weights that sum to 1, or to 0 where there is none.
    """

    documents: tuple[Document, ...]
    texts: tuple[str, ...]
    owner: NDArray[np.int64]
    first: NDArray[np.int64]
    words: "bm25s.BM25 | None"
    language: str
    embed: Embed
    vectors: np.ndarray
    neighbours: NDArray[np.int64]
    likeness: Floats

    @classmethod
    def of(
        cls, documents: Sequence[Document], embed: Embed, *, longest: int = LONGEST, language: str = "en"
    ) -> "Passages":
        """The index of `documents`, whose order breaks ties. `embed` gives a row for each text: (n, dimensions).

        Raises ValueError for a document that stands there twice.
        """
        if len({document.document_id for document in documents}) < len(documents):
            raise ValueError("A document stands twice in the corpus: give its newest version only.")
        cut = [list(passages_of(document.text, longest)) for document in documents]
        texts = tuple(text for of in cut for text in of)
        owner = np.repeat(np.arange(len(cut)), [len(of) for of in cut])
        shown = [f"{document.title}\n{text}" for document, of in zip(documents, cut, strict=True) for text in of]
        vectors = embed(shown)
        first = np.searchsorted(owner, np.arange(len(cut)))
        neighbours, likeness = _neighbours(_means(vectors, first))
        return cls(
            documents=tuple(documents),
            texts=texts,
            owner=owner,
            first=first,
            words=_index(shown, language),
            language=language,
            embed=embed,
            vectors=vectors,
            neighbours=neighbours,
            likeness=likeness,
        )

    def search(self, query: str, k: int) -> list[ScoredPassage]:
        """The best passage of each of the `k` documents that fit `query` best, best first.

        Nothing is found for a query without a letter or digit. Raises ValueError for k below 1.
        """
        if k < 1:
            raise ValueError(f"Ask for at least one passage, not {k}.")
        if not self.texts or not any(map(str.isalnum, query)):
            return []
        passages = (_standard(self._by_words(query)) + _standard(self._by_meaning(query))) / 2
        scores = np.maximum.reduceat(passages, self.first)
        scores = scores + LENT * (scores[self.neighbours] * self.likeness).sum(axis=1)
        found = []
        for index in np.argsort(-scores, kind="stable")[:k]:
            own = np.flatnonzero(self.owner == index)
            best = own[int(np.argmax(passages[own]))]
            document = self.documents[index]
            found.append(
                ScoredPassage(
                    document_id=document.document_id,
                    title=document.title,
                    text=self.texts[best],
                    score=float(scores[index]),
                )
            )
        return found

    def _by_words(self, query: str) -> Floats:
        (tokens,) = _tokens([query], self.language)
        if self.words is None or not tokens:
            return np.zeros(len(self.texts))
        return np.asarray(self.words.get_scores(tokens), dtype=float)

    def _by_meaning(self, query: str) -> Floats:
        return np.asarray(self.vectors @ self.embed([query])[0], dtype=float)


def passages_of(text: str, longest: int = LONGEST) -> Iterator[str]:
    """A text in passages of whole paragraphs and list items, at most `longest` characters unless one alone is longer.

    One of more than ten times that is cut between words, so that no document without paragraphs is shown whole. A text
    without any is one empty passage: its title may still be found.
    """
    passage, most = "", 10 * longest
    cut = re.compile(rf".{{1,{most}}}(?!\S)|.{{1,{most}}}", re.DOTALL)
    paragraphs = (piece for one in _PARAGRAPH.split(text) for piece in (cut.findall(one) if len(one) > most else [one]))
    for paragraph in paragraphs:
        if passage and len(passage) + len(paragraph) >= longest:
            yield passage
            passage = ""
        passage = f"{passage}\n{paragraph.rstrip()}".strip("\n")
    yield passage


def _index(texts: Sequence[str], language: str) -> "bm25s.BM25 | None":
    """BM25 over `texts`; None when there is not a word in any."""
    import bm25s

    tokens = _tokens(texts, language)
    if not any(tokens):
        return None
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    return index


def _tokens(texts: Sequence[str], language: str) -> list[list[str]]:
    """Words of each text in lower case, without the language's most frequent ones where these are known."""
    import bm25s

    left_out = language if language in _STOP_WORDS else None
    return list(bm25s.tokenize(list(texts), stopwords=left_out, return_ids=False, show_progress=False))


def _means(vectors: np.ndarray, first: NDArray[np.int64]) -> np.ndarray:
    """Direction of the sum of each document's passages, of which `first` are the first: (documents, dimensions)."""
    if not len(first):
        return vectors
    sums = np.add.reduceat(vectors, first, axis=0)
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)


def _neighbours(vectors: np.ndarray) -> tuple[NDArray[np.int64], Floats]:
    """The documents most like each of (n, dimensions), and how much each of them counts: both (n, neighbours)."""
    count = len(vectors)
    most = min(NEIGHBOURS, max(count - 1, 0))
    nearest = np.zeros((count, most), dtype=np.int64)
    weights = np.zeros((count, most))
    for start in range(0, count if most else 0, _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, count))
        alike = np.asarray(vectors[rows] @ vectors.T, dtype=float)
        alike[np.arange(len(rows)), rows] = -np.inf
        nearest[rows] = np.argpartition(-alike, most - 1, axis=1)[:, :most]
        weights[rows] = np.clip(np.take_along_axis(alike, nearest[rows], axis=1), 0, None)
    total = weights.sum(axis=1, keepdims=True)
    return nearest, np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


def _standard(scores: Floats) -> Floats:
    """Scores less their mean, in standard deviations; zero where all are alike."""
    spread = float(scores.std())
    return (scores - scores.mean()) / spread if spread > 0 else np.zeros_like(scores)
