"""Correlation of two arms over prompts, with the largest value that sampling noise allows.

Prompt-level effects of two vectors are means of few noisy samples; two arms with the *same* true
effects have a correlation of only sqrt(reliability_x * reliability_y) (Spearman 1904). With x, y [n
prompts, m samples],

    reliability of a prompt mean    (MSB - MSW) / MSB, which is Spearman-Brown of ICC(1) at m
    signal covariance               cov(mean x, mean y) - mean(cov within prompts) / m
    correlation                     signal covariance / (sd(mean x) sd(mean y))

The within-prompt covariance is subtracted because both arms share random numbers and the unsteered
arm: that noise is common to both and would be counted as agreement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from steer_assets.stats import validation
from steer_assets.stats.intervals import bootstrap


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Correlation over prompts with its interval and its ceiling.

    The ceiling is 0 if either arm has no reliable differences between prompts, so that no
    correlation can be detected.
    """

    correlation: float
    low: float
    high: float
    ceiling: float
    reliability_x: float
    reliability_y: float


def correlation(
    x: ArrayLike,
    y: ArrayLike,
    *,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator,
) -> Ceiling:
    """Correlation of the prompt-level effects of two arms, with its noise ceiling.

    Args:
        x: effects over unsteered of one arm ``[n_prompts, n_samples]``.
        y: effects of the other arm, same prompts and samples.
        level: coverage of the interval (BCa over prompts).
        n_boot: resamples.
        rng: source of the resamples.

    Raises:
        ValueError: fewer than three prompts or two samples, unequal shapes, not finite, or an arm
            with the same effect on every prompt.
    """
    first, second = validation.two_tables(x, y)
    n, m = first.shape
    if n < 3 or m < 2:
        raise ValueError(f"a noise ceiling needs 3 prompts and 2 samples, got {n} and {m}")
    means = [arm.mean(axis=1) for arm in (first, second)]
    for name, values in zip("xy", means, strict=True):
        if validation.standard_deviation(values) == 0:
            raise ValueError(f"{name} has the same effect on every prompt: no correlation exists")
    residuals = [arm - arm.mean(axis=1, keepdims=True) for arm in (first, second)]
    shared = (residuals[0] * residuals[1]).sum(axis=1) / (m - 1) / m
    parts = np.stack([*means, shared], axis=1)
    interval = bootstrap.bca(
        parts, _correlation, level=level, n_boot=n_boot, rng=rng, vectorized=True
    )
    rho = float(_correlation(parts[None])[0])
    reliabilities = reliability(first), reliability(second)
    top = float(np.sqrt(reliabilities[0] * reliabilities[1]))
    return Ceiling(
        correlation=rho,
        low=interval.low,
        high=interval.high,
        ceiling=top,
        reliability_x=reliabilities[0],
        reliability_y=reliabilities[1],
    )


def reliability(x: ArrayLike) -> float:
    """Reliability of prompt means of ``x`` [n_prompts, n_samples], ICC(1, m), not below 0.

    Raises ValueError on fewer than two prompts or two samples, or values not finite.
    """
    table = validation.table(x, "x")
    m = table.shape[1]
    if m < 2:
        raise ValueError(f"reliability needs at least 2 samples a prompt, got {m}")
    between = m * validation.standard_deviation(table.mean(axis=1)) ** 2
    within = float(table.var(axis=1, ddof=1).mean())
    return max(1 - within / between, 0.0) if between > 0 else 0.0


def _correlation(batch: Float[np.ndarray, "r n 3"]) -> Float[np.ndarray, " r"]:
    x, y = (batch[:, :, k] - batch[:, :, k].mean(axis=1, keepdims=True) for k in (0, 1))
    dof = batch.shape[1] - 1
    signal = (x * y).sum(axis=1) / dof - batch[:, :, 2].mean(axis=1)
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1)) / dof
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(signal / scale)
