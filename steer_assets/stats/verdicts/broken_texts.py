"""Whether the texts of an arm are broken, by one rule for verdicts and figures.

An arm counts as broken if the lower end of a one-sided 95 % t interval over prompts exceeds a
limit: the mean log ratio of its perplexity to that of the unsteered text of the same prompt against
log(perplexity_factor), or the mean difference in repetition against ``repetition``. With fewer than
``FEWEST`` prompts an arm is not judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import special

#: Fewest prompts for judging an arm.
FEWEST = 10
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Judged:
    """Means over ``n`` prompts relative to unsteered texts; the reason, or "" if not broken."""

    n: int
    perplexity_ratio: float
    repetition_excess: float
    reason: str


def judge(
    log_ratio: Float[np.ndarray, " n"],
    excess: Float[np.ndarray, " n"],
    *,
    perplexity_factor: float,
    repetition: float,
) -> Judged:
    """Judge one arm.

    Args:
        log_ratio: log of perplexity over that of the unsteered text, one per prompt.
        excess: repetition above that of the unsteered text, one per prompt.
        perplexity_factor: limit of perplexity, as a multiple of the unsteered one.
        repetition: limit of the excess.
    """
    reasons = []
    if len(log_ratio) >= FEWEST:
        if _least(log_ratio) > np.log(perplexity_factor):
            reasons.append(
                f"perplexity {np.exp(log_ratio.mean()):.1f} times that of unsteered texts, "
                f"at least {np.exp(_least(log_ratio)):.1f}"
            )
        if _least(excess) > repetition:
            reasons.append(
                f"repetition {excess.mean():.2f} above that of unsteered texts, "
                f"at least {_least(excess):.2f}"
            )
    means = float(np.exp(log_ratio.mean())), float(excess.mean())
    return Judged(len(log_ratio), *means, " and ".join(reasons))


def _least(values: Float[np.ndarray, " n"]) -> float:
    """Lower end of the one-sided t interval of the mean."""
    n = len(values)
    quantile = special.stdtrit(n - 1, _LEVEL)
    return float(values.mean() - quantile * values.std(ddof=1) / np.sqrt(n))
