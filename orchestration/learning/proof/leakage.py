"""Whether an evaluation has seen its own answers: subjects or texts that stand on both sides of a split.

Here: shared subjects, equal texts and near-identical texts between a training and an evaluation set.
Not here: how to split (by whole subjects, by time: evidence) and what happens when a leak is found (promotion).

Near-identical means a Jaccard similarity of neighbouring word pairs of at least 0.7 by default: one word in twelve
exchanged. Candidate pairs come from MinHash signatures in bands, so that 100,000 texts take seconds; every candidate
is then checked exactly, so that nothing is reported that is not so. Source: Broder (1997); Leskovec, Rajaraman and
Ullman (2014), chapter 3.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np

SIMILARITY = 0.7
_BANDS, _ROWS = 32, 3  # a pair of similarity 0.7 shares a band with probability 1 - (1 - 0.7^3)^32 = 0.999998
_PRIME = (1 << 31) - 1
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SHOWN = 5
_LARGEST_BUCKET = 200
_KEPT = 1 << 17  # texts whose keys are kept: turn after turn holds the same history against new texts


@dataclass(frozen=True)
class Leakage:
    """What is shared: `subjects`, and rows of the evaluation whose text stands in training word for word (`equal`)
    or nearly so (`near`). `share` is the part of evaluation rows touched by any of these; `examples` shows a few."""

    subjects: int
    equal: int
    near: int
    share: float
    examples: tuple[tuple[str, str], ...]

    @property
    def found(self) -> bool:
        return self.share > 0

    @property
    def reason(self) -> str:
        """One sentence with the numbers and, when there is a leak, the remedy."""
        counts = f"{self.subjects} shared subjects, {self.equal} equal and {self.near} near-identical texts"
        if not self.found:
            return f"No leak: {counts} between training and evaluation."
        return f"{self.share:.1%} of the evaluation leaks: {counts}. Split by whole subjects, texts alike in one part."


def shared_subjects_or_near_identical_texts(
    train: Mapping[str, Sequence[str]], evaluation: Mapping[str, Sequence[str]], similarity: float = SIMILARITY
) -> Leakage:
    """Compare two sets of rows, each with the columns `subject_id` and `text` (a polars frame or a mapping of lists).

    Raises KeyError when a column is missing. An empty side shares nothing.
    """
    sides = [([*side["subject_id"]], [str(text) for text in side["text"]]) for side in (train, evaluation)]
    (train_subjects, train_texts), (subjects, texts) = sides
    known = set(train_subjects)
    by_subject = np.array([subject in known for subject in subjects], dtype=bool)
    pairs = near_identical_pairs(train_texts, texts, similarity)
    equal = np.zeros(len(texts), dtype=bool)
    near = np.zeros(len(texts), dtype=bool)
    for _, index, same in pairs:
        (equal if same else near)[index] = True
    near &= ~equal
    touched = by_subject | equal | near
    return Leakage(
        subjects=len({subject for subject, shared in zip(subjects, by_subject, strict=True) if shared}),
        equal=int(equal.sum()),
        near=int(near.sum()),
        share=float(touched.mean()) if len(touched) else 0.0,
        examples=tuple((train_texts[one], texts[two]) for one, two, _ in pairs[:_SHOWN]),
    )


def near_identical_pairs(
    left: Sequence[str], right: Sequence[str], similarity: float = SIMILARITY
) -> list[tuple[int, int, bool]]:
    """For every right text that has one, an equal or else the first near-identical left text.

    Returns (left index, right index, whether equal but for case, punctuation and spacing), by right index.
    """
    left_words, right_words = [normal_text(text) for text in left], [normal_text(text) for text in right]
    first = {words: index for index, words in reversed(list(enumerate(left_words))) if words}
    found = {index: (first[words], True) for index, words in enumerate(right_words) if words in first}
    looked_for = frozenset[int]().union(*(_band_keys(_shingles(words)) for words in right_words if words))
    buckets: dict[int, list[int]] = {}
    for index, words in enumerate(left_words):
        for key in _band_keys(_shingles(words)) & looked_for if words else ():
            bucket = buckets.setdefault(key, [])
            if len(bucket) < _LARGEST_BUCKET:
                bucket.append(index)
    for index, words in enumerate(right_words):
        if index in found or not words:
            continue
        mine = _shingles(words)
        candidates = {other for key in _band_keys(mine) for other in buckets.get(key, ())}
        alike = [other for other in candidates if _jaccard(_shingles(left_words[other]), mine) >= similarity]
        if alike:
            found[index] = (min(alike), False)
    return [(other, index, same) for index, (other, same) in sorted(found.items())]


def groups_of_near_identical(
    subjects: Sequence[str], texts: Sequence[str], similarity: float = SIMILARITY
) -> np.ndarray:
    """Group number (n,) of each row, such that rows of one subject, or with near-identical texts, share a group.

    Splitting by these groups leaves nothing for the check above to find, up to what MinHash misses.
    """
    codes = np.unique(np.array([*subjects], dtype=str), return_inverse=True)[1]
    parent = list(range(int(codes.max()) + 1 if len(codes) else 0))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    normal = [normal_text(text) for text in texts]
    sets = [_shingles(words) for words in normal]
    seen: dict[str, int] = {}
    buckets: dict[int, list[int]] = {}
    for index, own in enumerate(sets):
        if not own:
            continue
        same = seen.setdefault(normal[index], index)
        parent[root(codes[index])] = root(codes[same])
        if same != index:
            continue
        for key in sorted(_band_keys(own)):
            bucket = buckets.setdefault(key, [])
            for other in bucket:
                if root(codes[index]) != root(codes[other]) and _jaccard(sets[index], sets[other]) >= similarity:
                    parent[root(codes[index])] = root(codes[other])
            if len(bucket) < _LARGEST_BUCKET:
                bucket.append(index)
    return np.array([root(code) for code in codes], dtype=int)


@lru_cache(maxsize=_KEPT)
def normal_text(text: str) -> str:
    """The words of a text in lower case, each parted by one space: what equal texts have in common."""
    return " ".join(word.lower().replace("’", "'") for word in _WORD.findall(text))


@lru_cache(maxsize=_KEPT)
def _shingles(words: str) -> frozenset[int]:
    """Hashes of neighbouring word pairs, and of the first and last word; of the word alone for a single word."""
    if not words:
        return frozenset()
    listed = ["", *words.split(), ""]
    pairs = (f"{one} {two}" for one, two in pairwise(listed))
    return frozenset(int.from_bytes(hashlib.blake2b(pair.encode(), digest_size=4).digest()) for pair in pairs)


def _jaccard(one: frozenset[int], two: frozenset[int]) -> float:
    together = len(one | two)
    return len(one & two) / together if together else 0.0


@lru_cache(maxsize=_KEPT)
def _band_keys(values: frozenset[int]) -> frozenset[int]:
    """The keys of a set's bands, in which the band is mixed: a shared key makes two sets candidates."""
    factor, shift, mix = _permutations()
    members = np.fromiter(values, dtype=np.uint64) % _PRIME
    signature = ((members[:, None] * factor + shift) % _PRIME).min(axis=0)
    return frozenset((signature.reshape(_BANDS, _ROWS) * mix).sum(axis=1, dtype=np.uint64).tolist())


@cache
def _permutations() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1997)
    factor, shift = rng.integers(1, _PRIME, (2, _BANDS * _ROWS), dtype=np.uint64)
    return factor, shift, rng.integers(1, 1 << 62, (_BANDS, _ROWS), dtype=np.uint64) | np.uint64(1)
