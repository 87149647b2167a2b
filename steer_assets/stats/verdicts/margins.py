"""Equivalence margins that are estimated from the data, as contributions per prompt.

    standardised   fraction * s,   s the standard deviation of one unsteered text's score
    relative       fraction * |mean efficacy of v|

``standardised`` linearises s^2 = mean_i c_i (see ``spread``): s ~ mean_i [s + (c_i - s^2) / (2 s)],
the influence function of a standard deviation. It uses the unsteered arm only, so that all
comparisons on the same prompts have the same margin, which a more variable steered arm cannot
widen. ``relative`` is already linear: the test of mean(difference) < fraction * mean(efficacy) is
one of mean(difference - fraction * efficacy) < 0 (Sasabuchi 1980; Hauschke et al. 1999 for the
ratio of means).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from steer_assets.stats import validation
from steer_assets.stats.effects import standardiser
from steer_assets.stats.verdicts.equivalence import Margin


def standardised(
    unsteered: ArrayLike, fraction: float = 0.2, *, chosen: Bool[np.ndarray, " n"] | None = None
) -> Margin:
    """``fraction`` standard deviations of one unsteered text's score.

    Args:
        unsteered: scores ``[n_prompts]`` or ``[n_prompts, n_samples]`` of the unsteered arm.
        fraction: 0.2 is Cohen's small effect.
        chosen: which of the prompts the comparison has (default: all): the margin is that of all
            prompts, its contributions are those of the chosen ones.

    Raises:
        ValueError: a constant arm, whose standard deviation cannot be a unit; bad input.
    """
    validation.positive(fraction, "fraction")
    unit = standardiser.single(unsteered)
    if unit.sd == 0:
        raise ValueError("every unsteered score is the same: no margin in standard deviations")
    values = fraction * (unit.sd + (unit.contributions - unit.sd**2) / (2 * unit.sd))
    if chosen is None or chosen.all():
        return Margin(np.asarray(values))
    # The estimate is the mean over all N prompts, of which n are also in the comparison.
    n, total = int(chosen.sum()), len(values)
    own = values[chosen]
    outside = (total - n) / total**2 * float(values.var(ddof=1))
    return Margin(values.mean() + n / total * (own - own.mean()), outside, total - 1.0)


def relative(efficacy: ArrayLike, fraction: float = 0.2) -> Float[np.ndarray, " n"]:
    """Contributions [n_prompts] that average to ``fraction`` of the size of v's efficacy.

    Args:
        efficacy: prompt-level differences of v over the unsteered arm ``[n_prompts]``.
        fraction: share of it that still counts as the same.

    Raises:
        ValueError: efficacy exactly zero, fewer than two prompts, values not finite.
    """
    validation.positive(fraction, "fraction")
    values = validation.vector(efficacy, "efficacy")
    mean = values.mean()
    if mean == 0:
        raise ValueError("the efficacy is exactly 0: no margin can be a share of it")
    return np.asarray(fraction * np.sign(mean) * values)
