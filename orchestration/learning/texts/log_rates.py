"""From units and rewards to differences of log rates within a subject, with what each is worth.

Here: the quasi-Poisson working model that the recipe policy, the reward model and allocation share, and the spread
of effects that it leaves. Not here: what explains an effect (recipes, texts) and what is done with it (allocation).

A subject s has its own level; its variant i earns `rewards[i]` from `units[i]`. Given the subject's total, Poisson
counts are multinomial in n_i exp(eta_i), so the level drops out and low counts need no continuity correction: around
any eta the score is (r_i - mu_i) / mu_i with variance dispersion / mu_i, where mu_i spreads the subject's total over
its variants. Source: McCullagh and Nelder (1989), chapters 6.4 and 9 (quasi-likelihood); Breslow and Clayton (1993)
for adding a normal effect of variance `spread` to the working variance (penalised quasi-likelihood).
"""

from dataclasses import dataclass

import numpy as np


def dispersion(units: np.ndarray, rewards: np.ndarray, squares: np.ndarray) -> float:
    """Variance of a total of rewards over its mean, pooled over rows: 1 - rate for yes or no, the size for amounts.

    units, rewards, squares (n,): how many, their sum, the sum of their squares. Returns 1 without any reward.
    """
    total = float(rewards.sum())
    if total <= 0:
        return 1.0
    around = squares - np.divide(rewards**2, units, out=np.zeros_like(rewards, dtype=float), where=units > 0)
    return float(max(np.maximum(around, 0).sum() / total, 1e-3 * squares.sum() / total))


@dataclass(frozen=True)
class Within:
    """Working data of variants within subjects: `subject` (n,) codes from 0, `effect` (n,) log ratios, `noise` (n,)
    their sampling variances. The level of `effect` is the subject's own and means nothing: only differences count."""

    subject: np.ndarray
    effect: np.ndarray
    noise: np.ndarray

    def weights(self, spread: float) -> np.ndarray:
        """Precision (n,) of each effect when effects also vary by `spread` (a variance) for reasons unknown."""
        return 1.0 / (self.noise + spread)

    def centred(self, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """`values` (n,) or (n, p) minus their weighted mean within the subject: the level profiled out."""
        total = np.bincount(self.subject, weights)
        if values.ndim == 1:
            return values - (np.bincount(self.subject, weights * values) / total)[self.subject]
        means = subject_sums(self.subject, values * weights[:, None]) / total[:, None]
        return values - means[self.subject]

    def spread(self, explained: np.ndarray | float = 0.0, parameters: int = 0) -> float:
        """Variance of effects beyond noise and `explained` (n,): Paule and Mandel (1982), within subjects.

        The root of Q(spread) = degrees of freedom, where Q is the weighted sum of squares around the subject's mean;
        0 when noise alone explains the differences. `parameters` were estimated from the same rows.
        """
        freedom = len(self.subject) - len(np.unique(self.subject)) - parameters
        if freedom <= 0:
            return 0.0
        left = self.effect - explained

        def excess(spread: float) -> float:
            weights = self.weights(spread)
            return float((weights * self.centred(left, weights) ** 2).sum()) - freedom

        low, high = 0.0, 1.0
        if excess(low) <= 0:
            return 0.0
        while excess(high) > 0 and high < 1e3:
            high *= 4
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if excess(middle) > 0 else (low, middle)
        return (low + high) / 2


def within_subjects(
    subject: np.ndarray,
    units: np.ndarray,
    rewards: np.ndarray,
    predicted: np.ndarray | float = 0.0,
    scale: float = 1.0,
) -> tuple[Within, np.ndarray]:
    """Working effects around `predicted` (n,) log ratios, and the mask (n,) of the rows that carry information.

    subject (n,) codes; units, rewards (n,) >= 0; `scale` is the dispersion. Rows without units, and subjects without
    a reward or with one variant, say nothing about differences and are left out.
    """
    eta = np.broadcast_to(np.asarray(predicted, dtype=float), units.shape)
    rewards = np.maximum(rewards, 0.0)
    size = int(subject.max()) + 1 if len(subject) else 0
    met = units > 0
    variants = np.bincount(subject[met], minlength=size)
    total = np.bincount(subject, rewards, minlength=size)
    used = met & (total[subject] > 0) & (variants[subject] > 1)
    codes = np.unique(subject[used], return_inverse=True)[1]
    expected = units[used] * np.exp(eta[used])
    level = np.bincount(codes, rewards[used]) / np.bincount(codes, expected) if len(codes) else np.empty(0)
    mu = expected * level[codes]
    effect = eta[used] + (rewards[used] - mu) / mu
    return Within(codes, effect, scale / mu), used


def subject_sums(subject: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sums of `values` (n, p) by subject code: (subjects, p)."""
    from scipy.sparse import csr_array

    ones = np.ones(len(subject), dtype=values.dtype)
    shape = (int(subject.max(initial=-1)) + 1, len(subject))
    return csr_array((ones, (subject, np.arange(len(subject)))), shape=shape) @ values
