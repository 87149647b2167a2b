"""Jackknife interval of a statistic by leaving out groups (Quenouille 1956; Tukey 1958).

With g groups, the pseudo-values are p_i = g s - (g - 1) s_{-i}; their mean +- t_{g-1} sd / sqrt(g).
For costly statistics, for which thousands of bootstrap resamples would take too long.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from steer_assets.stats import validation
from steer_assets.stats.validation import Interval


def interval(observed: float, leave_one_out: ArrayLike, *, level: float = 0.95) -> Interval:
    """Interval from the statistic and its values without each group [g].

    Raises ValueError on fewer than two groups or values that are not finite.
    """
    values = validation.vector(leave_one_out, "leave_one_out")
    g = len(values)
    pseudo = g * observed - (g - 1) * values
    half = special.stdtrit(g - 1, (1 + validation.level(level)) / 2) * (
        validation.standard_deviation(pseudo) / np.sqrt(g)
    )
    return Interval(float(observed - half), float(observed + half))
