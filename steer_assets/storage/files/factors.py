"""Covariances of few samples as their deviations: n d numbers in place of d (d + 1) / 2.

A covariance of n samples has rank below n. Where n is below half its width, the centred samples are
smaller than one half of the symmetric matrix, and the matrix is their product to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from steer_assets.storage.files.hashing import hash_array, hash_json


@dataclass(frozen=True, slots=True)
class Factored:
    """The symmetric matrix ``rows.T @ rows / divisor``, of width d."""

    rows: Float[np.ndarray, "n d"]
    divisor: float

    @classmethod
    def covariance(cls, samples: Float[np.ndarray, "n d"]) -> Factored:
        """The unbiased covariance [d, d] of samples, in float64.

        Raises:
            ValueError: fewer than two samples.
        """
        if len(samples) < 2:
            raise ValueError(f"a covariance needs at least 2 samples, got {len(samples)}")
        exact = samples.astype(np.float64)
        return cls(exact - exact.mean(axis=0), float(len(samples) - 1))

    @property
    def matrix(self) -> Float[np.ndarray, "d d"]:
        """The matrix; symmetric to the last bit, because the product is one of BLAS ``syrk``."""
        product: np.ndarray = self.rows.T @ self.rows
        return product / self.divisor

    @property
    def sha256(self) -> str:
        """Hash of what is stored."""
        return hash_json({"rows": hash_array(self.rows), "divisor": float(self.divisor)})

    @property
    def is_smaller(self) -> bool:
        """Whether it has fewer numbers than one half of the matrix."""
        n, width = self.rows.shape
        return bool(2 * n < width + 1)
