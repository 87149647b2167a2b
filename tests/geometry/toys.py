"""Planted data with known null spaces, using only NumPy."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import softmax


def orthonormal(rng: np.random.Generator, d: int, k: int) -> Float[np.ndarray, "d k"]:
    return np.linalg.qr(rng.standard_normal((d, k)))[0]


@dataclass(frozen=True)
class ReadOut:
    """A network z = W h that reads `planted` [d, r] of the residual stream and nothing else."""

    weights: Float[np.ndarray, "V d"]
    planted: Float[np.ndarray, "d r"]

    @classmethod
    def draw(cls, rng: np.random.Generator, *, d: int, r: int, vocabulary: int) -> "ReadOut":
        planted = orthonormal(rng, d, r)
        return cls(rng.standard_normal((vocabulary, r)) @ planted.T, planted)

    def logits(self, h: Float[np.ndarray, "*m d"]) -> Float[np.ndarray, "*m V"]:
        return h @ self.weights.T

    def jacobian_gram(self) -> Float[np.ndarray, "d d"]:
        return self.weights.T @ self.weights

    def fisher(self, h: Float[np.ndarray, " d"]) -> Float[np.ndarray, "d d"]:
        p = softmax(self.logits(h))
        return self.weights.T @ (np.diag(p) - np.outer(p, p)) @ self.weights
