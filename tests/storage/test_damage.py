"""After any modification a stored file is read as it was written, or reported as damaged."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steer_assets.storage.files.hashing import hash_arrays, hash_frame
from steer_assets.storage.files.hdf5 import open_arrays, read_array, read_arrays, write_arrays
from steer_assets.storage.files.parquet import DamagedFileError, read_part, write_part
from steer_assets.storage.files.tensors import read_vectors, write_vectors

_RNG = np.random.default_rng(5)
ARRAYS = {"L1/x": _RNG.normal(size=(9, 7)).astype(np.float32), "L2/x": _RNG.normal(size=5)}
VECTORS = {"L1.base": _RNG.normal(size=11), "L1.random.s0": _RNG.normal(size=11)}
FRAME = pl.DataFrame(
    {"text": ["one", "", "three"] * 4, "n": range(12), "x": _RNG.normal(size=12), "run_id": "r"}
)


@dataclass(frozen=True)
class Kind:
    write: Callable[[Path], Any]
    read: Callable[[Path], str]


KINDS = {
    "hdf5": Kind(
        lambda path: write_arrays(path, ARRAYS, {"layer": 1, "model_sha256": "ab" * 32}),
        lambda path: hash_arrays(read_arrays(path)),
    ),
    "parquet": Kind(
        lambda path: write_part(path, FRAME), lambda path: hash_frame(read_part(path), without=())
    ),
    "safetensors": Kind(
        lambda path: write_vectors(path, VECTORS, {"model": "toy", "trait": "formality"}),
        lambda path: hash_arrays(read_vectors(path)),
    ),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def _assert_whole_or_named(kind: Kind, path: Path, expected: str) -> bool:
    """Whether it was named as damaged, with the remedy."""
    try:
        found = kind.read(path)
    except DamagedFileError as error:
        damage = error
    else:
        assert found == expected
        return False
    assert damage.path == path
    assert str(damage).startswith(f"{path} is damaged")
    assert str(damage).endswith("delete it and run again to remake it")
    return True


@each_kind
def test_a_flipped_bit_anywhere_is_named_or_does_no_harm(tmp_path, kind):
    path = tmp_path / "file"
    kind.write(path)
    good, expected = path.read_bytes(), kind.read(path)

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(offset=st.integers(0, len(good) - 1), bit=st.integers(0, 7))
    def check(offset: int, bit: int) -> None:
        content = bytearray(good)
        content[offset] ^= 1 << bit
        path.write_bytes(content)
        _assert_whole_or_named(kind, path, expected)

    check()


@each_kind
def test_a_truncated_file_is_named(tmp_path, kind):
    path = tmp_path / "file"
    kind.write(path)
    good, expected = path.read_bytes(), kind.read(path)
    for length in (0, 1, 7, 8, len(good) // 3, len(good) // 2, len(good) - 9, len(good) - 1):
        path.write_bytes(good[:length])
        assert _assert_whole_or_named(kind, path, expected), length


@each_kind
def test_a_file_of_another_kind_is_named(tmp_path, kind):
    path = tmp_path / "file"
    for rubbish in (b"hello\n" * 100, b"\0" * 5000, "{}".encode("utf-16")):
        path.write_bytes(rubbish)
        assert _assert_whole_or_named(kind, path, "")


@each_kind
def test_an_absent_file_is_absent_not_damaged(tmp_path, kind):
    with pytest.raises(FileNotFoundError):
        kind.read(tmp_path / "file")


@each_kind
def test_the_same_content_is_the_same_bytes(tmp_path, kind):
    contents = set()
    for number in range(6):
        kind.write(tmp_path / str(number))
        contents.add((tmp_path / str(number)).read_bytes())
    assert len(contents) == 1


def _flip_data(path: Path, value: bytes) -> None:
    content = path.read_bytes()
    assert content.count(value) == 1
    path.write_bytes(content.replace(value, bytes([value[0] ^ 1]) + value[1:]))


def test_a_flipped_bit_of_a_number_is_named(tmp_path):
    write_arrays(tmp_path / "arrays", ARRAYS)
    _flip_data(tmp_path / "arrays", ARRAYS["L1/x"].tobytes())
    with pytest.raises(DamagedFileError):
        read_array(tmp_path / "arrays", "L1/x")
    np.testing.assert_array_equal(read_array(tmp_path / "arrays", "L2/x"), ARRAYS["L2/x"])

    write_vectors(tmp_path / "vectors", VECTORS, {})
    _flip_data(tmp_path / "vectors", VECTORS["L1.base"].tobytes())
    with pytest.raises(DamagedFileError, match="not what was written"):
        read_vectors(tmp_path / "vectors")


def test_a_flipped_bit_is_found_by_lazy_reading_too(tmp_path):
    write_arrays(tmp_path / "arrays", ARRAYS)
    _flip_data(tmp_path / "arrays", ARRAYS["L1/x"].tobytes())
    with pytest.raises(DamagedFileError), open_arrays(tmp_path / "arrays") as file:
        file["L1/x"][0]


def test_a_missing_dataset_is_named(tmp_path):
    write_arrays(tmp_path / "arrays", ARRAYS)
    with pytest.raises(DamagedFileError, match="dataset 'L3/x' is missing"):
        read_array(tmp_path / "arrays", "L3/x")


def test_trouble_of_the_reader_is_not_blamed_on_the_file(tmp_path):
    write_arrays(tmp_path / "arrays", ARRAYS)
    with pytest.raises(OSError, match="No space left") as caught, open_arrays(tmp_path / "arrays"):
        raise OSError(28, "No space left on device")
    assert not isinstance(caught.value, DamagedFileError)


def test_files_that_others_wrote_are_read(tmp_path):
    from safetensors.numpy import save_file

    FRAME.write_parquet(tmp_path / "part")
    assert read_part(tmp_path / "part").equals(FRAME)
    save_file(VECTORS, tmp_path / "vectors", {"format": "np"})
    assert hash_arrays(read_vectors(tmp_path / "vectors")) == hash_arrays(VECTORS)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_never_written(tmp_path, bad):
    values = np.array([1.0, bad])
    with pytest.raises(ValueError, match="'x' is not finite; nothing was written"):
        write_arrays(tmp_path / "arrays", {"x": values})
    with pytest.raises(ValueError, match="'x' is not finite; nothing was written"):
        write_vectors(tmp_path / "vectors", {"x": values}, {})
    with pytest.raises(ValueError, match="x has values that are not finite; nothing was written"):
        write_part(tmp_path / "part", pl.DataFrame({"x": values}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "values", [["a", None], [1, None], [None, None], [0.5, None], [[1], None], [[1], [2, None]]]
)
def test_missing_values_are_never_written(tmp_path, values):
    with pytest.raises(ValueError, match=r"x has \d missing values; nothing was written"):
        write_part(tmp_path / "part", pl.DataFrame({"y": [1, 2], "x": values}))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_array_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="'x' is empty; nothing was written"):
        write_arrays(tmp_path / "arrays", {"x": np.zeros((0, 3))})
    assert list(tmp_path.iterdir()) == []


def test_attributes_and_prefixes(tmp_path):
    content = write_arrays(tmp_path / "arrays", ARRAYS, {"layers": [1, 2], "names": ["a", "b"]})
    assert content == hash_arrays(ARRAYS)
    assert set(read_arrays(tmp_path / "arrays", "L2/")) == {"L2/x"}
    with open_arrays(tmp_path / "arrays") as file:
        assert list(file.attrs["layers"]) == [1, 2]
        assert list(file.attrs["names"]) == ["a", "b"]
        assert file["L1/x"].fletcher32
        assert file["L1/x"].chunks is not None
