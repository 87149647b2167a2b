"""One comparison of two arms: every statistic of a row of ``equivalence_tests``.

Pairs are averaged within their prompt, the sampling unit; effect sizes are in standard deviations
of one text's score. Power is that of TOST at this n and spread under a true difference of zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from steer_assets.stats import validation
from steer_assets.stats.effects import effect_sizes, standardiser
from steer_assets.stats.intervals import bootstrap
from steer_assets.stats.verdicts import equivalence
from steer_assets.stats.verdicts.power import tost_power


@dataclass(frozen=True, slots=True)
class Comparison:
    """Arm a over arm b; effect, se, interval and margin in score units."""

    n_prompts: int
    n_pairs: int
    effect: float
    cohens_d: float
    d_z: float
    hedges_g: float
    se: float
    sd_difference: float
    ci_low: float
    ci_high: float
    margin: float
    p_difference: float
    p_equivalence: float
    power: float


def compare(
    a: ArrayLike,
    b: ArrayLike,
    *,
    margin: equivalence.AnyMargin,
    unit: standardiser.Spread | None = None,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator,
    skewness_guard: bool = True,
) -> Comparison:
    """Compare two arms on the same prompts and the same random numbers.

    Args:
        a: scores ``[n_prompts, n_samples]`` (or ``[n_prompts]``).
        b: scores of the other arm, paired position by position.
        margin: a fixed margin in score units, or the contributions per prompt of an estimated one
            (``margins.standardised``, ``margins.relative``).
        unit: standardiser of effect sizes; by default the spread of both arms.
        level: coverage of the interval.
        n_boot: resamples of the interval.
        rng: source of the resamples.
        skewness_guard: also require Hall's transformed t in the equivalence test (see
            ``equivalence``); without it the p-value is that of Schuirmann's TOST.

    Raises:
        ValueError: fewer than two prompts, unequal shapes, values not finite, margin not above 0.
    """
    pairs = validation.differences(a, b)
    difference = pairs.mean(axis=1)
    estimated = equivalence.as_margin(margin, len(difference))
    size = estimated.size
    effect = effect_sizes.paired(a, b, unit=unit)
    interval = bootstrap.mean(difference, level=level, n_boot=n_boot, rng=rng)
    sd_difference = validation.standard_deviation(difference)
    # Half of Var(difference + margin) and Var(difference - margin) together.
    sd_margin = np.hypot(
        validation.standard_deviation(estimated.contributions),
        np.sqrt(len(difference) * estimated.outside),
    )
    sd_tested = float(np.hypot(sd_difference, sd_margin))
    return Comparison(
        n_prompts=len(difference),
        n_pairs=pairs.size,
        effect=effect.effect,
        cohens_d=effect.cohens_d,
        d_z=effect.d_z,
        hedges_g=effect.hedges_g,
        se=effect.se,
        sd_difference=sd_difference,
        ci_low=interval.low,
        ci_high=interval.high,
        margin=size,
        p_difference=equivalence.difference_p(difference),
        p_equivalence=equivalence.tost(difference, margin, skewness_guard=skewness_guard).p,
        power=tost_power(sd_tested, len(difference), size) if size > 0 else 0.0,
    )
