"""Resamples of prompts, and a statistic on each: the basis of every bootstrap interval."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

Statistic = Callable[[np.ndarray], ArrayLike]

# Elements gathered at a time; bounds the memory for large tables without changing the draws.
_CHUNK = 1 << 22
# Share of resamples in which a statistic may be undefined (for example a constant resample).
_UNDEFINED_SHARE = 0.05
#: Fewest prompts for an interval by resampling.
FEWEST = 10


def evaluator(statistic: Statistic, vectorized: bool) -> Callable[[np.ndarray], np.ndarray]:
    """A statistic as a function of a batch of samples [r, n, ...]; one number [r] per sample."""

    def evaluate(batch: np.ndarray) -> np.ndarray:
        values = statistic(batch) if vectorized else [statistic(sample) for sample in batch]
        result = np.asarray(values, dtype=np.float64)
        if result.shape != (len(batch),):
            raise ValueError(
                f"the statistic gave shape {result.shape} for {len(batch)} samples, "
                f"expected one number per sample"
            )
        return result

    return evaluate


def replicates_of(
    sample: np.ndarray,
    evaluate: Callable[[np.ndarray], np.ndarray],
    n_boot: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, " b"]:
    """The statistic on resamples of prompts; a few where it is undefined may be left out."""
    n = len(sample)
    draws = rng.integers(n, size=(n_boot, n))
    rows = max(1, _CHUNK // max(1, sample.size))
    parts = [evaluate(sample[draws[i : i + rows]]) for i in range(0, n_boot, rows)]
    replicates: np.ndarray = np.concatenate(parts)
    defined = replicates[np.isfinite(replicates)]
    if len(defined) < (1 - _UNDEFINED_SHARE) * n_boot:
        raise ValueError(
            f"the statistic is undefined on {n_boot - len(defined)} of {n_boot} resamples"
        )
    return np.asarray(defined)


def leave_one_out_of(
    sample: np.ndarray, evaluate: Callable[[np.ndarray], np.ndarray]
) -> Float[np.ndarray, " n"]:
    """The statistic without each prompt in turn."""
    n = len(sample)
    others = np.arange(n)[None, :] != np.arange(n)[:, None]
    keep = np.broadcast_to(np.arange(n), (n, n))[others].reshape(n, n - 1)
    rows = max(1, _CHUNK // max(1, sample.size))
    values = np.concatenate([evaluate(sample[keep[i : i + rows]]) for i in range(0, n, rows)])
    if not np.isfinite(values).all():
        raise ValueError(
            f"the statistic is undefined without prompt {int(np.argmin(np.isfinite(values)))}"
        )
    return values


def check_sample(sample: np.ndarray, n_boot: int) -> None:
    """Raise ValueError unless there are enough prompts and resamples and all values are finite."""
    if sample.ndim == 0 or len(sample) < 2:
        raise ValueError(f"a bootstrap over prompts needs at least 2 of them, got {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError("the sample holds values that are not finite")
    if n_boot < 100:
        raise ValueError(f"n_boot must be at least 100 for an interval, got {n_boot}")
