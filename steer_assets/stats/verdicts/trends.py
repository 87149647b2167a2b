"""Sweeps: the change of an effect with alpha, and the subspace size at which equivalence ends.

``slope``: least squares per prompt, then the mean over prompts with its interval and t test (a
two-stage analysis: levels of one prompt are not independent, prompts are).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from steer_assets.stats import validation
from steer_assets.stats.intervals import bootstrap
from steer_assets.stats.verdicts import equivalence
from steer_assets.stats.verdicts.verdict_rules import Value


@dataclass(frozen=True, slots=True)
class Slope:
    """Change of the score per unit of the level, with its interval and p-value over prompts."""

    slope: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True)
class BreakingPoint:
    """The two sizes between which equivalence ends; None if the sweep has no such size.

    ``holds_to``: largest size up to which every verdict is ``equivalent``; ``broken_from``:
    smallest size that is ``different``.
    """

    holds_to: int | None
    broken_from: int | None


def slope(
    levels: ArrayLike,
    scores: ArrayLike,
    *,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator,
) -> Slope:
    """Mean over prompts of the least-squares slope of ``scores`` on ``levels``.

    Args:
        levels: values of the sweep ``[k]``, such as alpha.
        scores: prompt-level scores ``[n_prompts, k]``.
        level: coverage.
        n_boot: resamples.
        rng: source of the resamples.

    Raises:
        ValueError: fewer than two prompts, other number of levels, levels all alike, not finite.
    """
    x, y = validation.vector(levels, "levels"), validation.table(scores, "scores")
    if y.shape[1] != len(x):
        raise ValueError(f"{len(x)} levels, but scores at {y.shape[1]}")
    centred = x - x.mean()
    if validation.standard_deviation(x) == 0:
        raise ValueError("all levels are the same: no slope exists")
    slopes = validation.without_rounding(y @ centred / (centred @ centred), float(np.abs(y).max()))
    interval = bootstrap.mean(slopes, level=level, n_boot=n_boot, rng=rng)
    return Slope(
        float(slopes.mean()), interval.low, interval.high, equivalence.difference_p(slopes)
    )


def breaking_point(sizes: Sequence[int], verdicts: Sequence[Value]) -> BreakingPoint:
    """Where equivalence ends in a sweep over sizes, such as k of ``subspace_k``.

    Raises ValueError on unequal lengths or sizes that do not ascend.
    """
    if len(sizes) != len(verdicts):
        raise ValueError(f"{len(sizes)} sizes, but {len(verdicts)} verdicts")
    if any(later <= earlier for earlier, later in pairwise(sizes)):
        raise ValueError(f"sizes must ascend, got {list(sizes)}")
    holds_to = broken_from = None
    for size, value in zip(sizes, verdicts, strict=True):
        if value != "equivalent":
            break
        holds_to = size
    for size, value in zip(sizes, verdicts, strict=True):
        if value == "different":
            broken_from = size
            break
    return BreakingPoint(holds_to, broken_from)
