"""The standard deviation by which effects are standardised, and its precision.

The unit of Cohen's d is the standard deviation of the score *of one text*, pooled over both arms;
that of Glass's delta (1976) is the standard deviation of the control arm's texts alone (``single``,
here of unsteered texts): one unit for all comparisons, which a more variable arm cannot widen.
Texts are clustered in prompts, so it is computed from its two components,

    s^2 = var(prompt means) + (1 - 1/m) * mean(variance within prompts),

which is unbiased for sigma_between^2 + sigma_within^2 at any number m of samples per prompt (the
variance of all n*m scores is not, and the variance of prompt means shrinks as m grows, so that d
would grow with the number of samples). With m = 1 it is the usual d_av standardiser sqrt((s_a^2 +
s_b^2) / 2) (Cumming 2012; Lakens 2013).

Degrees of freedom by Satterthwaite's matching of moments, with the covariance of the two arms; with
m = 1 and equal variances they are 2 (n - 1) / (1 + r^2) (Cousineau & Goulet-Pelletier 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from steer_assets.stats import validation


@dataclass(frozen=True, slots=True)
class Spread:
    """Pooled standard deviation of one text's score.

    ``contributions`` [n_prompts] average to ``sd ** 2``: each prompt's contribution to the
    variance.
    """

    sd: float
    df: float
    contributions: Float[np.ndarray, " n"]


def pooled(a: ArrayLike, b: ArrayLike) -> Spread:
    """Spread of two paired arms, each ``[n_prompts]`` or ``[n_prompts, n_samples]``.

    Raises ValueError on fewer than two prompts, unequal shapes or values that are not finite.
    """
    first, second = validation.two_tables(a, b)
    contributions = (_contributions(first) + _contributions(second)) / 2
    scale = max(np.abs(first).max(), np.abs(second).max())
    variance = float(contributions.mean())
    if variance <= (8 * np.finfo(np.float64).eps * scale) ** 2:
        return Spread(0.0, _degrees_of_freedom(first, second, 0.0), np.zeros(len(first)))
    return Spread(
        float(np.sqrt(variance)), _degrees_of_freedom(first, second, variance), contributions
    )


def single(arm: ArrayLike) -> Spread:
    """Spread of one arm, ``[n_prompts]`` or ``[n_prompts, n_samples]``: the unit of Glass's delta.

    Raises ValueError on fewer than two prompts or values that are not finite.
    """
    return pooled(arm, arm)


def _contributions(arm: Float[np.ndarray, "n m"]) -> Float[np.ndarray, " n"]:
    n, m = arm.shape
    means = arm.mean(axis=1)
    between = (means - means.mean()) ** 2 * n / (n - 1)
    within = arm.var(axis=1, ddof=1) if m > 1 else np.zeros(n)
    return np.asarray(between + (1 - 1 / m) * within)


def _degrees_of_freedom(
    a: Float[np.ndarray, "n m"], b: Float[np.ndarray, "n m"], variance: float
) -> float:
    """2 s^4 / Var(s^2), with Var(s^2) from normal theory for the two parts of s^2."""
    n, m = a.shape
    if variance == 0.0:
        return float(n - 1)
    between = np.cov(a.mean(axis=1), b.mean(axis=1))
    noise = (between**2).sum() / (2 * (n - 1))
    if m > 1:
        residuals = np.stack([(arm - arm.mean(axis=1, keepdims=True)).ravel() for arm in (a, b)])
        within = residuals @ residuals.T / (n * (m - 1))
        noise += (1 - 1 / m) ** 2 * (within**2).sum() / (2 * n * (m - 1))
    return float(2 * variance**2 / noise)
