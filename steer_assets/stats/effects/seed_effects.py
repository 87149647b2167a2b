"""Effects of the seeds of a family, summarised so that opposite signs do not cancel.

The mean over seeds of signed effects is near zero if one seed raises the score and another lowers
it equally. Two summaries without this cancellation accompany the tests of single seeds:

    root mean square   sqrt(max(0, mean_j d_j^2 - mean_j se_j^2)) over the seeds j; the subtracted
                       part is what sampling noise alone adds to the mean square
    share inside       of the seeds, k of m, with the interval of Clopper & Pearson (1934), which
                       treats the seeds as a random sample of all seeds

The bound of the root mean square is the upper quantile of the same number over resampled prompts. A
resample has both the noise of the sample and its own, so the bound is conservative (too large).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import special

from steer_assets.stats import validation


@dataclass(frozen=True, slots=True)
class RootMeanSquare:
    """Root mean square effect over seeds, and its upper bound, in units of the differences."""

    value: float
    upper: float


def root_mean_square(
    differences: ArrayLike, *, level: float = 0.95, n_boot: int = 2000, rng: np.random.Generator
) -> RootMeanSquare:
    """Root mean square effect over seeds with a one-sided bound.

    Args:
        differences: prompt-level paired differences ``[n_prompts, n_seeds]``.
        level: coverage of the bound.
        n_boot: resamples of prompts, the same for all seeds.
        rng: source of the resamples.

    Raises:
        ValueError: fewer than two prompts, values not finite.
    """
    table = validation.table(differences, "differences")
    n = len(table)
    validation.level(level)
    draws = rng.integers(n, size=(n_boot, n))
    weights = np.stack([np.bincount(row, minlength=n) for row in draws]) / n
    observed = float(_mean_square(np.full((1, n), 1 / n), table)[0])
    resampled = np.sqrt(np.maximum(_mean_square(weights, table), 0.0))
    value = float(np.sqrt(max(observed, 0.0)))
    return RootMeanSquare(value, max(value, float(np.quantile(resampled, level))))


def share_inside(inside: int, seeds: int, *, level: float = 0.95) -> validation.Interval:
    """Interval of the share of all seeds that are inside, given ``inside`` of ``seeds``.

    Raises ValueError unless 0 <= inside <= seeds and there is a seed.
    """
    if not 0 <= inside <= seeds or seeds < 1:
        raise ValueError(f"{inside} of {seeds} seeds is no share")
    tail = (1 - validation.level(level)) / 2
    low = 0.0 if inside == 0 else float(special.betaincinv(inside, seeds - inside + 1, tail))
    high = (
        1.0 if inside == seeds else float(special.betaincinv(inside + 1, seeds - inside, 1 - tail))
    )
    return validation.Interval(low, high)


def _mean_square(weights: Float[np.ndarray, "b n"], table: Float[np.ndarray, "n k"]) -> np.ndarray:
    """Mean over seeds of d^2 - se^2 for samples of prompts given by their weights."""
    n = len(table)
    centred = table - table.mean(axis=0)
    shift = weights @ centred
    variance = np.maximum(weights @ centred**2 - shift**2, 0.0) * n / (n - 1)
    return np.asarray(((shift + table.mean(axis=0)) ** 2 - variance / n).mean(axis=1))
