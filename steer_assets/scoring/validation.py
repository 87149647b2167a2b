"""Separation of the poles by a scorer: AUROC with its interval, and splits by topic.

AUROC is the probability that a text of the positive pole scores above one of the negative pole,
with ties counted as half (Mann & Whitney 1947). Its variance is DeLong's (DeLong, DeLong &
Clarke-Pearson 1988), by the ranks of Sun & Xu (IEEE Signal Processing Letters 2014):

    V10_i = share of negatives below positive i,    V01_j = share of positives above negative j,
    var(AUROC) = var(V10) / m + var(V01) / n.

Texts of a topic are dependent, so that topics are the sampling units instead of texts. With topics
the variance is Obuchowski's (1997, Biometrics 53) for clustered data: every text contributes (V10_i
- AUROC) / m or (V01_j - AUROC) / n, contributions are added within each of T topics, and

    var(AUROC) = T / (T - 1) sum over topics of (summed contributions)^2.

The interval is symmetric on the logit scale, so that it stays inside [0, 1] (Pepe 2003, section
5.2), with normal quantiles for texts and Student's t of T - 1 degrees for topics. If every positive
scores above every negative, the estimated variance is 0 and useless; the bounds are then the exact
ones of a proportion with no failure among the units, T topics or min(m, n) texts (Clopper & Pearson
1934).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from steer_assets.scoring.labelled import LabelledText, is_positive
from steer_assets.scoring.scorer import Scorer

LEVEL = 0.95
N_SPLITS = 10


@dataclass(frozen=True)
class Validation:
    """A row of ``scorer_validation``: AUROC on labelled texts, with a 95 % interval."""

    scorer: str
    n_positive: int
    n_negative: int
    auroc: float
    auroc_low: float
    auroc_high: float


def auroc(
    scores: Float[np.ndarray, " n"],
    positive: Bool[np.ndarray, " n"],
    *,
    topics: Sequence[str] | None = None,
    level: float = LEVEL,
) -> tuple[float, float, float]:
    """AUROC and the bounds of its interval.

    Args:
        scores: of texts, larger for the positive pole.
        positive: which texts stand for the positive pole.
        topics: the topic of every text, the sampling unit; without topics, or if all texts have the
            same one, texts count as independent.
        level: coverage.

    Raises:
        ValueError: if lengths differ, a score is not finite, or a pole has fewer than two texts.
    """
    from scipy.stats import norm, rankdata
    from scipy.stats import t as student

    if len(scores) != len(positive) or (topics is not None and len(topics) != len(scores)):
        raise ValueError(f"{len(scores)} scores for {len(positive)} labels")
    if not np.isfinite(scores).all():
        raise ValueError(f"{int((~np.isfinite(scores)).sum())} scores are not finite")
    high, low = scores[positive], scores[~positive]
    m, n = len(high), len(low)
    if min(m, n) < 2:
        raise ValueError(f"{m} positive and {n} negative texts: at least 2 of each are needed")
    overall = rankdata(scores)
    above = (overall[positive] - rankdata(high)) / n
    below = 1.0 - (overall[~positive] - rankdata(low)) / m
    area = float(above.mean())
    n_topics = 0 if topics is None else len(set(topics))
    tail = (1.0 + level) / 2.0
    if topics is None or n_topics < 2:
        variance = float(above.var(ddof=1) / m + below.var(ddof=1) / n)
        return area, *_logit_interval(area, variance, min(m, n), level, float(norm.ppf(tail)))
    contributions = np.empty(len(scores))
    contributions[positive] = (above - area) / m
    contributions[~positive] = (below - area) / n
    summed = np.bincount(np.unique(topics, return_inverse=True)[1], weights=contributions)
    variance = float(n_topics / (n_topics - 1) * (summed**2).sum())
    quantile = float(student.ppf(tail, n_topics - 1))
    return area, *_logit_interval(area, variance, n_topics, level, quantile)


def _logit_interval(
    area: float, variance: float, n_units: int, level: float, quantile: float
) -> tuple[float, float]:
    exact = 1.0 - ((1.0 - level) / 2.0) ** (1.0 / n_units)
    if area in (0.0, 1.0):
        return (area, exact) if area == 0.0 else (1.0 - exact, area)
    centre = math.log(area / (1.0 - area))
    half = quantile * math.sqrt(variance) / (area * (1.0 - area))
    return 1.0 / (1.0 + math.exp(half - centre)), 1.0 / (1.0 + math.exp(-half - centre))


def validate_scores(
    scorer: str, scores: Float[np.ndarray, " n"], labelled: Sequence[LabelledText]
) -> Validation:
    """Validation of given scores of labelled texts, with topics as the units."""
    positive = is_positive(labelled)
    area, low, high = auroc(scores, positive, topics=[text.topic for text in labelled])
    return Validation(scorer, int(positive.sum()), int((~positive).sum()), area, low, high)


def validate_fixed(scorer: Scorer, labelled: Sequence[LabelledText]) -> Validation:
    """Validation of a scorer that was not fitted on these texts (zero-shot, classifier, judge)."""
    return validate_scores(scorer.name, scorer.score([text.text for text in labelled]), labelled)


def held_out_scores(
    labelled: Sequence[LabelledText],
    fit_and_score: Callable[[np.ndarray, np.ndarray], Float[np.ndarray, " k"]],
    *,
    n_splits: int = N_SPLITS,
) -> Float[np.ndarray, " n"]:
    """Scores of every text by a head fitted without its topic.

    Args:
        labelled: the texts.
        fit_and_score: given the rows to fit on and the rows to score, the scores of the latter.
        n_splits: number of folds; topics are never split over two of them.

    Raises:
        ValueError: with fewer than two topics.
    """
    from sklearn.model_selection import GroupKFold

    topics = [text.topic for text in labelled]
    n_topics = len(set(topics))
    if n_topics < 2:
        raise ValueError(f"{n_topics} topic: held-out validation needs at least 2")
    scores = np.empty(len(labelled))
    folds = GroupKFold(n_splits=min(n_splits, n_topics))
    for fit_rows, score_rows in folds.split(topics, groups=topics):
        scores[score_rows] = fit_and_score(fit_rows, score_rows)
    return scores
