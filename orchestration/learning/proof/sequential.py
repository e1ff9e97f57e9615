"""Bounds for results that are looked at more than once.

Here: bounds for looks without end and for a planned number of looks, a confidence sequence for watching at any
moment, and the probability of crossing a bound, which a power calculation needs.
Not here: what is estimated (off_policy, comparison) and what follows from a crossing (evidence).

Everywhere a sum S of martingale differences is held against its variance V: V is the "intrinsic time" of the test,
or its information, and S / sqrt(V) is the z statistic of a look.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Spending = Literal["obrien_fleming", "pocock"]
_REACH = 6.5  # standard deviations beyond which a normal density is nothing to a double's precision


def mixture_rate(horizon: float, alpha: float = 0.05, sides: Literal[1, 2] = 1) -> float:
    """The mixture's rate (1 / V) that makes a confidence sequence about tightest when V is near `horizon`.

    `horizon` in the unit of V, for instance ten times the variance that one turn brings. Any positive value gives a
    valid sequence; it only says where the sequence should be narrow.
    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2021), appendix on the choice of rho.
    """
    if horizon <= 0:
        raise ValueError(f"The horizon must be positive, not {horizon}.")
    log = -2 * math.log(alpha if sides == 2 else 2 * alpha)
    return (log + math.log1p(max(log, 0.0)) + 1) / horizon


def sequence_radius(
    variance: float | Floats, rate: float, alpha: float = 0.05, sides: Literal[1, 2] = 1
) -> float | Floats:
    """How far S may stray from its mean at variance `variance`, at all times at once, but with probability `alpha`.

    One-sided (`sides=1`): P(exists t: S_t - E_t >= radius) <= alpha, with E_t the sum of conditional means, which
    may change from turn to turn. Divide S and radius by the sum of weights for the confidence sequence of the mean.
    Exact, whatever the sample size, when V is the sum of squares of increments that are symmetric about zero given
    the past (de la Peña 1999); otherwise asymptotic, in the sense of Waudby-Smith et al. (2021, Lyapunov type).
    Source: Howard, Ramdas, McAuliffe and Sekhon (2021), normal mixtures, equations 3.6 and 3.7.
    """
    spread = np.asarray(variance, dtype=float) + 1 / rate
    growth = np.sqrt(np.asarray(variance, dtype=float) * rate + 1)
    log = np.log1p(growth / (2 * alpha)) if sides == 1 else np.log(growth / alpha)
    radius = np.sqrt(2 * spread * log)
    return float(radius) if radius.ndim == 0 else radius


def spent(fractions: Sequence[float] | Floats, alpha: float = 0.05, spending: Spending = "obrien_fleming") -> Floats:
    """Error spent by each fraction of the plan, cumulative and one-sided; all of `alpha` at 1.

    Source: Lan and DeMets (1983): `obrien_fleming` spends almost nothing early, `pocock` about evenly.
    """
    from scipy.stats import norm

    at = np.clip(np.asarray(fractions, dtype=float), 1e-12, 1.0)
    if spending == "pocock":
        return alpha * np.log1p((math.e - 1) * at)
    return 2 * norm.sf(norm.isf(alpha / 2) / np.sqrt(at))


def group_sequential_bounds(
    information: Sequence[float] | Floats,
    fractions: Sequence[float] | Floats | None = None,
    alpha: float = 0.05,
    spending: Spending = "obrien_fleming",
) -> Floats:
    """The z value that each planned look must exceed, one-sided: crossing any has probability `alpha` under the null.

    `information` (k,) is the variance V at each look, increasing; `fractions` (k,) the part of the plan that each
    look stands for, by default V over the last V. Halve `alpha` for a bound on either side.
    Source: Lan and DeMets (1983), with the recursion of Armitage, McPherson and Rowe (1969).
    """
    times = _increasing(information)
    part = times / times[-1] if fractions is None else np.asarray(fractions, dtype=float)
    return _recursion(times, drift=0.0, spend=np.diff(spent(part, alpha, spending), prepend=0.0))[0]


def open_ended_bounds(information: Sequence[float] | Floats, alpha: float = 0.05, horizon: float = 5.0) -> Floats:
    """The z value that each look must exceed, one-sided, when there may always be another look.

    Look k has spent alpha k / (k + horizon): half of it by look `horizon`, all of it never. The bounds hold at all
    looks at once, so that estimate minus bound is a confidence sequence over the looks. Because only looks cost, they
    are lower than `sequence_radius` for the first fifty looks (2.4 against 3.5 standard errors at the first).
    Bounds of earlier looks do not change when a look is added. Source: Lan and DeMets (1983), without an end.
    """
    times = _increasing(information)
    looks = np.arange(1.0, len(times) + 1)
    return _recursion(times, drift=0.0, spend=np.diff(alpha * looks / (looks + horizon), prepend=0.0))[0]


def crossing_probability(
    information: Sequence[float] | Floats, bounds: Sequence[float] | Floats, drift: float
) -> Floats:
    """Probability of having crossed a bound by each look, for a sum with mean `drift` times V and variance V.

    `information` (k,) increasing, `bounds` (k,) in z. A mean effect d whose estimate has variance s2 at V = 1 / s2
    has drift d. Source: Armitage, McPherson and Rowe (1969); Jennison and Turnbull (2000), chapter 19.
    """
    times = _increasing(information)
    return np.cumsum(_recursion(times, drift=drift, bounds=np.asarray(bounds, dtype=float))[1])


def _increasing(information: Sequence[float] | Floats) -> Floats:
    times = np.asarray(information, dtype=float)
    if times.ndim != 1 or not len(times) or times[0] <= 0 or np.any(np.diff(times) <= 0):
        raise ValueError("Information must be positive and grow from look to look.")
    return times


@cache
def _quadrature(number: int) -> tuple[Floats, Floats]:
    """Nodes and weights of Gauss and Legendre's rule on [-1, 1]."""
    return np.polynomial.legendre.leggauss(number)


def _recursion(
    times: Floats, drift: float, bounds: Floats | None = None, spend: Floats | None = None
) -> tuple[Floats, Floats]:
    """Bounds in z and the probability of a first crossing at each look; bounds follow `spend` where not given."""
    from scipy.optimize import brentq
    from scipy.special import ndtr

    nodes, weights = _quadrature(max(64, int(20 * math.sqrt(len(times)))))
    limits, first = np.empty(len(times)), np.empty(len(times))
    at, mass, before = np.zeros(1), np.ones(1), 0.0  # where an uncrossed sum is, with what probability, and when
    for look, time in enumerate(times):
        sd = math.sqrt(time - before)
        centres = at + drift * (time - before)

        def beyond(
            edge: float, due: float = 0.0, centres: Floats = centres, mass: Floats = mass, sd: float = sd
        ) -> float:
            return float(mass @ ndtr((centres - edge) / sd)) - due

        top = drift * time + _REACH * math.sqrt(time)
        if bounds is not None:
            edge = float(bounds[look]) * math.sqrt(time)
        else:
            assert spend is not None
            due = float(spend[look])
            edge = brentq(beyond, -top, top, args=(due,), xtol=1e-12) if due > beyond(top) else top
        limits[look], first[look] = edge / math.sqrt(time), beyond(edge)
        low = min(drift * time - _REACH * math.sqrt(time), edge)
        half = (min(edge, top) - low) / 2
        grid = low + half * (nodes + 1)
        density = np.exp(-0.5 * ((grid[:, None] - centres[None, :]) / sd) ** 2) @ mass
        at, mass, before = grid, density * weights * half / (sd * math.sqrt(2 * math.pi)), time
    return limits, first
