"""Validation of inputs: finite float64 arrays of matching shape and sufficient size.

Scores have shape ``[n_prompts]`` or ``[n_prompts, n_samples]``. NaN and infinity raise an error
with their position, so that no statistic turns them into a plausible number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Interval:
    """Confidence interval with its ends in the unit of the statistic."""

    low: float
    high: float

    def inside(self, margin: float) -> bool:
        """Whether the whole interval lies strictly within (-margin, +margin)."""
        return -margin < self.low and self.high < margin


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with the ends of its interval, in its unit."""

    value: float
    low: float
    high: float


def vector(values: ArrayLike, name: str, *, at_least: int = 2) -> Float[np.ndarray, " n"]:
    """Finite float64 vector of ``at_least`` numbers or more; raises ValueError otherwise."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must have one axis, not shape {array.shape}")
    return _checked(array, name, at_least)


def table(values: ArrayLike, name: str, *, at_least: int = 2) -> Float[np.ndarray, "n m"]:
    """Finite float64 ``[n_prompts, n_samples]``; a vector is taken as one sample per prompt."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} must be [n_prompts, n_samples], not shape {array.shape}")
    return _checked(array, name, at_least)


def two_tables(a: ArrayLike, b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both arms as ``[n_prompts, n_samples]`` of one shape, paired position by position."""
    first, second = table(a, "a"), table(b, "b")
    if first.shape != second.shape:
        raise ValueError(f"paired arms must have one shape: a is {first.shape}, b {second.shape}")
    return first, second


def differences(a: ArrayLike, b: ArrayLike) -> Float[np.ndarray, "n m"]:
    """``a - b`` position by position; rounding errors become exactly zero.

    Otherwise two arms that differ only in the last bit of a float would have a standard deviation
    of 1e-17 and an arbitrary t statistic.
    """
    first, second = two_tables(a, b)
    return without_rounding(first - second, max(np.abs(first).max(), np.abs(second).max()))


def without_rounding(values: np.ndarray, scale: float) -> np.ndarray:
    """``values`` with everything below a few units in the last place of ``scale`` set to zero."""
    return np.where(np.abs(values) <= 8 * np.finfo(np.float64).eps * scale, 0.0, values)


def standard_deviation(values: Float[np.ndarray, " n"]) -> float:
    """Sample standard deviation (ddof 1), exactly zero if values differ by rounding only."""
    spread = float(values.std(ddof=1))
    return spread if spread > 8 * np.finfo(np.float64).eps * np.abs(values).max() else 0.0


def level(value: float) -> float:
    """A confidence level strictly between 0 and 1."""
    if not 0.0 < value < 1.0:
        raise ValueError(f"level must lie strictly between 0 and 1, not {value}")
    return float(value)


def positive(value: float, name: str) -> float:
    """A finite number above zero."""
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be finite and above 0, not {value}")
    return float(value)


def _checked(array: np.ndarray, name: str, at_least: int) -> np.ndarray:
    if len(array) < at_least:
        raise ValueError(f"{name} needs at least {at_least} values, got {len(array)}")
    broken = np.argwhere(~np.isfinite(array))
    if len(broken):
        where = tuple(int(i) for i in broken[0])
        raise ValueError(f"{name} holds {len(broken)} values that are not finite, first at {where}")
    return array
