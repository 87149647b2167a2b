"""Kernel logistic regression on frozen features.

With more features than texts the poles are always separable, and the penalty determines how a head
generalises. A head is penalised logistic regression in the feature space of a kernel,

    score(x) = sum_i a_i k(x, x_i) + b,
    minimising  sum_i w_i log(1 + exp(-y_i score(x_i))) + a' K a / (2 C)

(Zhu & Hastie, "Kernel Logistic Regression and the Import Vector Machine", JCGS 2005). With K = U S
U' the problem is ordinary logistic regression on the rows of U S^(1/2), and a = U S^(-1/2)
coefficients. C is given, or chosen by the log-loss on held-out topics within the given texts, so
that cross-validation of the whole fit is unbiased by the choice. The score is the linear predictor:
the log-odds of the positive pole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

#: Inverse penalties C tried.
PENALTIES = (1.0, 3.0, 10.0, 30.0)
_INNER_SPLITS = 5
_MAX_ITERATIONS = 2000
_TOLERANCE = 1e-6
#: Tolerance of the fits that choose a penalty; their losses differ in the second digit.
_ROUGHLY = 1e-3


@dataclass(frozen=True)
class Dual:
    """A fitted head: score(x) = k(x, x_i) . coefficients + bias."""

    coefficients: Float[np.ndarray, " n"]
    bias: float
    inverse_penalty: float

    def decide(self, kernel: Float[np.ndarray, "m n"]) -> Float[np.ndarray, " m"]:
        """Log-odds of the positive pole, given the kernel of new texts with those fitted on."""
        return np.asarray(kernel @ self.coefficients + self.bias)


def fit_dual(
    kernel: Float[np.ndarray, "n n"],
    positive: Bool[np.ndarray, " n"],
    topics: Sequence[str | None],
    weights: Float[np.ndarray, " n"],
    *,
    penalties: Sequence[float] = PENALTIES,
) -> Dual:
    """Fit a head to texts of both poles.

    Args:
        kernel: symmetric positive semidefinite, of the rows with each other.
        positive: True for rows of the positive pole.
        topics: topic of each row; rows with None (anchors) are in the training set of every split
            and in no test set.
        weights: weight of each row in the loss.
        penalties: values of C to choose from; with fewer than two topics, the middle one is used,
            and a single one without a choice.

    Raises:
        ValueError: if lengths differ, the kernel is not finite, or a pole is missing.
    """
    n = len(positive)
    if not kernel.shape == (n, n) or not len(topics) == len(weights) == n:
        raise ValueError(
            f"kernel {list(kernel.shape)}, {n} labels, {len(topics)} topics, {len(weights)} weights"
        )
    if not np.isfinite(kernel).all():
        raise ValueError("the kernel is not finite")
    if positive.all() or not positive.any():
        raise ValueError(
            f"{int(positive.sum())} positive and {int((~positive).sum())} negative texts: "
            "a head needs both poles"
        )
    # One thread: the fit is small, and its bytes must not depend on the number of threads.
    with threadpool_limits(limits=1):
        spectrum, u = np.linalg.eigh(kernel)
        kept = spectrum > spectrum[-1] * n * np.finfo(np.float64).eps
        root = np.sqrt(spectrum[kept])
        coordinates = u[:, kept] * root
        chosen = _choose(coordinates, positive, topics, weights, penalties)
        model = _logistic(coordinates, positive, weights, chosen)
        coefficients = (u[:, kept] / root) @ model.coef_[0]
        return Dual(coefficients, float(model.intercept_[0]), chosen)


def _logistic(
    x: np.ndarray,
    positive: np.ndarray,
    weights: np.ndarray,
    penalty: float,
    tolerance: float = _TOLERANCE,
) -> "LogisticRegression":
    # takes a second to import, which a stored head avoids
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=penalty, tol=tolerance, max_iter=_MAX_ITERATIONS)
    return model.fit(x, positive, sample_weight=weights)


def _choose(
    x: np.ndarray,
    positive: np.ndarray,
    topics: Sequence[str | None],
    weights: np.ndarray,
    penalties: Sequence[float],
) -> float:
    from sklearn.model_selection import GroupKFold

    judged = np.array([row for row, topic in enumerate(topics) if topic is not None])
    groups = [topic for topic in topics if topic is not None]
    n_topics = len(set(groups))
    if n_topics < 2 or len(penalties) == 1:
        return penalties[len(penalties) // 2]
    loss = np.zeros(len(penalties))
    folds = GroupKFold(n_splits=min(_INNER_SPLITS, n_topics))
    for _, held_out in folds.split(judged, groups=groups):
        out = judged[held_out]
        rest = np.setdiff1d(np.arange(len(x)), out)
        if positive[rest].all() or not positive[rest].any():
            continue
        sign = np.where(positive[out], 1.0, -1.0)
        for index, penalty in enumerate(penalties):
            model = _logistic(x[rest], positive[rest], weights[rest], penalty, _ROUGHLY)
            loss[index] += np.logaddexp(0.0, -sign * model.decision_function(x[out])).sum()
    return penalties[int(np.argmin(loss))]
