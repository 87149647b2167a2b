"""Power of TOST on paired differences, and the number of prompts needed.

With n prompts, sd the standard deviation of the prompt-level differences, se = sd / sqrt(n) and C =
sqrt(chi2_{n-1} / (n-1)) independent of the mean, TOST declares equivalence if |mean| < margin - t
se C:

    power = E_C [ Phi((margin - effect)/se - t C) - Phi(-(margin + effect)/se + t C) ]_+ ,

exact for normal differences (Phillips 1990, there as Owen's Q). The expectation is
taken over quantiles of C with Gauss-Legendre nodes, to 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy import special

from steer_assets.stats import validation

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(128)
# More prompts than any study has; a search that reaches it has no solution.
_LARGEST_N = 10_000_000


def tost_power(
    sd_difference: float, n: int, margin: float, *, effect: float = 0.0, alpha: float = 0.05
) -> float:
    """Probability that TOST on ``n`` prompts declares equivalence.

    Args:
        sd_difference: standard deviation of prompt-level differences (score units); 0 is allowed.
        n: prompts.
        margin: half-width of the equivalence region (score units).
        effect: true mean difference (score units).
        alpha: size of each one-sided test.

    Raises:
        ValueError: fewer than two prompts, a negative or infinite standard deviation, a margin that
            is not above 0, alpha outside (0, 1).
    """
    _check(sd_difference, n, alpha)
    validation.positive(margin, "margin")
    se = sd_difference / np.sqrt(n)
    if se < 1e-12 * margin:
        return float(abs(effect) < margin)
    critical = special.stdtrit(n - 1, 1 - alpha)
    # Beyond this C equivalence cannot be declared; integrate over the probability below it.
    largest = margin / (se * critical)
    reach = special.chdtr(n - 1, (n - 1) * largest**2)
    if reach == 0:
        return 0.0
    width = margin / se - critical * _scale(reach * (_NODES + 1) / 2, n)
    shift = effect / se
    declared = special.ndtr(width - shift) - special.ndtr(-width - shift)
    return float(np.clip(reach / 2 * (_WEIGHTS @ np.maximum(declared, 0.0)), 0.0, 1.0))


def _scale(quantile: Float[np.ndarray, " k"], n: int) -> Float[np.ndarray, " k"]:
    """Quantiles of C, the estimated over the true standard deviation."""
    return np.asarray(np.sqrt(special.chdtri(n - 1, 1 - quantile) / (n - 1)))


def fewest(power_of: Callable[[int], float], wanted: float) -> int:
    """Smallest n >= 2 with power_of(n) >= wanted; power increases with n once it is above 5 %."""
    high = 2
    while power_of(high) < wanted:
        high *= 2
        if high > _LARGEST_N:
            raise ValueError(f"more than {_LARGEST_N} prompts would be needed")
    low = max(high // 2, 1)
    while high - low > 1:
        middle = (low + high) // 2
        if power_of(middle) >= wanted:
            high = middle
        else:
            low = middle
    return high


def _check(sd_difference: float, n: int, alpha: float) -> None:
    if n < 2:
        raise ValueError(f"a paired test needs at least 2 prompts, got {n}")
    if not (np.isfinite(sd_difference) and sd_difference >= 0):
        raise ValueError(f"sd_difference must be finite and not negative, got {sd_difference}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie strictly between 0 and 1, not {alpha}")
