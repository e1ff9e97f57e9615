"""Whether units arrived in the shares that a release asked for.

Here: the p-value of a sample-ratio mismatch, for one subject and for many.
Not here: the threshold and what a mismatch blocks (evidence, expectations).

A mismatch means that assignment, logging or filtering depends on the variant, so that no comparison can be trusted.
"""

from collections.abc import Iterable, Sequence

import numpy as np


def sample_ratio_p_value(observed: Sequence[float], shares: Sequence[float]) -> float:
    """Probability of counts at least as far from `shares` as `observed`, were the shares true.

    `observed` (k,) units of each variant; `shares` (k,) positive, scaled to sum to 1 here. 1.0 with fewer than two
    variants or no unit. Raises ValueError on negative counts, shares that are not positive, or unequal lengths.
    Source: Pearson's chi-square as used by Fabijan et al. (2019); its exact moments as in `pooled_...`.
    """
    return pooled_sample_ratio_p_value([(observed, shares)])


def pooled_sample_ratio_p_value(subjects: Iterable[tuple[Sequence[float], Sequence[float]]]) -> float:
    """The same for many subjects at once, each (observed, shares): does assignment as a whole go wrong?

    Pearson statistics are added and held against a scaled chi-square with their exact mean and variance under the
    multinomial distribution, so that shares of 1 % and subjects with a dozen units do not raise false alarms. For large
    counts this is the plain chi-square test. Source: moments of Haldane (1937), matching of Satterthwaite (1946).
    """
    from scipy.stats import chi2

    statistic = mean = variance = 0.0
    for observed, shares in subjects:
        counts, parts = np.asarray(observed, dtype=float), np.asarray(shares, dtype=float)
        if counts.shape != parts.shape or counts.ndim != 1:
            raise ValueError(f"Need one share for each count; got {counts.shape} counts and {parts.shape} shares.")
        if (counts < 0).any() or not (parts > 0).all():
            raise ValueError("Counts must not be negative, and every variant that can be met has a positive share.")
        total, k = counts.sum(), len(counts)
        if total == 0 or k < 2:
            continue
        parts = parts / parts.sum()
        statistic += float(((counts - total * parts) ** 2 / (total * parts)).sum())
        mean += k - 1
        variance += 2 * (k - 1) + (float((1 / parts).sum()) - k * k - 2 * k + 2) / total
    if mean == 0:
        return 1.0
    if variance <= 0:  # one unit on even shares, whichever it met: nothing that could surprise
        return 1.0
    scale = variance / (2 * mean)
    return float(chi2.sf(statistic / scale, mean / scale))


def mismatched(p_values: Sequence[float], false_discoveries: float = 0.01) -> np.ndarray:
    """Which subjects of a turn are mismatched, as booleans (s,), of those flagged at most that share falsely.

    In a sound turn hardly anything is flagged (in at most 1 % of such turns, any subject at all); in a turn whose
    assignment is broken, doubtful subjects are flagged too. Source: Benjamini and Hochberg (1995).
    """
    p = np.asarray(p_values, dtype=float)
    if not len(p):
        return np.zeros(0, dtype=bool)
    ordered = np.sort(p)
    below = np.flatnonzero(ordered <= false_discoveries * np.arange(1, len(p) + 1) / len(p))
    return p <= (ordered[below[-1]] if len(below) else -1.0)
