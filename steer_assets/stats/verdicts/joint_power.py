"""Power of the equivalence test as designed: level, noisy margin, skewness guard, seeds.

A claim on k seeds is shown if 2k one-sided t tests reject: for every seed j those of mean(d_j + c)
> 0 and mean(c - d_j) > 0, with c the contributions of the margin. They share prompts and margin, so
they are correlated. If there were no difference in any seed,

    t_i = (margin / se_i + z_i) / C_i,   z ~ N(0, R),   C_i^2 ~ chi2_{n-1} / (n - 1),

R the correlation of the 2k combinations over prompts; sample variances of normal values correlate
by the squares of R, sample skewnesses by the cubes. The probability that all t_i pass their
critical values is a mean over a fixed set of draws, the same for every n, so that it increases with
n. If the skewness guard applies Hall's transformed t, the critical value is the larger one of t and
of the inverse transformation of t, at a drawn sample skewness (normal, with its variance under
normality 6 (n-2) / ((n+1) (n+3)), around that of the study where that lies two standard errors from
zero, around zero otherwise).

Quantiles of chi2 by Wilson & Hilferty (1931).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy import special

from steer_assets.stats import validation
from steer_assets.stats.verdicts.equivalence import AnyMargin, as_margin
from steer_assets.stats.verdicts.power import fewest

_DRAWS = 4096


@dataclass(frozen=True, slots=True)
class Design:
    """Everything that determines the power of a claim except the level; score units.

    covariance [2k, 2k]: over prompts, of difference + margin and margin - difference of each seed.
    skewness [2k]: of the same.
    """

    n: int
    margin: float
    covariance: Float[np.ndarray, "j j"]
    skewness: Float[np.ndarray, " j"]
    guard: bool


def design(
    differences: Float[np.ndarray, "n k"] | Sequence[Float[np.ndarray, " n"]],
    margin: AnyMargin,
    *,
    skewness_guard: bool = True,
) -> Design:
    """The design of a completed study.

    Args:
        differences: prompt-level paired differences of every seed.
        margin: in the form that the test takes.
        skewness_guard: whether the test also requires Hall's transformed t.

    Raises:
        ValueError: fewer than two prompts, values not finite, a margin of other prompts.
    """
    seeds = validation.table(np.asarray(differences), "differences")
    estimated = as_margin(margin, len(seeds))
    distance = estimated.contributions[:, None]
    values = np.concatenate([seeds + distance, distance - seeds], axis=1)
    centred = validation.without_rounding(
        values - values.mean(axis=0), float(np.abs(values).max(initial=0.0))
    )
    n = len(seeds)
    covariance = centred.T @ centred / (n - 1)
    scale = np.sqrt((centred**2).mean(axis=0))
    third = (centred**3).mean(axis=0)
    skewness = np.divide(third, scale**3, out=np.zeros_like(third), where=scale > 0)
    # The variance that other prompts add to the margin is common to all combinations.
    return Design(n, estimated.size, covariance + n * estimated.outside, skewness, skewness_guard)


def power(found: Design, *, n: int | None = None, alpha: float = 0.05) -> float:
    """Probability that equivalence of all seeds is declared if there is no difference in any.

    Args:
        found: the design.
        n: prompts; those of the design unless given.
        alpha: level of each one-sided test, adjusted for the other hypotheses of its gate.

    Raises:
        ValueError: fewer than two prompts, or alpha outside (0, 1).
    """
    size = found.n if n is None else n
    if size < 2:
        raise ValueError(f"a paired test needs at least 2 prompts, got {size}")
    validation.level(alpha)
    if found.margin <= 0:
        return 0.0
    return _Claim.of(found).power(size, alpha)


def sample_size(found: Design, wanted: float = 0.8, *, alpha: float = 0.05) -> int:
    """Fewest prompts with which equivalence of all seeds is declared with probability ``wanted``.

    Raises ValueError if no number of prompts is enough (a margin not above 0), or more than ten
    million would be needed.
    """
    if found.margin <= 0:
        raise ValueError(f"nothing lies inside a margin of {found.margin}")
    validation.level(alpha)
    claim = _Claim.of(found)
    return fewest(lambda n: claim.power(n, alpha), validation.level(wanted))


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the power of a design rests on for any number of prompts: [j, draws] of j combinations.

    Combinations that do not vary are left out. Without the skewness guard ``third`` is None.
    """

    found: Design
    sd: Float[np.ndarray, "j 1"]
    skewness: Float[np.ndarray, "j 1"]
    z: Float[np.ndarray, "j b"]
    noise: Float[np.ndarray, "j b"]
    third: Float[np.ndarray, "j b"] | None

    @classmethod
    def of(cls, found: Design) -> _Claim:
        sd = np.sqrt(np.diag(found.covariance))
        moves = sd > 1e-12 * found.margin
        sd, correlation = sd[moves], found.covariance[np.ix_(moves, moves)]
        correlation = correlation / np.outer(sd, sd)
        draws = _draws(len(sd))
        z, noise, third = (
            np.ascontiguousarray((drawn @ _root(correlation**k)).T)
            for k, drawn in enumerate(draws, start=1)
        )
        known = np.abs(found.skewness[moves]) > 2 * np.sqrt(6 / found.n)
        skewness = np.where(known, found.skewness[moves], 0.0)
        return cls(found, sd[:, None], skewness[:, None], z, noise, third if found.guard else None)

    def power(self, size: int, alpha: float) -> float:
        """Probability that all tests on ``size`` prompts pass at this level."""
        if not len(self.sd):
            return 1.0
        df = size - 1
        c = np.maximum(1 - 2 / (9 * df) + self.noise * np.sqrt(2 / (9 * df)), 1e-3) ** 1.5
        t = (self.found.margin * np.sqrt(size) / self.sd + self.z) / c
        critical = float(special.stdtrit(df, 1 - alpha))
        passed = (t > critical).all(axis=0)
        if self.third is not None and size > 2:
            # Draws that do not pass without the guard do not pass with it.
            error = np.sqrt(6 * (size - 2) / ((size + 1) * (size + 3)))
            skewness = self.skewness + error * self.third[:, passed]
            passed = (_hall(t[:, passed], skewness, size) > critical).all(axis=0)
        return float(passed.sum() / _DRAWS)


@lru_cache(maxsize=16)
def _draws(k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three sets of standard normal draws [draws, k]; the first is antithetic."""
    first, second, third = np.random.default_rng(20260206).normal(size=(3, _DRAWS, k))
    first[_DRAWS // 2 :] = -first[: _DRAWS // 2]
    return first, second, third


def _root(correlation: Float[np.ndarray, "j j"]) -> Float[np.ndarray, "j j"]:
    values, vectors = np.linalg.eigh(correlation)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def _hall(
    t: Float[np.ndarray, "j b"], skewness: Float[np.ndarray, "j b"], n: int
) -> Float[np.ndarray, "j b"]:
    """Hall's g(t), or t if the sample is no more skewed than a normal one (``equivalence``)."""
    s = np.where(np.abs(skewness) > np.sqrt(6 / n), skewness, 0.0) / np.sqrt(n)
    return np.asarray(t + s * t**2 / 3 + s**2 * t**3 / 27 + s / 6)
