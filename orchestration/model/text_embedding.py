"""Embeddings of texts, from weights that come with the installation.

Here: loading wordllama without a network, once a process, and only when a text is to be embedded.
Not here: what an embedding is used for (learning.texts.reward_model).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from orchestration.learning.texts.text_features import word_hashes

if TYPE_CHECKING:
    from wordllama.inference import WordLlamaInference

MEANING, WORDS = 256, 256
DIMENSIONS = MEANING + WORDS


@cache
def _model() -> "WordLlamaInference":
    import wordllama

    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)


def embed_texts(texts: Sequence[str]) -> np.ndarray:
    """Embeddings of texts, (n, DIMENSIONS) float32: the mean of token vectors, then which words occur.

    Each half has length one, or zero for a text without words, so that inner products are similarities of meaning
    and of wording.
    """
    if not texts:
        return np.empty((0, DIMENSIONS), dtype=np.float32)
    vectors = np.nan_to_num(np.asarray(_model().embed(list(texts)), dtype=np.float32))
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.hstack([vectors, word_hashes(texts, WORDS).astype(np.float32)])
