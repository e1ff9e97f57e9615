"""A reward for every option and subject: a Bayesian model of option columns times subject columns.

Here: the posterior of the coefficients, with the spread of each group of them estimated from the same rows.
Not here: which columns there are (encoding) and how options are chosen (contextual).

The expected reward (its log odds for 0/1 rewards) is p' B z: option columns p (k, a), subject columns z (n, b). Rows of
one option share p, so that all sums are taken per option over b columns and only then multiplied out: 800,000 rows
with 400 products cost what 800,000 rows with 20 columns do. What is left is as many rows as products, with the same
sums of squares, on which scikit-learn's BayesianRidge maximises the evidence.
Sources: MacKay (1992), Bayesian interpolation; grouped spreads by his fixed point, which counts the coefficients that
the rows determine; log odds by iteratively reweighted least squares with random effects, Breslow and Clayton (1993).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Link = Literal["logit", "log", "identity"]
STEPS = 20
PRIOR_COLUMNS = 2.0  # how many coefficients the prior guess of a group's spread is worth
OVERALL_PRIOR = 50.0  # and the guess, 1, of the factor common to all groups: twice this many
KNOWN = 1e9  # how many rows' worth of knowledge fixes the noise


@dataclass(frozen=True, kw_only=True)
class Products:
    """Which products of an option column and a subject column the model has: their indices (d,) and group (d,)."""

    option: Ints
    subject: Ints
    group: Ints

    def sums(
        self, options: Floats, subjects: Floats, by_option: Sequence[Ints], weights: Floats, target: Floats
    ) -> tuple[Floats, Floats]:
        """Weighted sums (d, d) of squares and products, and (d,) of products with the target."""
        squares = np.zeros((len(self.option), len(self.option)))
        products = np.zeros(len(self.option))
        for p, rows in zip(options, by_option, strict=True):
            if not len(rows):
                continue
            z = subjects[rows]
            weighted = z * weights[rows, None]
            own = p[self.option]
            squares += np.outer(own, own) * (z.T @ weighted)[np.ix_(self.subject, self.subject)]
            products += own * (weighted.T @ target[rows])[self.subject]
        return squares, products

    def by_option(self, options: Floats, coefficients: Floats, width: int) -> Floats:
        """Coefficients (..., d) as those of the subject columns for each option (..., k, `width`)."""
        made = np.zeros((*coefficients.shape[:-1], len(options), width))
        for column, (a, b) in enumerate(zip(self.option, self.subject, strict=True)):
            made[..., b] += coefficients[..., column, None] * options[:, a]
        return made


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """Mean (d,) and covariance (d, d) of the coefficients, and the spread (g,) of each group."""

    mean: Floats
    covariance: Floats
    spreads: Floats


def posterior(
    products: Products,
    options: Floats,
    subjects: Floats,
    chosen: Ints,
    rewards: Floats,
    *,
    link: Link,
    spreads: Floats,
    fixed: NDArray[np.bool_],
    offset: Floats | None = None,
) -> Posterior:
    """What rewards (n,) say of the products, from rows that chose option `chosen` (n,) for `subjects` (n, b).

    `spreads` (g,) are prior guesses of the groups' standard deviations, kept where `fixed`. Rewards are 0 or 1 for
    the link `logit`, counts for `log`. A group's spread never reaches zero: what is not yet seen to matter may still.
    `offset` (n,) is added to the linear predictor, for what is expected before any row.
    """
    by_option = [np.flatnonzero(chosen == option) for option in range(len(options))]
    tau = spreads[products.group].astype(float)
    sizes = np.bincount(products.group, minlength=len(spreads))
    noise = max(float(rewards.var()), 1e-12) if link == "identity" else 1.0
    known = np.zeros(len(rewards)) if offset is None else offset
    weights, target = np.ones(len(rewards)), rewards - known
    eta = np.full(len(rewards), _level(rewards, link)) + known
    sums = products.sums(options, subjects, by_option, weights, target)
    mean = np.zeros(len(tau))
    for step in range(STEPS):
        if link != "identity":
            expected = mean_reward(np.clip(eta, -12, 12), link)
            weights = np.maximum(expected * (1 - expected) if link == "logit" else expected, 1e-5)
            target = eta - known + (rewards - expected) / weights
            sums = products.sums(options, subjects, by_option, weights, target)
        before, was = mean, tau
        mean, variance = _solved(*sums, tau, noise)
        slopes = products.by_option(options, mean, subjects.shape[1])
        eta = np.einsum("nb,nb->n", subjects, slopes[chosen]) + known
        doubt = np.minimum(variance / tau**2, 1.0)
        if link == "identity":
            noise = float(((rewards - eta) ** 2).sum()) / max(len(rewards) - (1 - doubt).sum(), 1.0)
        squared, doubted = (np.bincount(products.group, weights=of, minlength=len(spreads)) for of in (mean**2, doubt))
        estimated = np.sqrt((PRIOR_COLUMNS * spreads**2 + squared) / (PRIOR_COLUMNS + sizes - doubted))
        estimated[fixed] = spreads[fixed]
        tau = estimated[products.group]
        moved = np.abs(tau / was - 1).max() + np.abs(mean - before).max() / max(np.abs(mean).max(), 1e-12)
        if step >= 3 and moved < 0.05:
            break
    mean, covariance = _maximised(*sums, float(weights @ target**2), tau, len(rewards), link)
    return Posterior(mean=mean, covariance=covariance, spreads=estimated)


def _solved(squares: Floats, crossed: Floats, tau: Floats, noise: float) -> tuple[Floats, Floats]:
    """Mean and variances (d,) of coefficients with prior standard deviations `tau`, from the rows' sums."""
    from scipy.linalg import cho_factor, cho_solve

    scaled = squares * np.outer(tau, tau) / noise
    inverse = cho_solve(cho_factor(scaled + np.eye(len(tau)), lower=True), np.eye(len(tau)))
    return tau * (inverse @ (crossed * tau / noise)), tau**2 * np.diag(inverse)


