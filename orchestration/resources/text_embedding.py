"""Embeddings of texts, from weights that come with the installation.

Here: loading wordllama without a network, once a process, and only when a text is to be embedded.
Not here: what an embedding is used for (learning.reward_model).
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wordllama.inference import WordLlamaInference

DIMENSIONS = 256


@cache
def _model() -> "WordLlamaInference":
    import wordllama

    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)


def embed_texts(texts: Sequence[str]) -> np.ndarray:
    """Embeddings of texts, (n, DIMENSIONS) float32: means of token vectors, not normalised; zeros for no token."""
    if not texts:
        return np.empty((0, DIMENSIONS), dtype=np.float32)
    return np.nan_to_num(np.asarray(_model().embed(list(texts)), dtype=np.float32))
