"""HDF5 files: activations, covariance matrices and subspace bases.

Datasets are chunked and have Fletcher-32 checksums, and the file format version also has checksums
for metadata. A flipped byte therefore raises an error on reading instead of changing a number in a
report.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np

from steer_assets.storage.files.atomic import atomic_path
from steer_assets.storage.files.hashing import hash_arrays
from steer_assets.storage.files.parquet import DamagedFileError

Attributes = Mapping[str, str | int | float | list[str] | list[int]]
_REMEDY = "delete it and run again to remake it"
_CHUNK_BYTES = 1 << 20
#: From HDF5 1.10 on, object headers and chunk indices are checksummed.
_FORMAT = ("v110", "v110")


def _chunks(array: np.ndarray) -> tuple[int, ...]:
    row_bytes = max(1, array.nbytes // max(1, array.shape[0]))
    return (max(1, min(array.shape[0], _CHUNK_BYTES // row_bytes)), *array.shape[1:])


def _image(arrays: Mapping[str, np.ndarray], attributes: Attributes) -> memoryview:
    """The bytes of the file.

    The file is built in memory because HDF5 terminates the process if the disk is full when it
    closes a file.
    """
    image = BytesIO()
    with h5py.File(image, "w", libver=_FORMAT) as file:
        for key, value in attributes.items():
            file.attrs[key] = value
        for name, array in arrays.items():
            file.create_dataset(name, data=array, chunks=_chunks(array), fletcher32=True)
    return image.getbuffer()


def write_arrays(
    path: Path, arrays: Mapping[str, np.ndarray], attributes: Attributes | None = None
) -> str:
    """Write named arrays and file attributes atomically; return the hash of their content.

    Raises:
        ValueError: an array is empty or contains values that are not finite.
    """
    for name, array in arrays.items():
        if array.size == 0:
            raise ValueError(f"{path}: dataset {name!r} is empty; nothing was written")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{path}: dataset {name!r} is not finite; nothing was written")
    expected = hash_arrays(arrays)

    def verify(temporary: Path) -> None:
        if hash_arrays(read_arrays(temporary)) != expected:
            raise OSError(f"{path} read back differently from what was written")

    with atomic_path(path, verify) as temporary:
        temporary.write_bytes(_image(arrays, attributes or {}))
    return expected


@contextmanager
def open_arrays(path: Path) -> Iterator[h5py.File]:
    """Open for reading; arrays are read lazily, slice by slice.

    Raises:
        DamagedFileError: the file is truncated or not HDF5, or a checksum fails while reading.
        FileNotFoundError: there is no such file.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        # an error of the operating system (missing, no permission), not of HDF5
        if error.errno is not None:
            raise
        raise DamagedFileError(path, error, _REMEDY) from error


@contextmanager
def _reading(path: Path) -> Iterator[h5py.File]:
    """`open_arrays` for the readers below: all their other errors mean a damaged file."""
    try:
        with open_arrays(path) as file:
            yield file
    except DamagedFileError:
        raise
    except (RuntimeError, LookupError, ValueError, TypeError) as error:
        raise DamagedFileError(path, error, _REMEDY) from error


def read_arrays(path: Path, prefix: str = "") -> dict[str, np.ndarray]:
    """All datasets whose name starts with `prefix`, in memory."""
    found: dict[str, np.ndarray] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and name.startswith(prefix):
            found[name] = item[...]

    with _reading(path) as file:
        file.visititems(visit)
    return found


def read_array(path: Path, name: str) -> np.ndarray:
    """One dataset, in memory.

    Raises:
        DamagedFileError: the dataset is missing or damaged.
    """
    with _reading(path) as file:
        if name not in file:
            raise DamagedFileError(path, f"dataset {name!r} is missing", _REMEDY)
        return np.asarray(file[name][...])
