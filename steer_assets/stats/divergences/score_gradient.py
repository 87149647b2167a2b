r"""Gradient of an expected score by the steering vector, from scored texts.

.. math:: g = E[(f(x) - b)\,s(x)],\qquad s(x) = \nabla_e\log p(x\mid v + e)

(the score-function estimator; Williams 1992). s has mean zero at every prompt, so that any baseline
b that does not depend on the prompt's own texts leaves g unbiased; b is the mean score of the other
prompts' texts. Prompts are the units. The squared length of the mean of n noisy vectors is too
large by their noise; :math:`|g|^2` is estimated by the mean product of different prompts' vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from steer_assets.stats.intervals import bootstrap
from steer_assets.stats.validation import Estimate


@dataclass(frozen=True)
class ScoreGradient:
    """Contributions of prompts to g, [prompts, d], in units of the score per unit of length."""

    by_prompt: Float[np.ndarray, "p d"]

    @property
    def vector(self) -> Float[np.ndarray, " d"]:
        """g [d], with the noise of its sample."""
        return np.asarray(self.by_prompt.mean(axis=0))

    @property
    def length(self) -> float | None:
        """|g| without the noise of its sample; None where the noise hides it."""
        n = len(self.by_prompt)
        total = self.by_prompt.sum(axis=0)
        square = (total @ total - np.square(self.by_prompt).sum()) / (n * (n - 1))
        return float(np.sqrt(square)) if square > 0 else None

    def slope(
        self,
        direction: Float[np.ndarray, " d"],
        *,
        level: float,
        n_boot: int,
        rng: np.random.Generator,
    ) -> Estimate:
        """g along a unit vector in ``direction``, with its BCa interval over prompts.

        Raises ValueError for a zero direction.
        """
        size = float(np.linalg.norm(direction))
        if not size > 0:
            raise ValueError("a direction of length zero has no slope")
        along = self.by_prompt @ (direction / size)
        found = bootstrap.mean(along, level=level, n_boot=n_boot, rng=rng)
        return Estimate(float(along.mean()), found.low, found.high)

    def cosine(self, direction: Float[np.ndarray, " d"]) -> float | None:
        """Cosine of ``direction`` with g, at most 1 in size; None where noise hides |g|."""
        length = self.length
        if length is None:
            return None
        slope = float(self.vector @ direction / np.linalg.norm(direction))
        return float(np.clip(slope / length, -1.0, 1.0))


def score_gradient(
    gradients: Float[np.ndarray, "n d"],
    scores: Float[np.ndarray, " n"],
    prompts: Int[np.ndarray, " n"],
) -> ScoreGradient:
    """g of texts with gradients s [n, d] and scores [n]; ``prompts`` [n] label their prompts.

    Raises:
        ValueError: shapes differ, a number is not finite, or fewer than two prompts.
    """
    if not len(gradients) == len(scores) == len(prompts):
        raise ValueError(f"{len(gradients)} gradients, {len(scores)} scores, {len(prompts)} labels")
    if not (np.isfinite(gradients).all() and np.isfinite(scores).all()):
        raise ValueError("a gradient or a score is not finite")
    labels, index = np.unique(prompts, return_inverse=True)
    if len(labels) < 2:
        raise ValueError("a gradient needs texts of two prompts or more")
    counts = np.bincount(index)
    sums = np.bincount(index, weights=scores)
    baseline = (scores.sum() - sums) / (len(scores) - counts)
    terms = (scores - baseline[index])[:, None] * gradients
    by_prompt = np.zeros((len(labels), gradients.shape[1]))
    np.add.at(by_prompt, index, terms)
    return ScoreGradient(by_prompt / counts[:, None])


def half_quadratic(
    gradients: Float[np.ndarray, "n d"],
    prompts: Int[np.ndarray, " n"],
    steps: Float[np.ndarray, "m d"],
) -> Float[np.ndarray, "p m"]:
    """Half e'Ge of every prompt's own texts [p, m], nats: its KL to second order in the step e."""
    labels, index = np.unique(prompts, return_inverse=True)
    values = 0.5 * np.square(gradients @ steps.T)
    sums = np.zeros((len(labels), len(steps)))
    np.add.at(sums, index, values)
    return np.asarray(sums / np.bincount(index)[:, None])
