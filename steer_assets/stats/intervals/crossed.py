"""Interval of a grand mean over two crossed random factors: prompts and seeds of v_perp.

An effect of "an orthogonal vector" should generalise over prompts *and* over orthogonal vectors,

    x[i, j] = mu + prompt_i + seed_j + rest_ij,
    Var(mean) = s_prompt^2 / n + s_seed^2 / k + s_rest^2 / (n k).

Rows and columns are resampled independently (the pigeonhole bootstrap: Owen 2007; McCullagh 2000
shows that no resampling is exact here). Its variance overestimates the rest about threefold and
lacks the (n-1)/n factors, so the replicates are rescaled about the mean to the unbiased two-way
analysis of variance estimate, never less than the variance from prompts alone or from seeds alone,
and the quantiles are widened from normal to t with Satterthwaite's degrees of freedom. Under ten
prompts the interval is +- t standard errors with these degrees, without resamples.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import special

from steer_assets.stats import validation
from steer_assets.stats.intervals.resampling import FEWEST
from steer_assets.stats.validation import Interval


def crossed(
    x: ArrayLike, *, level: float = 0.95, n_boot: int = 2000, rng: np.random.Generator
) -> Interval:
    """Interval of the mean of ``x`` [prompts, seeds] that generalises over both.

    Args:
        x: effect of every seed's vector on every prompt (mean over samples).
        level: coverage.
        n_boot: resamples.
        rng: source of the resamples.

    Raises:
        ValueError: fewer than two prompts or two seeds, values not finite.
    """
    effects = validation.table(x, "x")
    n, k = effects.shape
    if k < 2:
        raise ValueError(f"an interval over seeds needs at least 2 of them, got {k}; use bca")
    if n_boot < 100:
        raise ValueError(f"n_boot must be at least 100 for an interval, got {n_boot}")
    centre = float(effects.mean())
    se, df = standard_error(effects)
    prompts = rng.multinomial(n, np.full(n, 1 / n), size=n_boot) / n
    seeds = rng.multinomial(k, np.full(k, 1 / k), size=n_boot) / k
    deviations = ((prompts @ (effects - centre)) * seeds).sum(axis=1)
    resampled = float(deviations.std())
    if se == 0 or resampled == 0:
        return Interval(centre, centre)
    tails = np.array([(1 - validation.level(level)) / 2, (1 + level) / 2])
    widening = special.stdtrit(df, tails) / special.ndtri(tails)
    if n < FEWEST:
        half = special.stdtrit(df, tails[1]) * se
        return Interval(float(centre - half), float(centre + half))
    low, high = np.quantile(deviations, tails) * widening * (se / resampled) + centre
    return Interval(float(low), float(high))


def standard_error(x: Float[np.ndarray, "n k"]) -> tuple[float, float]:
    """Standard error of the grand mean and its Satterthwaite degrees of freedom."""
    n, k = x.shape
    rows, columns = x.mean(axis=1), x.mean(axis=0)
    rest = x - rows[:, None] - columns[None, :] + x.mean()
    from_rows = rows.var(ddof=1) / n
    from_columns = columns.var(ddof=1) / k
    from_rest = (rest**2).sum() / ((n - 1) * (k - 1)) / (n * k)
    variance = max(from_rows + from_columns - from_rest, from_rows, from_columns)
    if variance <= (8 * np.finfo(np.float64).eps * np.abs(x).max()) ** 2:
        return 0.0, float(min(n, k) - 1)
    noise = from_rows**2 / (n - 1) + from_columns**2 / (k - 1) + from_rest**2 / ((n - 1) * (k - 1))
    # The degrees of freedom of the smaller factor are a lower bound; only rounding gives less.
    df = float(np.clip(variance**2 / noise, min(n, k) - 1, (n - 1) * (k - 1) + n + k - 2))
    return float(np.sqrt(variance)), df
