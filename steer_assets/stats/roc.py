"""Can a scorer tell the trait from its opposite: AUROC with an interval.

AUROC = P(positive > negative) + P(tie) / 2. Interval: DeLong et al. (1988) variance from the
placements of every text among those of the other pole, on the logit scale, so that it stays within
0 and 1 and is not symmetric near 1 (Qin & Hotilovac 2008). At perfect separation that variance is
zero, and an interval of no width would claim certainty from five texts; there it is Newcombe's
(2006) method 5, which takes the variance at the tested AUROC and not at the observed one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special
from scipy.stats import rankdata

from steer_assets.stats import validation


@dataclass(frozen=True, slots=True)
class Auroc:
    """AUROC with its interval and the number of texts of either pole."""

    auroc: float
    low: float
    high: float
    n_positive: int
    n_negative: int


def auroc(positive: ArrayLike, negative: ArrayLike, *, level: float = 0.95) -> Auroc:
    """AUROC of scores of texts that have the trait against those that have its opposite.

    Args:
        positive: scores of texts with the trait ``[n]``.
        negative: scores of texts with its opposite ``[m]``.
        level: coverage.

    Returns:
        The AUROC; with one score for all texts it is 0.5 and nothing is known: 0 to 1.

    Raises:
        ValueError: fewer than two texts of a pole, values not finite.
    """
    validation.level(level)
    high, low = validation.vector(positive, "positive"), validation.vector(negative, "negative")
    n, m = len(high), len(low)
    ranks = rankdata(np.concatenate([high, low]))
    above = (ranks[:n] - rankdata(high)) / m
    below = 1 - (ranks[n:] - rankdata(low)) / n
    area = float(above.mean())
    if np.ptp(ranks) == 0:
        return Auroc(0.5, 0.0, 1.0, n, m)
    z = float(special.ndtri((1 + level) / 2))
    variance = above.var(ddof=1) / n + below.var(ddof=1) / m
    if variance > 0 and 0 < area < 1:
        step = z * np.sqrt(variance) / (area * (1 - area))
        ends = special.expit(special.logit(area) + np.array([-step, step]))
    else:
        ends = np.array(_newcombe(area, n, m, z))
    return Auroc(area, float(ends[0]), float(ends[1]), n, m)


def _newcombe(area: float, n: int, m: int, z: float) -> tuple[float, float]:
    """AUROCs t with (t - area)^2 = z^2 V(t), V of Hanley & McNeil with (n + m) / 2 texts a pole."""

    def excess(t: float) -> float:
        spread = 1 + ((n + m) / 2 - 1) * ((1 - t) / (2 - t) + t / (1 + t))
        return float((t - area) ** 2 - z**2 * t * (1 - t) * spread / (n * m))

    edge = 1e-12
    low = optimize.brentq(excess, edge, area - edge) if area > edge else 0.0
    high = optimize.brentq(excess, area + edge, 1 - edge) if area < 1 - edge else 1.0
    return float(low), float(high)
