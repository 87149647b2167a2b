"""Intervals of the standardised effects, BCa over prompts.

The standard deviation in the denominator is estimated anew in every resample, so its noise is in
the interval. Definitions of the effects are those of ``effects`` and ``spread``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from steer_assets.stats import validation
from steer_assets.stats.effects import effect_sizes, standardiser
from steer_assets.stats.intervals import bootstrap
from steer_assets.stats.validation import Interval


@dataclass(frozen=True, slots=True)
class EffectIntervals:
    """Intervals of Cohen's d, d_z and Hedges' g."""

    cohens_d: Interval
    d_z: Interval
    hedges_g: Interval


def intervals(
    a: ArrayLike,
    b: ArrayLike,
    *,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator,
) -> EffectIntervals:
    """Intervals of the effects of ``effects.paired(a, b)``.

    Args:
        a: scores ``[n_prompts]`` or ``[n_prompts, n_samples]``.
        b: scores of the other arm, same shape.
        level: coverage.
        n_boot: resamples.
        rng: source of the resamples.

    Returns:
        Intervals; where a standard deviation is zero the interval is the limit of its effect size.

    Raises:
        ValueError: bad input, or so little variation that an effect size is undefined in more than
            5 % of the resamples.
    """
    first, second = validation.two_tables(a, b)
    d, g = _standardised(first, second, level=level, n_boot=n_boot, rng=rng)
    difference = validation.differences(first, second).mean(axis=1)
    point = effect_sizes.paired(first, second).d_z
    d_z = Interval(point, point)
    if validation.standard_deviation(difference) > 0:
        d_z = bootstrap.bca(difference, _d_z, level=level, n_boot=n_boot, rng=rng, vectorized=True)
    return EffectIntervals(d, d_z, g)


def hedges_g(
    a: ArrayLike,
    b: ArrayLike,
    *,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator,
) -> Interval:
    """Interval of Hedges' g alone; arguments and errors as in `intervals`.

    It exists where d_z has none: with few prompts that differ at all, many resamples hold only
    zero differences.
    """
    first, second = validation.two_tables(a, b)
    return _standardised(first, second, level=level, n_boot=n_boot, rng=rng)[1]


def _standardised(
    first: np.ndarray, second: np.ndarray, *, level: float, n_boot: int, rng: np.random.Generator
) -> tuple[Interval, Interval]:
    """Intervals of Cohen's d and of Hedges' g, which is d times a constant."""
    point = effect_sizes.paired(first, second)
    d = Interval(point.cohens_d, point.cohens_d)
    if np.isfinite(point.cohens_d) and standardiser.pooled(first, second).sd > 0:
        difference = validation.differences(first, second).mean(axis=1)
        within = _within(first) + _within(second)
        parts = np.stack([difference, first.mean(axis=1), second.mean(axis=1), within], axis=1)
        d = bootstrap.bca(parts, _cohens_d, level=level, n_boot=n_boot, rng=rng, vectorized=True)
    correction = point.hedges_g / point.cohens_d if point.cohens_d else 1.0
    if not np.isfinite(point.cohens_d):
        correction = 1.0
    return d, Interval(d.low * correction, d.high * correction)


def _within(arm: Float[np.ndarray, "n m"]) -> Float[np.ndarray, " n"]:
    m = arm.shape[1]
    within = arm.var(axis=1, ddof=1) if m > 1 else np.zeros(len(arm))
    return np.asarray((1 - 1 / m) * within / 2)


def _cohens_d(batch: Float[np.ndarray, "r n 4"]) -> Float[np.ndarray, " r"]:
    between = batch[:, :, 1:3].var(axis=1, ddof=1).mean(axis=1)
    variance = between + batch[:, :, 3].mean(axis=1)
    return _divided(batch[:, :, 0].mean(axis=1), np.sqrt(variance))


def _d_z(batch: Float[np.ndarray, "r n"]) -> Float[np.ndarray, " r"]:
    return _divided(batch.mean(axis=1), batch.std(axis=1, ddof=1))


def _divided(top: np.ndarray, bottom: np.ndarray) -> Float[np.ndarray, " r"]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(top / bottom)
