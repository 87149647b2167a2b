"""Heterogeneity of an effect over prompts, which an average can hide.

One-way random effects on the paired differences, D[i, j] = mu + tau_i + e_ij with m samples each:

    tau^2           between-prompt variance beyond the sampling noise, (MSB - MSW) / m
    p               is tau^2 above 0, by random signs (below)
    p_crossover     do effects of both signs exist: with Q+ and Q- the sums of D_i^2 / se^2 over
                    prompts of either sign, sum_h Binomial(h; n-1, 1/2) P(chi2_h > min(Q+, Q-))
    share_opposite  Phi(-|mu| / tau): share of prompts whose true effect has the other sign, if
                    true effects are normal

Noise differs between prompts (a saturated score hardly varies), and the F test of MSB / MSW then
rejects a true null in 10 % of studies. With no heterogeneity the products r_ij r_ik of two samples
of a prompt, r = D - mean D, are as often negative as positive whatever its noise; p is
the share of random sign patterns (a wild bootstrap with Rademacher weights; Liu 1988) whose sum of
products reaches the observed one.

The interval of tau is that of Williams (1962) and Tukey (1951), with its degrees of freedom reduced
if prompt means have heavier tails than a normal distribution (Var(s^2) through the kurtosis,
Shoemaker 2003). Crossover: the likelihood ratio test of Gail & Simon (1985) with the pooled
standard error; if the noise of prompts differs severalfold, its size is nearer 10 % than 5 %, so it
should be interpreted together with p.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import special, stats

from steer_assets.stats import validation


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Spread of the true effect over prompts, in score units.

    ``share_of_variance`` is tau^2 / (tau^2 + noise of a prompt mean): the share of the observed
    spread between prompts that is not sampling noise.
    """

    effect: float
    tau: float
    tau_low: float
    tau_high: float
    share_of_variance: float
    p: float
    p_crossover: float
    share_opposite: float


def heterogeneity(
    a: ArrayLike,
    b: ArrayLike,
    *,
    level: float = 0.95,
    n_signs: int = 2000,
    rng: np.random.Generator,
) -> Heterogeneity:
    """Between-prompt variance of the paired differences beyond the sampling noise.

    Args:
        a: scores ``[n_prompts, n_samples]``.
        b: scores of the other arm, paired position by position.
        level: coverage of the interval of tau.
        n_signs: random sign patterns of the test.
        rng: source of the signs.

    Raises:
        ValueError: fewer than two prompts or two samples a prompt, unequal shapes, not finite.
    """
    validation.level(level)
    pairs = validation.differences(a, b)
    m = pairs.shape[1]
    if m < 2:
        raise ValueError(f"telling prompts from noise needs at least 2 samples a prompt, got {m}")
    means = pairs.mean(axis=1)
    effect = float(means.mean())
    between = m * validation.standard_deviation(means) ** 2
    within = float(pairs.var(axis=1, ddof=1).mean())
    if within <= (8 * np.finfo(np.float64).eps * np.abs(pairs).max()) ** 2:
        return _noiseless(means, effect)
    tau = float(np.sqrt(max(between - within, 0.0) / m))
    low, high = _tau_interval(means, between, within, m, level)
    return Heterogeneity(
        effect=effect,
        tau=tau,
        tau_low=low,
        tau_high=high,
        share_of_variance=max(1 - within / between, 0.0) if between > 0 else 0.0,
        p=_sign_p(pairs - effect, n_signs, rng),
        p_crossover=crossover_p(means, float(np.sqrt(within / m))),
        share_opposite=_share_opposite(effect, tau),
    )


def crossover_p(effects: Float[np.ndarray, " n"], se: float) -> float:
    """Gail & Simon's p-value that true effects of both signs exist.

    Args:
        effects: one effect per prompt.
        se: their common standard error, above 0.

    Raises:
        ValueError: fewer than two prompts, values not finite, ``se`` not above 0.
    """
    values = validation.vector(effects, "effects") / validation.positive(se, "se")
    smaller = min((values[values > 0] ** 2).sum(), (values[values < 0] ** 2).sum())
    if smaller == 0:
        return 1.0
    h = np.arange(1, len(values))
    weights = stats.binom.pmf(h, len(values) - 1, 0.5)
    return float(np.clip(weights @ special.chdtrc(h, smaller), 0.0, 1.0))


def _sign_p(residuals: Float[np.ndarray, "n m"], n_signs: int, rng: np.random.Generator) -> float:
    """Share of sign patterns with at least the observed sum of within-prompt products."""
    if n_signs < 100:
        raise ValueError(f"n_signs must be at least 100 for a p-value, got {n_signs}")
    observed = (residuals.sum(axis=1) ** 2).sum()
    signs = rng.integers(2, size=(n_signs, *residuals.shape), dtype=np.int8) * 2 - 1
    flipped = (np.einsum("snm,nm->sn", signs, residuals) ** 2).sum(axis=1)
    # Patterns equal to the observed one up to rounding count as reaching it.
    reaching = np.count_nonzero(flipped >= observed * (1 - 1e-12))
    return (1 + reaching) / (1 + n_signs)


def _tau_interval(
    means: Float[np.ndarray, " n"], between: float, within: float, m: int, level: float
) -> tuple[float, float]:
    """Williams-Tukey: the between-prompt variances compatible with the observed MSB."""
    if between == 0:
        return 0.0, 0.0
    n = len(means)
    df = _effective_df(means)
    tails = np.array([(1 + level) / 2, (1 - level) / 2])
    f = np.array([special.fdtri(df, n * (m - 1), tail) for tail in tails])
    chi2 = np.array([special.chdtri(df, 1 - tail) for tail in tails])
    tau_squared = df * between * (1 - f * within / between) / (m * chi2)
    low, high = np.sqrt(np.maximum(tau_squared, 0.0))
    return float(low), float(high)


def _effective_df(means: Float[np.ndarray, " n"]) -> float:
    """Degrees of freedom with Var(s^2) = s^4 (kurtosis - (n-3)/(n-1)) / n, at most n - 1."""
    n = len(means)
    centred = means - means.mean()
    kurtosis = (centred**4).mean() / (centred**2).mean() ** 2
    excess = kurtosis - (n - 3) / (n - 1)
    return float(min(n - 1, 2 * n / excess)) if excess > 0 else float(n - 1)


def _share_opposite(effect: float, tau: float) -> float:
    return float(special.ndtr(-abs(effect) / tau)) if tau > 0 else 0.0


def _noiseless(means: Float[np.ndarray, " n"], effect: float) -> Heterogeneity:
    """The limit without sampling noise (greedy decoding): the observed spread is the true one."""
    tau = validation.standard_deviation(means)
    both_signs = bool((means > 0).any() and (means < 0).any())
    return Heterogeneity(
        effect=effect,
        tau=tau,
        tau_low=tau,
        tau_high=tau,
        share_of_variance=1.0 if tau > 0 else 0.0,
        p=0.0 if tau > 0 else 1.0,
        p_crossover=0.0 if both_signs else 1.0,
        share_opposite=_share_opposite(effect, tau),
    )
