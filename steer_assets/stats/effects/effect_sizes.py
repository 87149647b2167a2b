"""Paired effect sizes at the level of prompts.

    effect    mean over prompts of (a - b), in units of the score
    cohens_d  effect / standard deviation of one text's score (see ``spread``): pooled over both
              arms (d_av), or of a control arm (Glass's delta) where that unit is given
    d_z       effect / standard deviation of the prompt-level differences
    hedges_g  cohens_d * J(df),  J(df) = Gamma(df/2) / (sqrt(df/2) Gamma((df-1)/2))

References: Cohen 1988; Glass 1976 (delta); Hedges 1981 (J); Lakens 2013 (d_av, d_z); Cousineau &
Goulet-Pelletier 2021
(degrees of freedom of d_av in paired designs).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from steer_assets.stats import validation
from steer_assets.stats.effects import standardiser


@dataclass(frozen=True, slots=True)
class PairedEffect:
    """Effect of a over b on ``n`` shared prompts; ``se`` is the standard error of ``effect``.

    If a standard deviation is zero, its effect size is the limit: 0.0 with no effect, else an
    infinity with the sign of the effect.
    """

    n: int
    effect: float
    cohens_d: float
    d_z: float
    hedges_g: float
    se: float


def paired(a: ArrayLike, b: ArrayLike, *, unit: standardiser.Spread | None = None) -> PairedEffect:
    """Paired effect of arm ``a`` over arm ``b``: same prompts, same order.

    Args:
        a: scores ``[n_prompts]`` or ``[n_prompts, n_samples]``.
        b: scores of the other arm, same shape.
        unit: standardiser of ``cohens_d`` and ``hedges_g``; by default the spread pooled over both
            arms.

    Raises:
        ValueError: fewer than two prompts, unequal shapes, values that are not finite.
    """
    difference = validation.differences(a, b).mean(axis=1)
    n = len(difference)
    effect = float(difference.mean())
    sd_difference = validation.standard_deviation(difference)
    unit = unit or standardiser.pooled(a, b)
    d = standardised(effect, unit.sd)
    return PairedEffect(
        n=n,
        effect=effect,
        cohens_d=d,
        d_z=standardised(effect, sd_difference),
        hedges_g=d * small_sample_correction(unit.df) if np.isfinite(d) else d,
        se=sd_difference / float(np.sqrt(n)),
    )


def standardised(effect: float, sd: float) -> float:
    """``effect / sd``; with ``sd`` 0 its limit, 0.0 or an infinity of the effect's sign."""
    if sd > 0:
        return effect / sd
    return 0.0 if effect == 0 else float(np.copysign(np.inf, effect))


def small_sample_correction(df: float) -> float:
    """Hedges' J: the factor that makes a standardised difference unbiased at ``df`` degrees.

    It is 0 at one degree of freedom (two prompts), where d has no expectation.
    """
    if df <= 1:
        return 0.0
    return float(np.exp(gammaln(df / 2) - gammaln((df - 1) / 2)) * np.sqrt(2 / df))
