"""Variance reduction by common random numbers: noise of a paired against an independent difference.

Within a prompt, Var(a_j - b_j) with shared random numbers over Var(a) + Var(b), its value with
independent ones; 1 is no gain, 0.1 means that a tenth of the samples gives the same noise. Neither
includes between-prompt variance, because both designs use the same prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from steer_assets.stats import validation
from steer_assets.stats.intervals import bootstrap


@dataclass(frozen=True, slots=True)
class VarianceRatio:
    """Paired over independent noise variance, with its interval over prompts."""

    ratio: float
    low: float
    high: float
    paired_variance: float
    independent_variance: float


def variance_ratio(
    a: ArrayLike,
    b: ArrayLike,
    *,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator,
) -> VarianceRatio:
    """Noise variance of the paired difference relative to independent sampling.

    Args:
        a: scores ``[n_prompts, n_samples]``.
        b: scores of the other arm, paired position by position.
        level: coverage of the BCa interval over prompts.
        n_boot: resamples.
        rng: source of the resamples.

    Raises:
        ValueError: fewer than two prompts or two samples a prompt, unequal shapes, not finite, or
        no
            variation within prompts (greedy decoding), so that there is no noise to compare.
    """
    first, second = validation.two_tables(a, b)
    if first.shape[1] < 2:
        raise ValueError(f"noise within prompts needs 2 samples, got {first.shape[1]}")
    paired = validation.differences(first, second).var(axis=1, ddof=1)
    independent = first.var(axis=1, ddof=1) + second.var(axis=1, ddof=1)
    if independent.mean() == 0:
        raise ValueError("scores do not vary within any prompt: there is no sampling noise")
    interval = bootstrap.bca(
        np.stack([paired, independent], axis=1),
        _ratio,
        level=level,
        n_boot=n_boot,
        rng=rng,
        vectorized=True,
    )
    return VarianceRatio(
        ratio=float(paired.mean() / independent.mean()),
        low=interval.low,
        high=interval.high,
        paired_variance=float(paired.mean()),
        independent_variance=float(independent.mean()),
    )


def _ratio(batch: Float[np.ndarray, "r n 2"]) -> Float[np.ndarray, " r"]:
    paired, independent = batch.mean(axis=1).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(paired / independent)
