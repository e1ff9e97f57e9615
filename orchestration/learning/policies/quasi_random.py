"""Normals that are the same for ever and cover their distribution evenly: what posterior draws are made of.

Here: draws of several coefficients at once, and of one that is known by its name alone.
Not here: what is drawn with them (contextual).
"""

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from orchestration.learning.policies.choice import canonical

Floats = NDArray[np.float64]
DRAWS = 256


@lru_cache(maxsize=32)
def normals(size: int) -> Floats:
    """Quasi-random normals (256, size), the same for ever: a scrambled Sobol sequence (Sobol 1967, Owen 1995)."""
    from scipy.special import ndtri
    from scipy.stats.qmc import Sobol

    points = Sobol(size, scramble=True, rng=np.random.default_rng(20)).random(DRAWS)
    return ndtri(np.clip(points, 1e-6, 1 - 1e-6))


@lru_cache(maxsize=4096)
def normals_of(name: str, level: str) -> Floats:
    """Normals (256,) that belong to a name and level alone, stratified so that their mean and spread are exact."""
    from scipy.special import ndtri

    seed = int.from_bytes(hashlib.sha256(canonical([name, level]).encode()).digest()[:8], "big")
    return ndtri((np.random.default_rng(seed).permutation(DRAWS) + 0.5) / DRAWS)
