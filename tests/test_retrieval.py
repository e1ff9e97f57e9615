"""Finding passages of documents, by words, by meaning and by neighbourhood, told as examples and on real documents."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from orchestration.generation.retrieval import LONGEST, Document, Passages, ScoredPassage, passages_of
from orchestration.model.text_embedding import embed_texts

SHOP = [
    Document(document_id="returns", title="Returns", text="Send it back within thirty days.\n\nWe refund the price."),
    Document(document_id="delivery", title="Delivery", text="Parcels arrive in two days.\n\nExpress costs four euros."),
    Document(document_id="warranty", title="Warranty", text="A broken kettle is repaired for free, model KX-70 too."),
    Document(document_id="invoice", title="Invoices", text="The bill comes by mail."),
]


def blind(texts: Sequence[str]) -> np.ndarray:
    """Embeddings that say nothing."""
    return np.ones((len(texts), 2), dtype=np.float32)


def found(passages: Sequence[ScoredPassage]) -> list[str]:
    return [passage.document_id for passage in passages]


def test_a_rare_word_finds_its_document_with_the_passage_that_holds_it() -> None:
    corpus = Passages.of(SHOP, embed_texts, longest=40)

    best, *_ = corpus.search("How much does express cost?", 2)

    assert best.document_id == "delivery"
    assert best.title == "Delivery"
    assert best.text == "Express costs four euros."
    assert found(corpus.search("KX-70", 1)) == ["warranty"]


def test_other_words_for_the_same_find_it_too() -> None:
    assert found(Passages.of(SHOP, embed_texts).search("shipping duration for my package", 1)) == ["delivery"]


def test_every_document_is_found_at_most_once_best_first() -> None:
    passages = Passages.of(SHOP, embed_texts, longest=30).search("days", 10)

    assert sorted(found(passages)) == ["delivery", "invoice", "returns", "warranty"]
    scores = [passage.score for passage in passages]
    assert scores == sorted(scores, reverse=True)


def test_a_document_without_paragraphs_is_not_shown_whole() -> None:
    text = "about two hundred thousand words " * 40_000
    passages = list(passages_of(text))
    assert max(map(len, passages)) <= 10 * LONGEST
    assert " ".join(passages).split() == text.split()
    assert max(map(len, passages_of("x" * 1_000_000))) == 10 * LONGEST


def test_what_stands_beside_the_best_comes_up_with_it() -> None:
    def grouped(texts: Sequence[str]) -> np.ndarray:
        groups = ("kettle", "back", "parcels", "opening")
        return np.array([[float(group in text.lower()) for group in groups] for text in texts], dtype=np.float32)

    pages = [
        *SHOP[:2],
        Document(document_id="other", title="Opening hours", text="Nine to five."),
        Document(document_id="kettle-2", title="Kettle, page two", text="Descale it."),
        Document(document_id="kettle-1", title="Kettle, page one", text="Fill in the limescale remover."),
    ]

    assert found(Passages.of(pages, grouped).search("limescale", 2)) == ["kettle-1", "kettle-2"]


def test_without_words_or_documents_nothing_is_found() -> None:
    assert Passages.of([], embed_texts).search("anything", 3) == []
    assert Passages.of(SHOP, embed_texts).search(" ?! ", 3) == []
    assert found(Passages.of([Document(document_id="d", title="...", text="")], blind).search("word", 3)) == ["d"]


def test_ties_are_broken_by_the_order_of_the_documents() -> None:
    same = [Document(document_id=name, title="Tea", text="Green tea") for name in ("b", "a", "c")]

    assert found(Passages.of(same, blind).search("tea", 3)) == ["b", "a", "c"]


def test_a_wrong_question_names_the_remedy() -> None:
    with pytest.raises(ValueError, match="give its newest version only"):
        Passages.of([SHOP[0], SHOP[0]], embed_texts)
    with pytest.raises(ValueError, match="at least one passage, not 0"):
        Passages.of(SHOP, embed_texts).search("tea", 0)


def test_passages_are_whole_paragraphs_and_lose_no_word() -> None:
    text = "## Fees\n\nNone.\n- first item\n- second item\n1. numbered\n\n" + "long " * 30

    cut = list(passages_of(text, 40))

    assert "".join(" ".join(cut).split()) == "".join(text.split())
    assert all(len(passage) <= 40 or passage.startswith("long") for passage in cut)
    assert list(passages_of("")) == [""]


@pytest.fixture(scope="module")
def bank(shared_data: Path) -> tuple[list[Document], list[tuple[str, set[str]]]]:
    """A bank's documents, and what customers say with the documents that serving them takes."""
    folder = shared_data / "tau2_bench" / "banking_knowledge"
    read = [json.loads(file.read_text()) for file in sorted((folder / "documents").glob("*.json"))]
    documents = [Document(document_id=each["id"], title=each["title"], text=each["content"]) for each in read]
    tasks = json.loads((folder / "tasks.json").read_text())
    return documents, [(task["user_scenario"]["instructions"], set(task["required_documents"])) for task in tasks]


def share_found(search: Callable[[str, int], Sequence[ScoredPassage]], tasks: Sequence[tuple[str, set[str]]]) -> float:
    """Mean share of the documents that a task takes among the first ten."""
    return float(np.mean([len(needed & set(found(search(said, 10)))) / len(needed) for said, needed in tasks]))


def test_words_and_meaning_together_find_more_of_a_banks_documents_than_either(
    bank: tuple[list[Document], list[tuple[str, set[str]]]],
) -> None:
    import bm25s

    documents, tasks = bank
    whole = [f"{each.title}\n{each.text}" for each in documents]
    index = bm25s.BM25()
    index.index(bm25s.tokenize(whole, return_ids=False, show_progress=False), show_progress=False)
    vectors = embed_texts(whole)

    def ranked(scores: np.ndarray, k: int) -> list[ScoredPassage]:
        order = np.argsort(-scores, kind="stable")[:k]
        return [ScoredPassage(document_id=documents[at].document_id, title="", text="", score=0.0) for at in order]

    def by_words(said: str, k: int) -> list[ScoredPassage]:
        (tokens,) = bm25s.tokenize([said], return_ids=False, show_progress=False)
        return ranked(index.get_scores(tokens), k)

    def by_meaning(said: str, k: int) -> list[ScoredPassage]:
        return ranked(vectors @ embed_texts([said])[0], k)

    words, meaning = share_found(by_words, tasks), share_found(by_meaning, tasks)
    both = share_found(Passages.of(documents, embed_texts).search, tasks)

    assert words == pytest.approx(0.275, abs=0.01)
    assert meaning == pytest.approx(0.24, abs=0.015)
    assert both > 1.1 * max(words, meaning), f"{both:.3f} against {words:.3f} and {meaning:.3f}"
