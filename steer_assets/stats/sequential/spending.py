"""Alpha spending of O'Brien-Fleming type, and the boundaries that spend it.

A study is looked at when shares t_1 < ... < t_K = 1 of its prompts have been answered. With Z_k the
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

import numpy as np
from jaxtyping import Float
from scipy import special

from steer_assets.stats import validation

#: Points of the grid on which densities are integrated, and how far it reaches in each direction.
_POINTS, _REACH = 801, 9.0


def spent(level: float, fraction: float) -> float:
    """One-sided level spent by information ``fraction`` in (0, 1]; raises ValueError outside."""
    validation.level(level)
    if not 0 < fraction <= 1:
        raise ValueError(f"an information fraction lies in (0, 1], not {fraction}")
    return float(2 * special.ndtr(special.ndtri(level / 2) / np.sqrt(fraction)))


def as_fractions(looks: Sequence[float]) -> tuple[float, ...]:
    """Information fractions that rise to 1, or a ValueError that says why not."""
    fractions = tuple(float(look) for look in looks)
    rising = all(a < b for a, b in zip(fractions, fractions[1:], strict=False))
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
    grid = np.linspace(-_REACH, _boundary(found[0]), _POINTS)
    density = _normal(grid)
    for before, now, increment in zip(fractions, fractions[1:], increments[1:], strict=False):
        bound = _solve(grid, density, before, now, float(increment))
        found.append(float(special.ndtr(-bound)))
        new = np.linspace(-_REACH, bound, _POINTS)
        density = _next_density(new, grid, density, before, now)
        grid = new
    return tuple(found)


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
    density: Float[np.ndarray, " n"],
    before: float,
    now: float,
) -> Float[np.ndarray, " m"]:
    """Density of Z_now at ``new`` on the paths that had not stopped before."""
    rho, s = _step(before, now)
    kernel = _normal((new[:, None] - rho * grid) / s) / s
    return np.asarray(np.trapezoid(kernel * density, grid, axis=1))


def _solve(
    grid: Float[np.ndarray, " n"],
    density: Float[np.ndarray, " n"],
    before: float,
    now: float,
    increment: float,
) -> float:
    """The boundary beyond which the next look stops with probability ``increment``, by bisection.

    P(Z_now >= b and not stopped) falls in b.
    """
    rho, s = _step(before, now)
    low, high = -_REACH, _REACH
    for _ in range(60):
        middle = (low + high) / 2
        beyond = special.ndtr((rho * grid - middle) / s)
        if np.trapezoid(beyond * density, grid) > increment:
            low = middle
        else:
            high = middle
    return (low + high) / 2
