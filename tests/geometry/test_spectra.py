import numpy as np
import pytest

from steer_assets.geometry.errors import (
    DegenerateError,
    GeometryError,
    NotFiniteError,
    ShapeError,
    TooFewSamplesError,
)
from steer_assets.geometry.null_spaces.moments import Moments
from steer_assets.geometry.null_spaces.spectra import (
    activation_spectrum,
    covariance_spectrum,
    form_spectrum,
)

from .toys import orthonormal


def test_singular_values_are_standard_deviations_along_the_axes() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 6)) * [9, 5, 3, 2, 1, 0.5]
    spectrum = activation_spectrum(x)
    expected = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) / np.sqrt(499)
    np.testing.assert_allclose(spectrum.singular_values, expected, rtol=1e-10)
    projected = (x @ spectrum.basis).std(axis=0, ddof=1)
    np.testing.assert_allclose(projected, spectrum.singular_values, rtol=1e-10)
    assert (spectrum.n_samples, spectrum.ambient_dim) == (500, 6)


def test_variance_shares_sum_to_one_and_signs_are_fixed() -> None:
    spectrum = activation_spectrum(np.random.default_rng(1).standard_normal((40, 12)))
    assert spectrum.explained_variance.sum() == pytest.approx(1.0)
    assert spectrum.cumulative_variance[-1] == pytest.approx(1.0)
    assert (np.diff(spectrum.singular_values) <= 0).all()
    peaks = spectrum.basis[np.abs(spectrum.basis).argmax(axis=0), np.arange(12)]
    assert (peaks > 0).all()
    np.testing.assert_allclose(spectrum.basis.T @ spectrum.basis, np.eye(12), atol=1e-12)


def test_signs_do_not_depend_on_the_solver() -> None:
    x = np.random.default_rng(2).standard_normal((30, 5))
    mirrored = x @ np.diag([1.0, -1.0, 1.0, -1.0, 1.0])
    a, b = activation_spectrum(x), activation_spectrum(mirrored)
    np.testing.assert_allclose(np.abs(a.basis), np.abs(b.basis), atol=1e-9)


def test_fewer_samples_than_dimensions_leave_exact_zeros() -> None:
    spectrum = activation_spectrum(np.random.default_rng(3).standard_normal((10, 40)) + 50)
    assert (spectrum.singular_values > 0).sum() == 9
    assert spectrum.noise_edge is not None
    assert np.isfinite(spectrum.noise_edge)


def test_form_spectrum_is_the_root_of_the_eigenvalues() -> None:
    q = orthonormal(np.random.default_rng(4), 5, 5)
    gram = q @ np.diag([25.0, 9.0, 4.0, 0.0, 0.0]) @ q.T
    spectrum = form_spectrum(gram, 7)
    np.testing.assert_allclose(spectrum.singular_values, [5, 3, 2, 0, 0], atol=1e-12)
    assert spectrum.noise_edge is None
    assert spectrum.n_samples == 7


@pytest.mark.parametrize("value", [0.0, 3.7, 1e8])
def test_constant_activations_are_refused(value: float) -> None:
    x = np.full((20, 4), value) + np.array([0.0, 0.1, 0.2, 0.3])
    with pytest.raises(DegenerateError, match="constant over 20"):
        activation_spectrum(x)


def test_refusals() -> None:
    with pytest.raises(TooFewSamplesError, match="3 samples, got 2"):
        activation_spectrum(np.eye(2))
    with pytest.raises(TooFewSamplesError):
        covariance_spectrum(Moments(3))
    with pytest.raises(DegenerateError, match="zero"):
        form_spectrum(np.zeros((3, 3)), 1)
    with pytest.raises(GeometryError, match="semidefinite"):
        form_spectrum(np.diag([1.0, -0.5]), 1)
    with pytest.raises(GeometryError, match="semidefinite"):
        form_spectrum(-np.eye(2), 1)
    with pytest.raises(ShapeError, match="symmetric"):
        form_spectrum(np.array([[1.0, 0.5], [0.0, 1.0]]), 1)
    with pytest.raises(ShapeError, match="2 x 3"):
        form_spectrum(np.ones((2, 3)), 1)
    with pytest.raises(NotFiniteError):
        form_spectrum(np.array([[1.0, np.nan], [np.nan, 1.0]]), 1)
    with pytest.raises(TooFewSamplesError):
        form_spectrum(np.eye(2), 0)
