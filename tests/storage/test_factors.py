"""Covariances of few samples are stored as centred samples and read as matrices."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from steer_assets.geometry.null_spaces.moments import Moments
from steer_assets.storage.files.factors import Factored
from steer_assets.storage.files.hdf5 import read_array, read_arrays, write_arrays
from steer_assets.storage.files.symmetric import is_symmetric

WIDTH = 40


def samples(n: int, width: int = WIDTH) -> np.ndarray:
    return (50 + np.random.default_rng(n).normal(size=(n, width))).astype(np.float32)


@pytest.mark.parametrize("n", [2, 7, 19])
def test_the_matrix_is_the_covariance(n):
    x = samples(n)
    found = Factored.covariance(x)
    moments = Moments(WIDTH)
    moments.update(x)
    assert is_symmetric(found.matrix)
    np.testing.assert_allclose(found.matrix, np.cov(x.astype(np.float64).T), atol=1e-12)
    np.testing.assert_allclose(found.matrix, moments.covariance(), rtol=1e-12, atol=1e-14)


def test_a_file_has_the_samples_and_gives_the_matrix(tmp_path):
    path, found = tmp_path / "a.h5", Factored.covariance(samples(7))
    content = write_arrays(path, {"covariance/15": found, "mean": np.ones(3)})
    with h5py.File(path) as file:
        assert file["covariance/15"].shape == (7, WIDTH)
        assert file["covariance/15"].attrs["divisor"] == 6
    assert np.array_equal(read_array(path, "covariance/15"), found.matrix)
    assert np.array_equal(read_arrays(path)["covariance/15"], found.matrix)
    other = Factored(found.rows, 7)
    assert write_arrays(tmp_path / "b.h5", {"covariance/15": other, "mean": np.ones(3)}) != content


def test_the_smaller_of_the_two_is_known():
    """20 of 40 columns are 800 numbers, one half of the matrix 820."""
    for n, smaller in ((20, True), (21, False)):
        found = Factored.covariance(samples(n))
        assert found.is_smaller == smaller
        assert (found.rows.size < WIDTH * (WIDTH + 1) // 2) == smaller


def test_a_covariance_of_one_sample_is_refused():
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        Factored.covariance(samples(1))


def test_samples_that_are_not_finite_are_not_written(tmp_path):
    x = samples(3)
    x[1, 1] = np.inf
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="not finite"):
        write_arrays(tmp_path / "a.h5", {"covariance": Factored.covariance(x)})
    assert not (tmp_path / "a.h5").exists()
