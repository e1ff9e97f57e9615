"""How much of an exposure's reward can have come by now: feedback that is late is not feedback that is bad.

Here: the share of rewards that arrive within an age, and units counted by it, so that allocation can use a turn whose
outcome windows are still open. Not here: attribution of outcomes to exposures (dbt) and allocation itself.

An exposure of age a, of which a share F(a) of rewards arrives in time, is worth F(a) units: rewards over such units is
an unbiased rate as soon as the first results are in. Source: Vernade, Cappe and Perchet (2017), eq. 2.
"""

import numpy as np


def arrived_share(ages: np.ndarray, delays: np.ndarray, window: float) -> np.ndarray:
    """Share (n,) of rewards expected to have come for exposures of `ages` (n,), in the same unit as `window`.

    `delays` (m,) are the delays of rewards whose exposures are older than `window`: younger ones would count quick
    rewards too often. Their distribution is mixed with an even one over the window at the weight of one reward, so that
    without any history an exposure counts in proportion to its age. 1 once the window has closed.
    Raises ValueError for a delay outside the window, which attribution should have refused.
    """
    if window <= 0 or (len(delays) and not 0 <= delays.min() <= delays.max() <= window):
        raise ValueError(f"Delays must lie between 0 and the window of {window}: count outcomes within it only.")
    known = np.sort(delays)
    within = np.clip(ages / window, 0.0, 1.0)
    return np.where(ages >= window, 1.0, (np.searchsorted(known, ages, side="right") + within) / (len(known) + 1))


def effective_units(variant: np.ndarray, ages: np.ndarray, delays: np.ndarray, window: float) -> np.ndarray:
    """Units (k,) of each variant, every exposure counted by how much of its reward can have come.

    variant (n,) codes from 0, ages (n,); `delays` and `window` as in arrived_share. Goes where allocation takes units.
    """
    return np.bincount(variant, arrived_share(ages, delays, window))
