"""Whether an arm writes broken texts, and how certain that is: one rule for verdicts and figures.

An arm counts as broken where the lower end of a one-sided 95 % t interval over prompts lies beyond
a limit: the mean log ratio of its perplexity to that of the unsteered text of the same prompt
against log(perplexity_factor), or the mean difference in repetition against ``repetition``. Under
``FEWEST`` prompts an arm is not judged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import special

#: Fewest prompts on which an arm may be called broken.
FEWEST = 10
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Judged:
    """Means over ``n`` prompts beside unsteered texts, and why the arm is broken; "" if not."""

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
        perplexity_factor: perplexity that is too much, in multiples of the unsteered.
        repetition: excess that is too much.
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
