"""p-values of a sequential test, and the conditional power of continuing.

The *sequential p-value* after look k is the smallest level at which the group-sequential test would
have rejected by then (Jennison & Turnbull 1989; Liu & Anderson 2008). It is a valid p-value under
any stopping rule, does not increase from look to look, and replaces the p-value of a fixed test in
any closed procedure (Holm, gates, intersection-union: Maurer & Bretz 2013). With one look it is the
p-value itself.

*Conditional power* is the probability that the last look rejects, given the data so far and their
trend: with Z at fraction t, drift Z / sqrt t, and boundary b at the end,

    Phi((Z / sqrt t - b) / sqrt(1 - t))

(Lan & Wittes 1988); with another drift d for the rest of the study, Z sqrt t + d (1 - t) takes the
place of Z / sqrt t.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import special
from scipy.interpolate import PchipInterpolator

from steer_assets.stats import validation
from steer_assets.stats.sequential.spending import as_fractions, nominal_levels

_LEAST = 1e-12


def sequential_p(p_values: Sequence[float], looks: Sequence[float]) -> float:
    """Sequential p-value after ``len(p_values)`` looks.

    Args:
        p_values: one-sided p-value of each look so far, each from all prompts up to it.
        looks: information fractions of the study, rising to 1, at least as many.

    Raises:
        ValueError: no p-value, more of them than looks, or one outside [0, 1].
    """
    fractions = as_fractions(looks)
    if not 0 < len(p_values) <= len(fractions):
        raise ValueError(f"{len(p_values)} p-values for {len(fractions)} looks")
    if any(not 0 <= p <= 1 for p in p_values):
        raise ValueError(f"p-values must lie in [0, 1], not {list(p_values)}")
    if len(fractions) == 1:
        return float(p_values[0])
    return min(_level_of(float(p), k, fractions) for k, p in enumerate(p_values))


def two_sided_sequential_p(
    p_values: Sequence[float], effects: Sequence[float], looks: Sequence[float]
) -> float:
    """Sequential p-value of a two-sided test: twice the smaller one of both directions.

    Args:
        p_values: two-sided p-value of each look so far.
        effects: the difference at each of these looks; its sign is that of the statistic.
        looks: information fractions of the study, rising to 1.

    Raises:
        ValueError: as ``sequential_p``, or effects of other looks.
    """
    if len(as_fractions(looks)) == 1 and len(p_values) == len(effects) == 1:
        return sequential_p(p_values, looks)
    pairs = list(zip(p_values, effects, strict=True))
    up = [p / 2 if effect > 0 else 1 - p / 2 for p, effect in pairs]
    down = [p / 2 if effect < 0 else 1 - p / 2 for p, effect in pairs]
    return min(1.0, 2 * min(sequential_p(up, looks), sequential_p(down, looks)))


def _level_of(p: float, look: int, looks: tuple[float, ...]) -> float:
    """The level whose nominal level at ``look`` is ``p``; it rises with p."""
    if p >= 0.5:
        return 1.0
    if look == 0:
        return float(2 * special.ndtr(special.ndtri(p / 2) * np.sqrt(looks[0]))) if p > 0 else 0.0

    level_of = _levels(looks)[look]
    z = float(np.clip(-special.ndtri(max(p, 1e-300)), level_of.x[0], level_of.x[-1]))
    return float(special.ndtr(-level_of(z)))


@lru_cache(maxsize=64)
def _levels(looks: tuple[float, ...]) -> list[PchipInterpolator]:
    """For every look, z of the level of the study by the boundary at that look.

    Solving for one level takes 5 ms, interpolating one 0.02; they agree within 1e-6 of the level.
    """
    grid = np.linspace(special.ndtri(_LEAST), 4.0, 240)[::-1]  # of z of the level, negated
    nominal = np.array([nominal_levels(float(special.ndtr(z)), looks) for z in grid])
    found = []
    for column in nominal.T:
        bounds, first = np.unique(-special.ndtri(column), return_index=True)
        found.append(PchipInterpolator(bounds, -grid[first]))
    return found


def conditional_power(
    p: float, look: int, looks: Sequence[float], level: float, *, drift: float | None = None
) -> float:
    """Probability that the last look rejects at ``level``, if the trend continues.

    Args:
        p: one-sided p-value at ``look`` (from 0), from all prompts up to it.
        look: an interim look; at the last look the result is 0 or 1.
        looks: information fractions, rising to 1.
        level: one-sided level of the whole study.
        drift: expected Z of the whole study that the rest of it follows, if not its own Z / sqrt t.

    Raises:
        ValueError: a look that does not exist, or a p-value or level outside its range.
    """
    fractions = as_fractions(looks)
    if not 0 <= look < len(fractions):
        raise ValueError(f"look {look} is none of {len(fractions)}")
    if not 0 <= p <= 1:
        raise ValueError(f"a p-value lies in [0, 1], not {p}")
    last = nominal_levels(validation.level(level), fractions)[-1]
    if look == len(fractions) - 1:
        return float(p <= last)
    t = fractions[look]
    z, bound = -special.ndtri(min(max(p, 1e-300), 1 - 1e-16)), -special.ndtri(last)
    ahead = z / np.sqrt(t) if drift is None else drift
    expected = z * np.sqrt(t) + ahead * (1 - t)
    return float(special.ndtr((expected - bound) / np.sqrt(1 - t)))
