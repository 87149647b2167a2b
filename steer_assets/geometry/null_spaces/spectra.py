"""Spectra of a covariance and of an averaged output form (Jacobian Gram, Fisher pullback).

Both are positive semidefinite d x d matrices. Their *singular values*, as stored here and in the
warehouse, are the **square roots of their eigenvalues**:

- covariance: standard deviations of the activations along the principal axes, in activation units;
- output form: root-mean-square gain of the output per unit of activation along each axis.

A fraction of the largest singular value therefore has the same meaning for both, and explained
variance is proportional to the square.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from steer_assets.geometry.errors import DegenerateError, GeometryError, TooFewSamplesError
from steer_assets.geometry.null_spaces.moments import Moments
from steer_assets.geometry.null_spaces.noise import noise_edge
from steer_assets.geometry.validation import as_form, as_matrix


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Axes and singular values of a positive semidefinite form.

    singular_values: [d], descending, >= 0; square roots of the eigenvalues.
    basis: [d, d], column i belongs to singular value i; orthonormal; the entry of largest absolute
        value in each column is positive. [d, 0] where axes are not kept.
    n_samples: independent samples behind a covariance, prompts behind an output form.
    ambient_dim: d.
    noise_edge: singular value beyond which a direction is not explained by white noise of n_samples
        samples. None where there is none: for output forms, which are exact derivatives without
        sampling noise of that kind, and for tokens, which are dependent within a prompt.
    """

    singular_values: Float[np.ndarray, " d"]
    basis: Float[np.ndarray, "d d"]
    n_samples: int
    ambient_dim: int
    noise_edge: float | None

    @property
    def eigenvalues(self) -> Float[np.ndarray, " d"]:
        """Squares of the singular values [d], descending."""
        return np.asarray(np.square(self.singular_values))

    @property
    def explained_variance(self) -> Float[np.ndarray, " d"]:
        """Share of the trace along each axis [d]; sums to 1."""
        return np.asarray(self.eigenvalues / self.eigenvalues.sum())

    @property
    def cumulative_variance(self) -> Float[np.ndarray, " d"]:
        """Share of the trace along the first i + 1 axes [d]; ends at 1."""
        return np.asarray(np.minimum(np.cumsum(self.explained_variance), 1.0))


def covariance_spectrum(moments: Moments, *, n_prompts: int | None = None) -> Spectrum:
    """Spectrum of the unbiased covariance of `moments`.

    Singular values are the square roots of the covariance's eigenvalues, that is, standard
    deviations along its axes.
    n_prompts: number of prompts, if the samples are tokens. Tokens of one prompt are not
        independent samples, so prompts are counted, and the edge of white noise is unknown. Raises
        `TooFewSamplesError` below 3 samples (one degree of freedom has no noise level to estimate),
        `DegenerateError` for constant activations.
    """
    if moments.n < 3:
        raise TooFewSamplesError(f"a spectrum needs at least 3 samples, got {moments.n}")
    covariance = moments.covariance()
    scale = float(np.abs(moments.mean).max(initial=0.0))
    largest = float(np.diag(covariance).max())
    # Deviations below the rounding error of the mean are not variation.
    if largest <= (8 * np.finfo(np.float64).eps * scale) ** 2:
        raise DegenerateError(f"activations are constant over {moments.n} samples")
    eigenvalues, basis = _eigen(covariance)
    if n_prompts is not None:
        return Spectrum(np.sqrt(eigenvalues), basis, n_prompts, moments.dim, None)
    edge = float(np.sqrt(noise_edge(eigenvalues, moments.n - 1)))
    return Spectrum(np.sqrt(eigenvalues), basis, moments.n, moments.dim, edge)


def activation_spectrum(x: Float[np.ndarray, "n d"]) -> Spectrum:
    """`covariance_spectrum` of activations [n, d]. Raises as that does, and as `Moments.update`."""
    matrix = as_matrix(x, "activations")
    moments = Moments(matrix.shape[1])
    moments.update(matrix)
    return covariance_spectrum(moments)


def form_spectrum(gram: Float[np.ndarray, "d d"], n_samples: int) -> Spectrum:
    """Spectrum of an averaged Jacobian Gram or Fisher pullback [d, d] over `n_samples` prompts.

    Raises `ShapeError` when not square and symmetric, `NotFiniteError`, `TooFewSamplesError`
    without a prompt, `DegenerateError` for a zero form, `GeometryError` for one that is not
    positive semidefinite.
    """
    if n_samples < 1:
        raise TooFewSamplesError(f"a form needs at least 1 prompt, got {n_samples}")
    form = as_form(gram, "form")
    if not form.any():
        raise DegenerateError("the form is zero: the output does not depend on the activations")
    eigenvalues, basis = _eigen(form)
    return Spectrum(np.sqrt(eigenvalues), basis, n_samples, form.shape[0], None)


def gradient_spectrum(gradients: Float[np.ndarray, "n d"]) -> Spectrum:
    """Spectrum of the Fisher form E[s s'] from gradients s of n sampled texts [n, d].

    Their mean is known to be zero, so that n gradients have n degrees of freedom where n samples of
    a covariance have n - 1: `n_samples` is n + 1, from which the sampling floor 1 - n/d and the
    edge of white noise follow. Raises as `covariance_spectrum` does.
    """
    matrix = as_matrix(gradients, "gradients")
    n, d = matrix.shape
    return covariance_spectrum(Moments.restore(n + 1, np.zeros(d), matrix.T @ matrix))


def values_only(eigenvalues: Float[np.ndarray, " d"]) -> Spectrum:
    """Spectrum of one form from its eigenvalues [d], descending and >= 0, without axes."""
    d = eigenvalues.shape[0]
    return Spectrum(np.sqrt(eigenvalues), np.empty((d, 0)), 1, d, None)


def _eigen(
    form: Float[np.ndarray, "d d"],
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
    """Eigenvalues, descending, with rounding set to zero, and sign-fixed eigenvectors."""
    ascending, vectors = np.linalg.eigh(form)
    eigenvalues, basis = ascending[::-1].copy(), vectors[:, ::-1].copy()
    largest = max(eigenvalues[0], 0.0)
    # Float32 derivatives give eigenvalues down to about -1e-7 of the largest; a larger violation is
    # an error.
    if eigenvalues[-1] < -1e-5 * largest or largest == 0.0:
        raise GeometryError(
            f"the form is not positive semidefinite: eigenvalues from {eigenvalues[-1]:.3g} "
            f"to {eigenvalues[0]:.3g}"
        )
    # The usual tolerance of numerical rank: a smaller eigenvalue is rounding error of the largest.
    tolerance = form.shape[0] * np.finfo(np.float64).eps * largest
    eigenvalues[eigenvalues <= tolerance] = 0.0
    return eigenvalues, fix_signs(basis)


def fix_signs(columns: Float[np.ndarray, "d k"]) -> Float[np.ndarray, "d k"]:
    """Flip columns so that the entry of largest absolute value is positive in each."""
    peaks = columns[np.abs(columns).argmax(axis=0), np.arange(columns.shape[1])]
    return columns * np.where(peaks < 0, -1.0, 1.0)
