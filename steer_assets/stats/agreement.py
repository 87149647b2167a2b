"""Agreement of scorers: correlation, and kappa on signs.

Correlations are resampled over prompts (rows): texts of one prompt are not independent evidence.
Cohen's kappa (1960) on the signs of prompt-level effects measures whether two scorers agree on
which prompts have positive and negative effects.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import stats

from steer_assets.stats import validation
from steer_assets.stats.intervals import bootstrap
from steer_assets.stats.validation import Estimate


def correlation(
    x: ArrayLike,
    y: ArrayLike,
    *,
    method: Literal["pearson", "spearman"] = "pearson",
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator,
) -> Estimate:
    """Correlation of two scorers over the same texts.

    Args:
        x: scores of one scorer ``[n_prompts]`` or ``[n_prompts, n_samples]``.
        y: scores of the other, same shape.
        method: on the scores or on their ranks.
        level: coverage of the BCa interval over prompts.
        n_boot: resamples.
        rng: source of the resamples.

    Raises:
        ValueError: fewer than three prompts, unequal shapes, not finite, a constant scorer.
    """
    first, second = validation.two_tables(x, y)
    if len(first) < 3:
        raise ValueError(f"an interval of a correlation needs 3 prompts, got {len(first)}")
    for name, scores in (("x", first), ("y", second)):
        if validation.standard_deviation(scores.ravel()) == 0:
            raise ValueError(f"{name} gives every text the same score: no correlation exists")
    statistic = _pearson if method == "pearson" else _spearman
    parts = np.stack([first, second], axis=1)
    interval = bootstrap.bca(parts, statistic, level=level, n_boot=n_boot, rng=rng, vectorized=True)
    return Estimate(float(statistic(parts[None])[0]), interval.low, interval.high)


def kappa_on_signs(x: ArrayLike, y: ArrayLike, *, dead_zone: float = 0.0) -> float:
    """Cohen's kappa of the signs (-1, 0, 1) of two scorers' prompt-level effects [n].

    Args:
        x: effects by one scorer.
        y: effects by the other, on the same prompts.
        dead_zone: effects up to this size count as 0 (score units).

    Returns:
        Kappa; 1.0 if both scorers give one and the same sign throughout.

    Raises:
        ValueError: lengths differ, fewer than two prompts, not finite, negative dead zone.
    """
    first, second = validation.vector(x, "x"), validation.vector(y, "y")
    if len(first) != len(second):
        raise ValueError(f"x has {len(first)} prompts, y {len(second)}")
    if not dead_zone >= 0:
        raise ValueError(f"dead_zone must not be negative, got {dead_zone}")
    signs = [np.where(np.abs(v) > dead_zone, np.sign(v), 0).astype(int) for v in (first, second)]
    if len(np.unique(signs)) == 1:
        return 1.0
    from sklearn.metrics import cohen_kappa_score  # takes seconds to import and is needed only here

    return float(cohen_kappa_score(*signs))


def _pearson(batch: Float[np.ndarray, "r n 2 m"]) -> Float[np.ndarray, " r"]:
    x, y = (batch[:, :, k].reshape(len(batch), -1) for k in (0, 1))
    return _row_correlation(x, y)


def _spearman(batch: Float[np.ndarray, "r n 2 m"]) -> Float[np.ndarray, " r"]:
    x, y = (stats.rankdata(batch[:, :, k].reshape(len(batch), -1), axis=1) for k in (0, 1))
    return _row_correlation(x, y)


def _row_correlation(x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, " r"]:
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1)))
