"""Bootstrap intervals over prompts, the sampling units.

``bca``: bias-corrected and accelerated (Efron 1987). Bootstrap distributions of n values are too
narrow by sqrt((n-1)/n) and ignore that the scale is estimated; the normal quantile in BCa is
therefore replaced by sqrt(n/(n-1)) * t_{n-1} (Hesterberg 2015, "expanded percentile"), without
which a 90 % interval covers 87 % at n = 20.

Under ``FEWEST`` prompts the quantiles of resamples and the acceleration are too imprecise; the
interval is then that of Student's t with the jackknife standard error (Tukey 1958), which for a
mean is the ordinary t interval, and Fieller's (1954) for a ratio.

``ratio``: ratio of two paired means, BCa. If the denominator does not differ significantly from
zero, Fieller's (1954) confidence set is unbounded, no finite interval has the stated coverage, and
none is returned.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import special

from steer_assets.stats import validation
from steer_assets.stats.intervals import jackknife, resampling
from steer_assets.stats.intervals.crossed import crossed as crossed
from steer_assets.stats.intervals.resampling import FEWEST, Statistic
from steer_assets.stats.validation import Interval


def bca(
    x: ArrayLike,
    statistic: Statistic,
    *,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator,
    vectorized: bool = False,
    small_sample: bool = True,
) -> Interval:
    """BCa interval of a statistic over prompts, the first axis of ``x``.

    Args:
        x: ``[n, ...]``, one entry per prompt.
        statistic: maps one sample ``[n, ...]`` to a number; with ``vectorized`` it maps ``[r, n,
            ...]`` to ``[r]``.
        level: coverage, such as 0.95.
        n_boot: resamples.
        rng: source of the resamples; the same state gives the same interval.
        vectorized: see ``statistic``.
        small_sample: widen by sqrt(n/(n-1)) t/z, and use Student's t under ``FEWEST`` prompts;
            without it this is the textbook interval.

    Raises:
        ValueError: fewer than two prompts, values not finite, or a statistic that is undefined on
            the sample, on a sample without one prompt, or on more than 5 % of the resamples.
    """
    sample = np.asarray(x, dtype=np.float64)
    resampling.check_sample(sample, n_boot)
    n = len(sample)
    evaluate = resampling.evaluator(statistic, vectorized)
    observed = float(evaluate(sample[None])[0])
    if not np.isfinite(observed):
        raise ValueError(f"the statistic is {observed} on the sample itself: no interval exists")
    replicates = resampling.replicates_of(sample, evaluate, n_boot, rng)
    return from_replicates(
        observed,
        replicates,
        resampling.leave_one_out_of(sample, evaluate),
        level=level,
        n=n,
        small_sample=small_sample,
    )


def mean(
    x: ArrayLike, *, level: float = 0.95, n_boot: int = 2000, rng: np.random.Generator
) -> Interval:
    """BCa interval of the mean of ``x`` [n]; equals ``bca``, in closed form where one exists.

    Raises ValueError on fewer than two values or values that are not finite.
    """
    sample = validation.vector(x, "x")
    n = len(sample)
    resampling.check_sample(sample, n_boot)
    replicates = resampling.replicates_of(sample, lambda batch: batch.mean(axis=1), n_boot, rng)
    leave_one_out = (sample.sum() - sample) / (n - 1)
    return from_replicates(float(sample.mean()), replicates, leave_one_out, level=level, n=n)


def ratio(
    numerator: ArrayLike,
    denominator: ArrayLike,
    *,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator,
) -> Interval:
    """Interval of mean(numerator) / mean(denominator) over shared prompts, BCa.

    Args:
        numerator: prompt-level effects of one vector ``[n]``.
        denominator: prompt-level effects of the reference vector on the same prompts ``[n]``.
        level: coverage.
        n_boot: resamples.
        rng: source of the resamples.

    Returns:
        The interval, or (-inf, inf) if the denominator does not differ from zero at this level, in
        which case the data do not bound the ratio (Fieller 1954).

    Raises:
        ValueError: lengths differ, fewer than two prompts, values not finite.
    """
    top, bottom = (
        validation.vector(numerator, "numerator"),
        validation.vector(denominator, "denominator"),
    )
    if len(top) != len(bottom):
        raise ValueError(f"numerator has {len(top)} prompts, denominator {len(bottom)}")
    n = len(bottom)
    se = validation.standard_deviation(bottom) / np.sqrt(n)
    if abs(bottom.mean()) <= special.stdtrit(n - 1, (1 + validation.level(level)) / 2) * se:
        return Interval(-np.inf, np.inf)
    if n < FEWEST:
        return _fieller(top, bottom, level)
    return bca(
        np.stack([top, bottom], axis=1),
        _ratio_of_means,
        level=level,
        n_boot=n_boot,
        rng=rng,
        vectorized=True,
    )


def _fieller(
    top: Float[np.ndarray, " n"], bottom: Float[np.ndarray, " n"], level: float
) -> Interval:
    """Ratios r at which mean(top - r bottom) does not differ from zero by the t test.

    Bounded, because the mean of ``bottom`` differs from zero.
    """
    n = len(bottom)
    square = special.stdtrit(n - 1, (1 + level) / 2) ** 2 / n
    (variance_top, covariance), (_, variance_bottom) = np.cov(top, bottom)
    a = bottom.mean() ** 2 - square * variance_bottom
    b = top.mean() * bottom.mean() - square * covariance
    c = top.mean() ** 2 - square * variance_top
    root = np.sqrt(max(b**2 - a * c, 0.0))
    return Interval(float((b - root) / a), float((b + root) / a))


def from_replicates(
    observed: float,
    replicates: Float[np.ndarray, " b"],
    leave_one_out: Float[np.ndarray, " n"],
    *,
    level: float,
    n: int,
    small_sample: bool = True,
) -> Interval:
    """BCa interval from given bootstrap replicates and jackknife values."""
    validation.level(level)
    if np.ptp(replicates) == 0:
        return Interval(observed, observed)
    if small_sample and n < FEWEST:
        return jackknife.interval(observed, leave_one_out, level=level)
    n_boot = len(replicates)
    below = np.count_nonzero(replicates < observed) + np.count_nonzero(replicates == observed) / 2
    # Half a resample from either end keeps the bias correction finite.
    bias = special.ndtri(np.clip(below, 0.5, n_boot - 0.5) / n_boot)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    if small_sample:
        z = special.stdtrit(n - 1, tails) * np.sqrt(n / (n - 1))
    else:
        z = special.ndtri(tails)
    # Beyond 1/a the transformation is not monotone; the limit there is the outermost replicate.
    room = np.maximum(1 - _acceleration(leave_one_out) * (bias + z), 1e-6)
    low, high = np.quantile(replicates, special.ndtr(bias + (bias + z) / room))
    return Interval(float(low), float(high))


def _ratio_of_means(batch: Float[np.ndarray, "r n 2"]) -> Float[np.ndarray, " r"]:
    top, bottom = batch.mean(axis=1).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(top / bottom)


def _acceleration(leave_one_out: Float[np.ndarray, " n"]) -> float:
    centred = leave_one_out.mean() - leave_one_out
    square = (centred**2).sum()
    return float((centred**3).sum() / (6 * square**1.5)) if square > 0 else 0.0
