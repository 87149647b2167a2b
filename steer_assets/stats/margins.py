"""Equivalence margins that are estimated from the data, as contributions per prompt.

    standardised   fraction * s,   s the pooled standard deviation of one text's score
    relative       fraction * |mean efficacy of v|

``standardised`` linearises s^2 = mean_i c_i (see ``spread``): s ~ mean_i [s + (c_i - s^2) / (2 s)],
the influence function of a standard deviation. ``relative`` is linear as it stands: the test of
mean(difference) < fraction * mean(efficacy) is one of mean(difference - fraction * efficacy) < 0
(Sasabuchi 1980; Hauschke et al. 1999 for the ratio of means).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from steer_assets.stats import inputs, spread


def standardised(a: ArrayLike, b: ArrayLike, fraction: float = 0.2) -> Float[np.ndarray, " n"]:
    """Contributions [n_prompts] that average to ``fraction`` pooled standard deviations.

    Args:
        a: scores ``[n_prompts]`` or ``[n_prompts, n_samples]`` of one arm.
        b: scores of the other arm, same shape.
        fraction: 0.2 is Cohen's small effect.

    Raises:
        ValueError: both arms constant, so that a standard deviation is no unit; bad input.
    """
    inputs.positive(fraction, "fraction")
    unit = spread.pooled(a, b)
    if unit.sd == 0:
        raise ValueError("every score is the same in both arms: no margin in standard deviations")
    return np.asarray(fraction * (unit.sd + (unit.contributions - unit.sd**2) / (2 * unit.sd)))


def relative(efficacy: ArrayLike, fraction: float = 0.2) -> Float[np.ndarray, " n"]:
    """Contributions [n_prompts] that average to ``fraction`` of the size of v's efficacy.

    Args:
        efficacy: prompt-level differences of v over the unsteered arm ``[n_prompts]``.
        fraction: share of it that still counts as the same.

    Raises:
        ValueError: efficacy exactly zero, fewer than two prompts, values not finite.
    """
    inputs.positive(fraction, "fraction")
    values = inputs.vector(efficacy, "efficacy")
    mean = values.mean()
    if mean == 0:
        raise ValueError("the efficacy is exactly 0: no margin can be a share of it")
    return np.asarray(fraction * np.sign(mean) * values)