def _maximised(
    squares: Floats, crossed: Floats, total: float, tau: Floats, rows: int, link: Link
) -> tuple[Floats, Floats]:
    """Mean and covariance where scikit-learn finds the evidence greatest, the proportions of spreads being `tau`.

    Fewer rows with the same sums stand for all: the lost ones are added to the prior of the noise, which leaves the
    evidence's maximum where it was. For log odds and counts the noise has variance 1, as working residuals do.
    """
    from sklearn.linear_model import BayesianRidge

    size = len(tau)
    scaled = np.empty((size + 1, size + 1))
    scaled[:size, :size] = squares * np.outer(tau, tau)
    scaled[size, :size] = scaled[:size, size] = crossed * tau
    scaled[size, size] = total
    values, vectors = np.linalg.eigh(scaled)
    stand_in = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    known = link != "identity"
    model = BayesianRidge(
        fit_intercept=False,
        alpha_init=1.0 if known else rows / max(total, 1e-12),
        alpha_1=KNOWN if known else max((rows - size - 1) / 2, 1e-6),
        alpha_2=KNOWN if known else 1e-12 * total,
        lambda_init=1.0,
        lambda_1=OVERALL_PRIOR,
        lambda_2=OVERALL_PRIOR,
    ).fit(stand_in[:, :size], stand_in[:, size])
    return model.coef_ * tau, model.sigma_ * np.outer(tau, tau)


def mean_reward(predictor: Floats, link: Link) -> Floats:
    """Expected rewards of linear predictors, of any shape."""
    if link == "identity":
        return predictor
    return np.exp(predictor) if link == "log" else 1 / (1 + np.exp(-predictor))


def _level(rewards: Floats, link: Link) -> float:
    """The linear predictor of the mean reward."""
    if link == "identity":
        return 0.0
    rate = (float(rewards.sum()) + 0.5) / (len(rewards) + 1)
    return float(np.log(rate / (1 - rate) if link == "logit" else rate))
