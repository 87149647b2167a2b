"""A last look that is larger than planned: how large, and its test.

What early stops save may go to what is still open, as further samples of the prompts of the last
look. Its size then depends on results, and a test of all texts together would not hold its level.
The weights of the parts are therefore those of the plan (Cui, Hung & Wang 1999; Lehmacher & Wassmer
1999): with Z_1 of all prompts up to the look before, at information fraction t, and Z_2 of the
prompts of the last look alone,

    Z = sqrt(t) Z_1 + sqrt(1 - t) Z_2.

The prompts of both parts are disjoint, so that under the hypothesis Z_2 is standard normal whatever
Z_1 was, however many samples were chosen because of it or of anything else up to then. Z thus has
the joint distribution of the planned looks, and their boundaries and sequential p-values stand.
"""

from __future__ import annotations

import numpy as np
from scipy import special

_LEAST, _MOST = 1e-300, 1 - 1e-16


def further_samples(samples: int, before: float, extra: float, saved: int, cost: int) -> int:
    """Further samples of every prompt of the last look.

    Args:
        samples: of every prompt by the plan.
        before: share of the prompts of all looks before the last, in [0, 1).
        extra: greatest size of an arm, in shares of its planned texts, at least 1.
        saved: planned texts that are not made.
        cost: texts of one further sample.

    Raises:
        ValueError: a number outside its range.
    """
    if samples < 1 or not 0 <= before < 1 or extra < 1 or min(saved, cost) < 0:
        raise ValueError(f"{samples} samples, {before=}, {extra=}, {saved=}, {cost=}")
    if cost == 0:
        return 0
    most = int(samples * (extra - 1) / (1 - before) + 1e-9)
    return min(most, saved // cost)


def one_sided(before: float, since: float, fraction: float) -> float:
    """One-sided p-value of both parts.

    Args:
        before: of all prompts up to the look before.
        since: of the prompts of the last look alone.
        fraction: planned information fraction of the look before, in (0, 1).

    Raises:
        ValueError: a p-value or the fraction outside its range.
    """
    return float(special.ndtr(-_combined(_z(before), _z(since), fraction)))


def two_sided(
    before: tuple[float, float], since: tuple[float, float], fraction: float
) -> tuple[float, float]:
    """Two-sided p-value of both parts, and the sign of their statistic.

    Args:
        before, since: two-sided p-value, and effect, of which the sign counts; see ``one_sided``.
        fraction: planned information fraction of the look before, in (0, 1).

    Raises:
        ValueError: a p-value or the fraction outside its range.
    """
    first, second = (float(np.sign(effect)) * _z(p / 2) for p, effect in (before, since))
    z = _combined(first, second, fraction)
    return float(2 * special.ndtr(-abs(z))), float(np.sign(z))


def _z(p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"a p-value lies in [0, 1], not {p}")
    return float(-special.ndtri(np.clip(p, _LEAST, _MOST)))


def _combined(before: float, since: float, fraction: float) -> float:
    if not 0 < fraction < 1:
        raise ValueError(f"an earlier look has a fraction in (0, 1), not {fraction}")
    return float(np.sqrt(fraction) * before + np.sqrt(1 - fraction) * since)
