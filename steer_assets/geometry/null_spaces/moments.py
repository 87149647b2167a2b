r"""Streaming first and second moments in one pass, mergeable, in float64.

For a block of rows with mean :math:`m_b` and scatter :math:`S_b = \sum (x - m_b)(x - m_b)^T`, two
sets of moments combine as (Chan, Golub & LeVeque 1983, *The American Statistician* 37, eq. 2.1)

.. math:: S = S_a + S_b + \frac{n_a n_b}{n_a + n_b}\,\delta\delta^T, \quad \delta = m_b - m_a .

Each block is centred on its own mean before the product, which avoids the cancellation that a large
common mean causes in :math:`\sum xx^T - n mm^T`. The product is one symmetric rank-k update per
block (BLAS ``dsyrk``), which does half the work of a general matrix product.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.linalg import blas

from steer_assets.geometry.errors import NotFiniteError, ShapeError, TooFewSamplesError
from steer_assets.geometry.validation import as_form, as_vector

# Rows per block: each block is one BLAS call, which ends with a thread barrier; the working copy
# (rows x width float64) is 19 MB at width 576.
BLOCK_ROWS = 4096


class Moments:
    """Count, mean and scatter of row vectors of width `dim`, held in memory O(dim^2)."""

    def __init__(self, dim: int) -> None:
        if dim < 1:
            raise ShapeError(f"dim must be at least 1, got {dim}")
        self.dim = dim
        self._n = 0
        self._mean = np.zeros(dim)
        # Only the upper triangle is updated; Fortran order allows BLAS to do so in place.
        self._upper = np.zeros((dim, dim), order="F")

    @classmethod
    def restore(cls, n: int, mean: ArrayLike, scatter: ArrayLike) -> "Moments":
        """Moments from stored parts: count, mean [d], scatter [d, d].

        Raises `ShapeError` when the parts disagree, `NotFiniteError` for NaN or infinity.
        """
        mean_vector = as_vector(mean, "mean")
        form = as_form(scatter, "scatter")
        if form.shape[0] != mean_vector.shape[0]:
            raise ShapeError(f"mean has width {mean_vector.shape[0]}, scatter {form.shape[0]}")
        if n < 0:
            raise TooFewSamplesError(f"n must not be negative, got {n}")
        moments = cls(mean_vector.shape[0])
        moments._n = int(n)
        moments._mean = mean_vector.copy()
        moments._upper = np.asfortranarray(form)
        return moments

    def update(self, x: Float[np.ndarray, "n d"]) -> None:
        """Add the rows of `x` [n, d], of any float dtype; n may be 0.

        The whole of `x` is checked before any of it is added, so a failed update changes nothing.
        Raises `ShapeError` for another width, `NotFiniteError` for NaN or infinity.
        """
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise ShapeError(f"activations have shape {x.shape}, expected [n, {self.dim}]")
        blocks = [x[start : start + BLOCK_ROWS] for start in range(0, x.shape[0], BLOCK_ROWS)]
        means = [block.mean(axis=0, dtype=np.float64) for block in blocks]
        # A mean is finite only if all of its terms are, which saves a separate pass over the data.
        if not all(np.isfinite(mean).all() for mean in means):
            raise NotFiniteError("activations hold NaN or infinity, or sums beyond float64")
        workspace = np.empty((min(BLOCK_ROWS, x.shape[0]), self.dim))
        for block, mean in zip(blocks, means, strict=True):
            centred = np.subtract(block, mean, out=workspace[: block.shape[0]])
            # The transpose of a C-ordered block is Fortran-ordered, so BLAS needs no copy.
            self._upper = blas.dsyrk(1.0, centred.T, beta=1.0, c=self._upper, overwrite_c=1)
            self._shift(block.shape[0], mean)

    def merge(self, other: "Moments") -> None:
        """Add the samples of `other`, which is unchanged. Raises `ShapeError`."""
        if other.dim != self.dim:
            raise ShapeError(f"cannot merge moments of width {other.dim} into width {self.dim}")
        if other.n:
            self._upper += other._upper
            self._shift(other.n, other._mean)

    def _shift(self, n: int, mean: Float[np.ndarray, " d"]) -> None:
        """Move the mean to include `n` samples of mean `mean`; add the scatter between means."""
        total = self._n + n
        delta = mean - self._mean
        if self._n:
            weight = self._n * n / total
            self._upper = blas.dsyr(weight, delta, a=self._upper, overwrite_a=1)
        self._mean = self._mean + delta * (n / total)
        self._n = total

    @property
    def n(self) -> int:
        """Number of samples."""
        return self._n

    @property
    def mean(self) -> Float[np.ndarray, " d"]:
        """Mean [d]. Raises `TooFewSamplesError` without a sample."""
        if not self._n:
            raise TooFewSamplesError("a mean needs at least 1 sample, got 0")
        return self._mean.copy()

    @property
    def scatter(self) -> Float[np.ndarray, "d d"]:
        """Sum of squares and products about the mean [d, d]; zero without samples."""
        upper = np.triu(self._upper)
        return upper + np.triu(upper, 1).T

    def covariance(self) -> Float[np.ndarray, "d d"]:
        """Unbiased covariance [d, d] (divisor n - 1). Raises `TooFewSamplesError` below 2."""
        if self._n < 2:
            raise TooFewSamplesError(f"a covariance needs at least 2 samples, got {self._n}")
        return self.scatter / (self._n - 1)
