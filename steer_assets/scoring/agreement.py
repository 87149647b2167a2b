"""Agreement between scorers that vote on the same texts.

Scorers have scales of their own, so agreement is of order: Spearman's rank correlation. Beside it
stands the share of texts on the same side of both scorers' medians (1/2 by chance, 1 in full
agreement).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float
from scipy.stats import spearmanr

_MIN_TEXTS = 3


@dataclass(frozen=True)
class Agreement:
    """How alike two scorers order n texts."""

    scorer_a: str
    scorer_b: str
    n: int
    spearman: float
    same_side: float


def pairwise_agreement(scores: Mapping[str, Float[np.ndarray, " n"]]) -> list[Agreement]:
    """Agreement of every pair of scorers, in the order of their names.

    Args:
        scores: by scorer, the scores of the same texts in the same order.

    Raises:
        ValueError: if lengths differ, there are fewer than 3 texts, or a scorer gave every text the
            same score (its order is not defined).
    """
    for name, values in scores.items():
        if len(values) < _MIN_TEXTS:
            raise ValueError(
                f"scorer {name}: {len(values)} texts, at least {_MIN_TEXTS} are needed"
            )
        if np.ptp(values) == 0:
            raise ValueError(f"scorer {name} gave all {len(values)} texts the score {values[0]}")
    return [_agreement(a, b, scores[a], scores[b]) for a, b in combinations(sorted(scores), 2)]


def _agreement(name_a: str, name_b: str, a: np.ndarray, b: np.ndarray) -> Agreement:
    if len(a) != len(b):
        raise ValueError(f"scorer {name_a} has {len(a)} texts, scorer {name_b} has {len(b)}")
    same = (a > np.median(a)) == (b > np.median(b))
    return Agreement(name_a, name_b, len(a), float(spearmanr(a, b).statistic), float(same.mean()))
