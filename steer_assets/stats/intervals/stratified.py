"""Bootstrap of statistics over sets of arms: paired and clustered, or neither.

clustered     prompts are resampled, within their stratum, together in all arms; a prompt's samples
              stay together (arms share prompts and random numbers).
otherwise     the texts of every arm are resampled separately, as if each were an independent
              observation: the published analysis, narrower if prompts differ and wider if arms are
              paired.

Intervals are BCa with the widening of ``bootstrap``; the jackknife leaves out one unit of one
stratum (or arm) at a time. Statistics: the mean of d over comparisons, signed or of its size, and
the share that other arms have of one arm's effect.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from steer_assets.stats import validation
from steer_assets.stats.intervals import bootstrap
from steer_assets.stats.validation import Estimate

#: Scores of one arm [prompts, samples] in one stratum.
Table = Float[np.ndarray, "n m"]
#: Maps all arms, each [r, n, m], to one number per resample [r].
Statistic = Callable[[Sequence[np.ndarray]], np.ndarray]


_ROUNDING = 100 * np.finfo(float).eps  # of a score


@dataclass(frozen=True, slots=True)
class Arms:
    """Arms of one stratum, with the same prompts in the same order."""

    tables: Sequence[Table]


def estimate(
    strata: Sequence[Arms],
    statistic: Statistic,
    *,
    clustered: bool,
    level: float = 0.95,
    n_boot: int = 2000,
    rng: np.random.Generator,
) -> Estimate:
    """The statistic of all arms, stratum after stratum, with its BCa interval.

    Raises:
        ValueError: bad input, or a statistic that is undefined on the sample, without one unit, or
            on more than 5 % of the resamples.
    """
    arms, blocks = _blocks(strata, clustered)
    observed = float(_evaluate(statistic, [arm[None] for arm in arms])[0])
    if not np.isfinite(observed):
        raise ValueError(f"the statistic is {observed} on the sample itself: no interval exists")
    drawn: list[np.ndarray] = [np.empty(0)] * len(arms)
    for members in blocks:
        n = len(arms[members[0]])
        chosen = rng.integers(n, size=(n_boot, n))
        for member in members:
            drawn[member] = arms[member][chosen]
    replicates = _evaluate(statistic, drawn)
    defined = replicates[np.isfinite(replicates)]
    if len(defined) < 0.95 * n_boot:
        raise ValueError(
            f"the statistic is undefined on {n_boot - len(defined)} of {n_boot} resamples"
        )
    n_units = sum(len(arms[members[0]]) for members in blocks)
    interval = bootstrap.from_replicates(
        observed,
        defined,
        _leave_one_out(statistic, arms, blocks),
        level=level,
        n=max(2, n_units - len(blocks) + 1),
    )
    # The mean of |d| is biased upwards, and its bias correction may pass the value itself.
    return Estimate(observed, min(interval.low, observed), max(interval.high, observed))


def mean_d(pairs: Sequence[tuple[int, int]], *, absolute: bool) -> Statistic:
    """Mean over `pairs` of arms (a, b) of d = (mean a - mean b) / sqrt((var a + var b) / 2).

    Over texts, variances with ddof 0, as published; with ``absolute`` the mean of |d|.
    """

    def statistic(arms: Sequence[np.ndarray]) -> np.ndarray:
        means = [arm.mean(axis=(1, 2)) for arm in arms]
        variances = [_variance(arm) for arm in arms]
        with np.errstate(divide="ignore", invalid="ignore"):
            d = np.stack(
                [
                    (means[a] - means[b]) / np.sqrt((variances[a] + variances[b]) / 2)
                    for a, b in pairs
                ]
            )
        return np.asarray((np.abs(d) if absolute else d).mean(axis=0))

    return statistic


def _variance(arm: np.ndarray) -> np.ndarray:
    """Variance over texts; 0 if equal scores differ by rounding only, because d divides by it."""
    variance = arm.var(axis=(1, 2))
    rounding = (_ROUNDING**2) * np.square(arm).mean(axis=(1, 2))
    return np.where(variance > rounding, variance, 0.0)


def mean_share(others: Sequence[int], base: int, unsteered: int | None) -> Statistic:
    """Mean over `others` of mean(other - unsteered) / mean(base - unsteered).

    Without an unsteered arm it is the published |mean(other)| / |mean(base)| of raw scores.
    """

    def statistic(arms: Sequence[np.ndarray]) -> np.ndarray:
        means = [arm.mean(axis=(1, 2)) for arm in arms]
        with np.errstate(divide="ignore", invalid="ignore"):
            if unsteered is None:
                shares = [np.abs(means[o]) / np.abs(means[base]) for o in others]
            else:
                effect = means[base] - means[unsteered]
                shares = [(means[o] - means[unsteered]) / effect for o in others]
        return np.asarray(np.mean(shares, axis=0))

    return statistic


def _blocks(strata: Sequence[Arms], clustered: bool) -> tuple[list[np.ndarray], list[list[int]]]:
    """All arms, and the indices of those that are resampled together."""
    arms: list[np.ndarray] = []
    blocks: list[list[int]] = []
    for stratum in strata:
        tables = [validation.table(table, "arm") for table in stratum.tables]
        if len({table.shape[0] for table in tables}) != 1:
            raise ValueError(f"arms of a stratum hold {[len(t) for t in tables]} prompts")
        start = len(arms)
        arms += tables if clustered else [table.reshape(-1, 1) for table in tables]
        own = list(range(start, len(arms)))
        blocks += [own] if clustered else [[one] for one in own]
    if not arms:
        raise ValueError("no arms to compare")
    return arms, blocks


def _evaluate(statistic: Statistic, arms: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(statistic(arms), dtype=np.float64)


def _leave_one_out(
    statistic: Statistic, arms: list[np.ndarray], blocks: list[list[int]]
) -> Float[np.ndarray, " u"]:
    values = []
    for members in blocks:
        n = len(arms[members[0]])
        others = np.array([[j for j in range(n) if j != i] for i in range(n)])
        left = [np.broadcast_to(arm, (n, *arm.shape)) for arm in arms]
        for member in members:
            left[member] = arms[member][others]
        values.append(_evaluate(statistic, left))
    together: np.ndarray = np.concatenate(values)
    if not np.isfinite(together).all():
        raise ValueError("the statistic is undefined without one of the units")
    return together
