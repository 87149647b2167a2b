r"""White noise in a sample covariance: its level, its upper edge, and the optimal hard threshold.

For N degrees of freedom in d dimensions and noise of variance :math:`\sigma^2`, the non-zero sample
eigenvalues follow the law of Marchenko & Pastur (1967). With :math:`\beta = \min(N,d)/\max(N,d)`,
their median is :math:`\sigma^2 \mu_\beta \max(N,d)/N`, where :math:`\mu_\beta` is the median of the
law with ratio :math:`\beta`. Inverting this for the observed median estimates :math:`\sigma^2`
robustly: up to half of the eigenvalues may be signal (Gavish & Donoho 2014, IEEE Trans. Inf. Theory
60, 5040, section III). N < d needs no separate case, because the law is symmetric under transposing
the data.

The asymptotic edge :math:`\sigma^2(1 + \sqrt{d/N})^2` is crossed by the largest noise eigenvalue of
finite data in about one data set of six, and a single crossing changes the result from "nothing
found" to "one leading direction and a null space of all others". The edge used here is therefore
the quantile of that largest eigenvalue: centring and scale of Johnstone (2001, Ann. Statist. 29,
295) with the second-order correction of Ma (2012, Bernoulli 18, 322), Tracy-Widom law of order 1 by
the shifted gamma of Chiani (2014, J. Multivariate Anal. 129, 69). It tends to the asymptotic edge
as N and d grow.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy import integrate, optimize, stats

# Probability that pure noise of known level has an eigenvalue beyond the edge.
FALSE_ALARM = 1e-4

# Shape, scale and shift of the gamma approximation to Tracy-Widom of order 1 (Chiani, table 1).
_TW1_SHAPE, _TW1_SCALE, _TW1_SHIFT = 46.446, 0.186054, 9.84801


@lru_cache(maxsize=256)
def marchenko_pastur_median(beta: float) -> float:
    """Median of the Marchenko-Pastur law of unit variance and ratio 0 < beta <= 1.

    The substitution x = 1 + beta + 2 sqrt(beta) cos(t) makes the density smooth, also at beta = 1,
    where it is singular at 0 in x.
    """
    if not 0 < beta <= 1:
        raise ValueError(f"beta must lie in (0, 1], got {beta}")
    root = float(np.sqrt(beta))

    def density(t: float) -> float:
        x = 1 + beta + 2 * root * np.cos(t)
        return float(2 / np.pi * np.sin(t) ** 2 / x) if x > 0 else 0.0

    def mass_above(t: float) -> float:
        return float(integrate.quad(density, 0.0, t, epsabs=1e-12, epsrel=1e-12)[0])

    t_median = optimize.brentq(lambda t: mass_above(t) - 0.5, 0.0, np.pi, xtol=1e-13)
    return float(1 + beta + 2 * root * np.cos(t_median))


def _noisy_part(eigenvalues: Float[np.ndarray, " d"], dof: int) -> tuple[float, int]:
    """Median eigenvalue and number of dimensions from which white noise is estimated.

    `dof` samples can make min(dof, d) eigenvalues non-zero. If more than half of those are zero
    there is no noise, and the median is zero. Fewer zeros are constant directions: the noise is in
    the other directions, and its law applies to them.
    """
    d = eigenvalues.shape[0]
    visible = min(dof, d)
    varying = int((eigenvalues[:visible] > 0).sum())
    if varying < visible and 2 * varying >= visible:
        return float(np.median(eigenvalues[:varying])), varying
    return float(np.median(eigenvalues[:visible])), d


def _ratio(d: int, dof: int) -> float:
    return min(d, dof) / max(d, dof)


def noise_variance(eigenvalues: Float[np.ndarray, " d"], dof: int) -> float:
    """Variance of white noise from the median of covariance eigenvalues [d], descending.

    `dof` is n - 1 for a covariance about the sample mean. Zero when more than half of the
    eigenvalues are zero: the data then have no white noise.
    """
    median, d = _noisy_part(eigenvalues, dof)
    return float(median / (marchenko_pastur_median(_ratio(d, dof)) * max(d, dof) / dof))


def largest_noise_eigenvalue(d: int, dof: int, *, false_alarm: float = FALSE_ALARM) -> float:
    """Quantile 1 - false_alarm of the largest sample eigenvalue of unit white noise."""
    a, b = np.sqrt(dof - 0.5), np.sqrt(d - 0.5)
    centre = (a + b) ** 2
    scale = (a + b) * (1 / a + 1 / b) ** (1 / 3)
    quantile = stats.gamma.ppf(1 - false_alarm, _TW1_SHAPE, scale=_TW1_SCALE) - _TW1_SHIFT
    return float((centre + scale * quantile) / dof)


def noise_edge(eigenvalues: Float[np.ndarray, " d"], dof: int) -> float:
    """Upper edge of the noise on the scale of covariance eigenvalues, level estimated."""
    _, d = _noisy_part(eigenvalues, dof)
    return noise_variance(eigenvalues, dof) * largest_noise_eigenvalue(d, dof)


def hard_threshold(eigenvalues: Float[np.ndarray, " d"], dof: int) -> float:
    r"""Optimal hard threshold for eigenvalues at unknown noise level (Gavish & Donoho 2014, eq. 4).

    In singular values :math:`\tau = \lambda_*(\beta)/\sqrt{\mu_\beta}\; y_{med}` with
    :math:`\lambda_*(\beta)^2 = 2(\beta+1) + 8\beta/(\beta + 1 + \sqrt{\beta^2 + 14\beta + 1})`;
    the square is returned, on the scale of covariance eigenvalues.
    """
    median, d = _noisy_part(eigenvalues, dof)
    beta = _ratio(d, dof)
    known_level = 2 * (beta + 1) + 8 * beta / (beta + 1 + np.sqrt(beta**2 + 14 * beta + 1))
    return float(known_level / marchenko_pastur_median(beta) * median)
