"""Simulated scores with properties of real ones: clusters by prompt, skew, bounds, common noise."""

import numpy as np
from scipy.special import expit


def error(rate: float, studies: int) -> float:
    """Two Monte Carlo errors of a rate in so many studies."""
    return float(2 * np.sqrt(rate * (1 - rate) / studies))


def bounded_arms(
    rng: np.random.Generator, n: int, m: int, shift: float, *, shared: float = 0.8
) -> tuple[np.ndarray, np.ndarray]:
    """Two arms [n, m] of scores in (0, 1).

    Prompts differ in level (skewed) and in how strongly they answer to the shift; ``shared`` is the
    correlation of the noise of a pair.
    """
    level = rng.gamma(1.5, 1.0, size=(n, 1)) - 2.0
    answer = shift * (1 + 0.3 * rng.normal(size=(n, 1)))
    common = rng.normal(size=(n, m))
    own = shared * common + np.sqrt(1 - shared**2) * rng.normal(size=(n, m))
    return expit(level + answer + common), expit(level + own)


def true_difference(shift: float, *, shared: float = 0.8) -> tuple[float, float]:
    """Mean difference and pooled standard deviation of one text, from a million prompts."""
    arms = [
        bounded_arms(np.random.default_rng(key), 200_000, 1, shift, shared=shared)
        for key in range(5)
    ]
    a, b = (np.concatenate([pair[k] for pair in arms]) for k in (0, 1))
    return float((a - b).mean()), float(np.sqrt((a.var() + b.var()) / 2))
