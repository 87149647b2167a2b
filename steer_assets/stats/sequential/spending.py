"""Alpha spending of O'Brien-Fleming type, and the boundaries that spend it.

A study is analysed when shares t_1 < ... < t_K = 1 of its prompts have been completed. With Z_k the
test statistic at look k, Cov(Z_i, Z_j) = sqrt(t_i / t_j) for i <= j (independent increments of the
sum of prompt-level values). Lan & DeMets (1983) spend by look k, of a one-sided level a,

    a*(t) = 2 (1 - Phi(z_{1 - a/2} / sqrt t)),   a*(1) = a,

little at first, so that the last look is tested at nearly the whole level. The boundary b_k solves

    P(Z_1 < b_1, ..., Z_{k-1} < b_{k-1}, Z_k >= b_k) = a*(t_k) - a*(t_{k-1}),

by numerical integration of the density of the sum over the region that has not stopped (Armitage,
McPherson & Rowe 1969; Jennison & Turnbull 2000, chapter 19).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from scipy import optimize, special

from steer_assets.stats import validation

#: Nodes of the Gauss-Legendre rule for integrating densities, and the half-width of the region.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_REACH = 9.0


def spent(level: float, fraction: float) -> float:
    """One-sided level spent by information ``fraction`` in (0, 1]; raises ValueError outside."""
    validation.level(level)
    if not 0 < fraction <= 1:
        raise ValueError(f"an information fraction lies in (0, 1], not {fraction}")
    return float(2 * special.ndtr(special.ndtri(level / 2) / np.sqrt(fraction)))


def as_fractions(looks: Sequence[float]) -> tuple[float, ...]:
    """Information fractions that rise to 1; raises ValueError with the reason otherwise."""
    fractions = tuple(float(look) for look in looks)
    rising = all(a < b for a, b in pairwise(fractions))
    if not fractions or not rising or fractions[0] <= 0 or fractions[-1] != 1:
        raise ValueError(f"looks must rise from above 0 to 1, not {list(looks)}")
    return fractions


@lru_cache(maxsize=4096)
def nominal_levels(level: float, looks: tuple[float, ...]) -> tuple[float, ...]:
    """One-sided level at which the p-value of each look is tested, K of them.

    All tests together reject a true hypothesis with probability ``level``.

    Args:
        level: one-sided level of the whole study, in (0, 1).
        looks: information fractions, rising to 1.

    Raises:
        ValueError: a level or fractions outside their range.
    """
    fractions = as_fractions(looks)
    validation.level(level)
    increments = np.diff([0.0, *(spent(level, t) for t in fractions)])
    found = [float(increments[0])]
    grid, weights = _rule(_boundary(found[0]))
    mass = weights * _normal(grid)
    for (before, now), increment in zip(pairwise(fractions), increments[1:], strict=True):
        bound = _solve(grid, mass, before, now, float(increment))
        found.append(float(special.ndtr(-bound)))
        new, weights = _rule(bound)
        mass, grid = weights * _next_density(new, grid, mass, before, now), new
    return tuple(found)


def _rule(bound: float) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Nodes and weights on [-_REACH, bound]."""
    half = (bound + _REACH) / 2
    return half * (_NODES + 1) - _REACH, half * _WEIGHTS


def _boundary(p: float) -> float:
    return min(_REACH, float(-special.ndtri(p))) if p > 0 else _REACH


def _normal(z: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return np.asarray(np.exp(-z * z / 2) / np.sqrt(2 * np.pi))


def _step(before: float, now: float) -> tuple[float, float]:
    """Z_now given Z_before = z is normal with mean rho z and standard deviation s."""
    rho = np.sqrt(before / now)
    return float(rho), float(np.sqrt(1 - rho * rho))


def _next_density(
    new: Float[np.ndarray, " m"],
    grid: Float[np.ndarray, " n"],
    mass: Float[np.ndarray, " n"],
    before: float,
    now: float,
) -> Float[np.ndarray, " m"]:
    """Density of Z_now at ``new`` on the paths that had not stopped before."""
    rho, s = _step(before, now)
    kernel = _normal((new[:, None] - rho * grid) / s) / s
    return np.asarray(kernel @ mass)


def _solve(
    grid: Float[np.ndarray, " n"],
    mass: Float[np.ndarray, " n"],
    before: float,
    now: float,
    increment: float,
) -> float:
    """The boundary beyond which the next look stops with probability ``increment``."""
    rho, s = _step(before, now)

    def excess(bound: float) -> float:
        return float(special.ndtr((rho * grid - bound) / s) @ mass) - increment

    if excess(_REACH) >= 0:
        return _REACH
    return float(optimize.brentq(excess, -_REACH, _REACH, xtol=1e-10))
