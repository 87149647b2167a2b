r"""What a divergence between two arms' texts bounds, for every score of a text at once.

For any score f of a text with values in an interval of length R,
:math:`|E_p f - E_q f| \le R\,TV(p, q)`, with equality for the indicator of
:math:`p > q`. Total variation is itself at most :math:`\sqrt{KL/2}` (Pinsker; Csiszar 1967) and at
most :math:`\sqrt{1 - e^{-KL}}` (Bretagnolle & Huber 1979), which stays below 1 for any KL.
"""

from __future__ import annotations

import math
from typing import Literal

from steer_assets.stats.divergences.text_divergences import Divergences

Verdict = Literal["certified", "distinguishable", "open"]


def pinsker(kl: float) -> float:
    """Largest total variation at a KL divergence in nats, by Pinsker's inequality."""
    return math.sqrt(_divergence(kl) / 2)


def bretagnolle_huber(kl: float) -> float:
    """Largest total variation at a KL divergence in nats, by Bretagnolle and Huber's."""
    return math.sqrt(-math.expm1(-_divergence(kl)))


def bound_for_any_score(found: Divergences) -> float:
    """Upper end of the difference in mean of any score of a text, as a share of its range.

    The smallest of the upper end of total variation and what KL(p || q) bounds by its upper end.
    Each is the end of a two-sided interval of level L; as one of two, it holds with confidence L.
    """
    bounds = [1.0, found.total_variation.high]
    if found.kl is not None:
        bounds += [pinsker(found.kl.high), bretagnolle_huber(found.kl.high)]
    return min(bounds)


def verdict(found: Divergences, margin: float) -> Verdict:
    """Whether any score, or some, can differ by ``margin`` of its range.

    certified: no score of a text differs in mean by the margin or more; distinguishable: the score
    that tells the arms apart best differs by more, at the level of the intervals; open: neither.
    """
    if not 0 < margin < 1:
        raise ValueError(f"the margin is a share of a score's range between 0 and 1, not {margin}")
    if bound_for_any_score(found) < margin:
        return "certified"
    return "distinguishable" if found.total_variation.low > margin else "open"


def share_seen(difference: float, score_range: float, total_variation: float) -> float | None:
    """Share of the largest possible difference in mean that one score shows; None if that is 0.

    difference: of its means; score_range: largest minus smallest value, in the same unit.
    """
    possible = score_range * total_variation
    return min(abs(difference) / possible, 1.0) if possible > 0 else None


def _divergence(kl: float) -> float:
    if not kl >= 0:
        raise ValueError(f"a divergence is not negative, got {kl}")
    return kl
