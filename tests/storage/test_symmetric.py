"""Symmetric matrices take half the room in a file and come back with every bit."""

import h5py
import numpy as np
import pytest

from steer_assets.storage.files.hashing import hash_arrays
from steer_assets.storage.files.hdf5 import read_array, read_arrays, write_arrays
from steer_assets.storage.files.symmetric import is_symmetric, packed, unpacked


@pytest.fixture
def form():
    rows = np.random.default_rng(0).normal(size=(7, 40))
    return rows.T @ rows


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("width", [1, 2, 40])
def test_the_triangle_holds_every_bit(form, width, dtype):
    matrix = form[:width, :width].astype(dtype)
    matrix[0, -1] = matrix[-1, 0] = -0.0
    assert is_symmetric(matrix)
    again = unpacked(packed(matrix), width)
    assert again.dtype == matrix.dtype
    assert again.tobytes() == matrix.tobytes()


def test_a_file_takes_half_and_has_the_same_content(form, tmp_path):
    path, arrays = tmp_path / "a.h5", {"form/15": form, "basis": form + np.triu(form, 1)}
    assert write_arrays(path, arrays) == hash_arrays(arrays)
    with h5py.File(path) as file:
        assert file["form/15"].shape == (40 * 41 // 2,)
        assert file["basis"].shape == (40, 40)
    assert np.array_equal(read_array(path, "form/15"), form)
    assert hash_arrays(read_arrays(path)) == hash_arrays(arrays)


def test_a_matrix_that_differs_from_its_transpose_in_one_bit_stays_whole(form):
    form[3, 5] = np.nextafter(form[3, 5], np.inf)
    assert not is_symmetric(form)
    zero = np.zeros((2, 2))
    zero[0, 1] = -0.0  # equal as a number, another bit
    assert not is_symmetric(zero)


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3)), np.zeros(4), np.zeros((2, 2), dtype=int), np.zeros((2, 2, 2))]
)
def test_other_arrays_are_not_packed(array):
    assert not is_symmetric(array)


def test_a_triangle_of_another_width_is_refused(form):
    with pytest.raises(ValueError, match="none of width 41"):
        unpacked(packed(form), 41)


def test_files_written_before_are_read(form, tmp_path):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["form"] = form
    assert np.array_equal(read_array(tmp_path / "old.h5", "form"), form)
