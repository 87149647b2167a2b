"""Equivalence of the mean paired difference within a margin (TOST), and difference from zero (t).

Two one-sided tests (Schuirmann 1987): equivalence is claimed if both

    H_lower: mean <= -margin     and     H_upper: mean >= +margin

are rejected; the p-value is the larger one. The unit is the prompt, so repeats of a prompt are
averaged first and do not count as independent.

Margins are usually estimated: 0.2 standard deviations and 20 % of v's efficacy are estimates from
the same prompts. Treating an estimate as a known number makes the test liberal, increasingly so the
better the arms are paired. Such a margin is given as its contributions per prompt, [n], which
average to it; the tests are then those of mean(difference +- contribution), and include the noise
of the margin and its correlation with the difference. ``margins`` computes them. If the margin is
estimated from more prompts than a comparison has, the others add their own variance
(``Margin.outside``), with Satterthwaite's degrees of freedom.

Student's t is liberal if the differences are skewed away from the tested margin (a few prompts
respond strongly, most hardly). ``skewness_guard`` also computes Hall's (1992) transformed t,

    g(t) = t + s t^2 / 3 + s^2 t^3 / 27 + s / 6,   s = skewness / sqrt(n),

and takes the larger p: both must reject. It applies only if the skewness of the sample exceeds its
standard error under normality, sqrt(6/n), so that normal differences lose one point of power.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import special

from steer_assets.stats import validation


@dataclass(frozen=True, slots=True)
class Margin:
    """An estimated margin, in score units.

    contributions [n]: of the comparison's prompts; they average to the margin.
    outside: variance that prompts outside the comparison add to the estimate.
    outside_df: degrees of freedom of that variance.
    """

    contributions: Float[np.ndarray, " n"]
    outside: float = 0.0
    outside_df: float = np.inf

    @property
    def size(self) -> float:
        """The margin itself."""
        return float(self.contributions.mean())


#: A fixed margin, contributions per prompt of an estimated one, or an estimate of more prompts.
AnyMargin = float | Float[np.ndarray, " n"] | Margin


@dataclass(frozen=True, slots=True)
class Tost:
    """p-values of the two one-sided tests and of their union, the larger one."""

    p_lower: float
    p_upper: float
    p: float


def tost(
    differences: ArrayLike,
    margin: AnyMargin,
    *,
    skewness_guard: bool = False,
) -> Tost:
    """Two one-sided paired t tests of ``differences`` [n] against +-margin (score units).

    Args:
        differences: prompt-level paired differences.
        margin: half-width of the equivalence region, fixed or as contributions per prompt.
        skewness_guard: also require Hall's transformed t; without it this is Schuirmann's test.

    If nothing varies, the p-values are their limits: 0.0 inside the margin, 1.0 on it or outside.

    Raises:
        ValueError: fewer than two prompts, values not finite, a fixed margin that is not above 0,
            or contributions of another length than the differences.
    """
    values = validation.vector(differences, "differences")
    estimated = as_margin(margin, len(values))
    lower = _one_sided(values + estimated.contributions, estimated, skewness_guard)
    upper = _one_sided(estimated.contributions - values, estimated, skewness_guard)
    return Tost(p_lower=lower, p_upper=upper, p=max(lower, upper))


def difference_p(differences: ArrayLike) -> float:
    """Two-sided p-value of the paired t test that the mean difference is zero.

    If nothing varies, it is the limit: 1.0 if all differences are zero, else 0.0.

    Raises ValueError on fewer than two prompts or values that are not finite.
    """
    values = validation.vector(differences, "differences")
    effect, sd = float(values.mean()), validation.standard_deviation(values)
    if sd == 0:
        return 1.0 if effect == 0 else 0.0
    n = len(values)
    return float(2 * special.stdtr(n - 1, -abs(effect) / (sd / np.sqrt(n))))


def as_margin(margin: AnyMargin, n: int) -> Margin:
    """Any margin of a comparison of n prompts: a fixed one is n equal contributions.

    Raises ValueError on a fixed margin that is not above 0, or contributions of other prompts.
    """
    if isinstance(margin, Margin):
        estimated = margin
    elif np.ndim(margin) == 0:
        return Margin(np.full(n, validation.positive(float(margin), "margin")))
    else:
        estimated = Margin(np.asarray(margin))
    contributions = validation.vector(estimated.contributions, "margin")
    if len(contributions) != n:
        raise ValueError(
            f"margin has contributions of {len(contributions)} prompts, differences of {n}"
        )
    return Margin(contributions, estimated.outside, estimated.outside_df)


def _one_sided(values: Float[np.ndarray, " n"], margin: Margin, skewness_guard: bool) -> float:
    """p-value of the t test of mean <= 0 against mean > 0."""
    mean, n = float(values.mean()), len(values)
    inside = validation.standard_deviation(values) ** 2 / n
    variance = inside + margin.outside
    if variance == 0:
        return 0.0 if mean > 0 else 1.0
    t = mean / np.sqrt(variance)
    if skewness_guard and inside > 0:
        t = min(t, _transformed(t, values))
    df = n - 1.0
    if margin.outside > 0:
        df = variance**2 / (inside**2 / df + margin.outside**2 / margin.outside_df)
    return float(special.stdtr(df, -t))


def _transformed(t: float, values: Float[np.ndarray, " n"]) -> float:
    """Hall's g(t), or t itself if the sample is no more skewed than a normal one."""
    centred = values - values.mean()
    skewness = (centred**3).mean() / (centred**2).mean() ** 1.5
    n = len(values)
    if abs(skewness) <= np.sqrt(6 / n):
        return t
    s = skewness / np.sqrt(n)
    return float(t + s * t**2 / 3 + s**2 * t**3 / 27 + s / 6)
