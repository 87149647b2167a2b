r"""Divergences between the texts of two arms, from the exact probability of every text under both.

With x a text and :math:`\Lambda(x) = \log p(x) - \log q(x)`, over texts drawn from both arms:

- Kullback-Leibler: :math:`KL(p\|q) = E_p\sum_t KL(p_t\|q_t)`, where :math:`p_t` is the distribution
  of token t given all before it. Each term is a sum over the whole vocabulary, so that only the
  earlier tokens are sampled (Rao-Blackwell); at one token nothing is.
- With the mixture m = (p + q)/2 and :math:`w = p/(p+q) = \mathrm{sigmoid}(\Lambda)`, total
  variation is :math:`E_m|2w-1|` and Jensen-Shannon :math:`E_m[w\log 2w + (1-w)\log 2(1-w)]`. Both
  are unbiased, and no term is negative or above the largest possible value.
- AUROC of :math:`\Lambda`: the chance that a text of p has a larger ratio than a text of q. By
  Neyman & Pearson (1933) no observer of one prompt and text has a ROC curve above that of the
  likelihood ratio. Texts of different prompts are compared, because arms share noise within one.

A prompt is the unit of every interval. The texts of both arms enter a prompt's value together, so
that noise which the arms share cancels in the interval as it does in the estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import expit, xlogy

from steer_assets.stats.intervals import bootstrap
from steer_assets.stats.validation import Estimate

#: Values of one arm's texts, [prompts, samples].
Table = Float[np.ndarray, "n m"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Texts of two arms p and q on the same prompts, in nats.

    p_ratio, q_ratio: log p(x) - log q(x) of texts drawn from p and from q [n, m]; plus infinity
        where q cannot give the text, minus infinity where p cannot.
    p_kl: sum over tokens of KL(p_t || q_t) along texts of p [n, m]; q_kl: KL(q_t || p_t) along
        texts of q. Infinite where a token of the one is impossible under the other.
    """

    p_ratio: Table
    q_ratio: Table
    p_kl: Table
    q_kl: Table

    def __post_init__(self) -> None:
        tables = (self.p_ratio, self.q_ratio, self.p_kl, self.q_kl)
        if {table.ndim for table in tables} != {2} or len({len(table) for table in tables}) != 1:
            raise ValueError(f"texts by prompt are needed, not {[t.shape for t in tables]}")
        if any(np.isnan(table).any() for table in tables):
            raise ValueError("a log-likelihood is not a number")


@dataclass(frozen=True, slots=True)
class Divergences:
    """Estimates with their intervals; a KL that is infinite is None.

    kl: KL(p || q), kl_reverse: KL(q || p), js: Jensen-Shannon, all in nats.
    """

    kl: Estimate | None
    kl_reverse: Estimate | None
    js: Estimate
    total_variation: Estimate
    observer_auroc: Estimate


def estimate(
    pair: Pair, *, level: float = 0.95, n_boot: int = 2000, rng: np.random.Generator
) -> Divergences:
    """All divergences of a pair with BCa intervals over prompts.

    Raises:
        ValueError: fewer than two prompts, or a level outside (0, 1).
    """

    def mean(values: Float[np.ndarray, " n"], most: float) -> Estimate | None:
        if not np.isfinite(values).all():
            return None
        found = bootstrap.mean(values, level=level, n_boot=n_boot, rng=rng)
        value = float(values.mean())
        return Estimate(value, max(0.0, min(found.low, value)), max(min(found.high, most), value))

    js, variation = (
        mean(_over_mixture(pair, term), most)
        for term, most in ((_shannon, float(np.log(2))), (_variation, 1.0))
    )
    assert js is not None
    assert variation is not None  # no term of either is infinite
    return Divergences(
        kl=mean(pair.p_kl.mean(axis=1), np.inf),
        kl_reverse=mean(pair.q_kl.mean(axis=1), np.inf),
        js=js,
        total_variation=variation,
        observer_auroc=_auroc(pair, level, n_boot, rng),
    )


def _over_mixture(pair: Pair, term: Callable[[Table], Table]) -> Float[np.ndarray, " n"]:
    return np.asarray((term(pair.p_ratio).mean(axis=1) + term(pair.q_ratio).mean(axis=1)) / 2)


def _variation(ratio: Table) -> Table:
    return np.asarray(np.abs(np.tanh(ratio / 2)))


def _shannon(ratio: Table) -> Table:
    w, rest = expit(ratio), expit(-ratio)
    return np.asarray(np.maximum(xlogy(w, 2 * w) + xlogy(rest, 2 * rest), 0.0))


def _auroc(pair: Pair, level: float, n_boot: int, rng: np.random.Generator) -> Estimate:
    """Share of pairs of prompts whose text of p has the larger ratio; ties count half."""
    wins = _wins(pair)
    n = len(wins)

    def share(batch: np.ndarray) -> Float[np.ndarray, " r"]:
        rows = np.arange(len(batch))[:, None] * n + batch.astype(np.intp)
        counts = np.bincount(rows.ravel(), minlength=len(batch) * n).reshape(-1, n).astype(float)
        # A prompt drawn twice is not compared with itself.
        total = ((counts @ wins) * counts).sum(axis=1) - np.square(counts) @ np.diag(wins)
        pairs = np.square(counts.sum(axis=1)) - np.square(counts).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(total / pairs)

    everyone = np.arange(n)
    value = float(share(everyone[None])[0])
    if n < 3 or np.ptp(wins) == 0:  # nothing to resample
        return Estimate(value, *((value, value) if n >= 3 else (0.0, 1.0)))
    found = bootstrap.bca(everyone, share, level=level, n_boot=n_boot, rng=rng, vectorized=True)
    return Estimate(value, max(0.0, min(found.low, value)), min(1.0, max(found.high, value)))


def _wins(pair: Pair) -> Float[np.ndarray, "n n"]:
    """Share of text pairs in which p's text of prompt i has a larger ratio than q's of prompt j."""
    first, second = pair.p_ratio[:, None, :, None], pair.q_ratio[None, :, None, :]
    return np.asarray(((first > second) + 0.5 * (first == second)).mean(axis=(2, 3)))
