"""Linear heads on frozen features.

L2-penalised logistic regression on standardised features: with more features than texts the poles
are always separable, and the penalty decides how the head generalises. It is chosen by the log-
loss on held-out topics among the texts given, so that a validation around the whole fit stays
honest. The score is the linear predictor, the log-odds of the positive pole.

The minimiser lies in the span of the n rows, so with d > n features it is found among n
coordinates (representer theorem; Hastie & Tibshirani, "Efficient quadratic regularization for
expression arrays", Biostatistics 2004): X = U S V', fit on U S, weights V times the solution.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

#: Inverse penalties tried, for standardised features scaled by 1 / sqrt(number of features).
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_INNER_SPLITS = 5
_MAX_ITERATIONS = 200


@dataclass(frozen=True)
class LinearHead:
    """score = features . weights + bias; ``inverse_penalty`` is what was chosen."""

    weights: Float[np.ndarray, " d"]
    bias: float
    inverse_penalty: float

    def decide(self, features: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """Log-odds of the positive pole, one per row."""
        return np.asarray(features.astype(np.float64) @ self.weights + self.bias)


def fit_head(
    features: Float[np.ndarray, "n d"],
    positive: Bool[np.ndarray, " n"],
    topics: Sequence[str],
    *,
    penalties: Sequence[float] = PENALTIES,
) -> LinearHead:
    """Fit a head; the penalty is chosen on held-out topics where there are two topics or more.

    Raises:
        ValueError: if lengths differ, features are not finite, or a pole is missing.
    """
    if not len(features) == len(positive) == len(topics):
        raise ValueError(
            f"{len(features)} rows of features, {len(positive)} labels, {len(topics)} topics"
        )
    if not np.isfinite(features).all():
        raise ValueError("features are not finite")
    if positive.all() or not positive.any():
        raise ValueError(
            f"{int(positive.sum())} positive and {int((~positive).sum())} negative texts: "
            "a head needs both poles"
        )
    x = features.astype(np.float64)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    scale = 1.0 / (np.where(spread > 0, spread, 1.0) * math.sqrt(x.shape[1]))
    standardised = (x - mean) * scale
    # One thread: the fit is small, and its bytes must not depend on the number of threads.
    with threadpool_limits(limits=1):
        coordinates, basis = _row_space(standardised)
        chosen = _choose(coordinates, positive, topics, penalties)
        model = _logistic(coordinates, positive, chosen)
        weights = (basis @ model.coef_[0]) * scale
        return LinearHead(weights, float(model.intercept_[0] - mean @ weights), chosen)


def _row_space(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates U S of the rows and their orthonormal basis V, from the n x n Gram matrix."""
    squares, u = np.linalg.eigh(x @ x.T)
    kept = squares > squares[-1] * len(x) * np.finfo(np.float64).eps
    coordinates = u[:, kept] * np.sqrt(squares[kept])
    return coordinates, x.T @ (u[:, kept] / np.sqrt(squares[kept]))


def _logistic(x: np.ndarray, positive: np.ndarray, penalty: float) -> LogisticRegression:
    return LogisticRegression(C=penalty, max_iter=_MAX_ITERATIONS).fit(x, positive)


def _choose(
    x: np.ndarray, positive: np.ndarray, topics: Sequence[str], penalties: Sequence[float]
) -> float:
    n_topics = len(set(topics))
    if n_topics < 2:
        return penalties[len(penalties) // 2]
    loss = np.zeros(len(penalties))
    sign = np.where(positive, 1.0, -1.0)
    folds = GroupKFold(n_splits=min(_INNER_SPLITS, n_topics))
    for fit_rows, held_out in folds.split(x, groups=topics):
        if positive[fit_rows].all() or not positive[fit_rows].any():
            continue
        for index, penalty in enumerate(penalties):
            model = _logistic(x[fit_rows], positive[fit_rows], penalty)
            scores = model.decision_function(x[held_out])
            loss[index] += np.logaddexp(0.0, -sign[held_out] * scores).sum()
    return penalties[int(np.argmin(loss))]
