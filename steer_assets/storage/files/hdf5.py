"""HDF5 files: activations, covariance matrices and subspace bases.

Datasets are chunked and have Fletcher-32 checksums, and the file format version also has checksums
for metadata. A flipped byte therefore raises an error on reading instead of changing a number in a
report. Symmetric matrices are stored as their upper triangle, with the width as the attribute
`symmetric`, and covariances of few samples as centred samples, with the attribute `divisor`: the
matrix is ``rows.T @ rows / divisor``. The readers below return matrices whole.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np

from steer_assets.storage.files.atomic import atomic_path
from steer_assets.storage.files.factors import Factored
from steer_assets.storage.files.hashing import hash_array, hash_json
from steer_assets.storage.files.parquet import DamagedFileError
from steer_assets.storage.files.symmetric import is_symmetric, packed, unpacked

#: What a dataset stores.
Stored = np.ndarray | Factored
Attributes = Mapping[str, str | int | float | list[str] | list[int]]
_REMEDY = "delete it and run again to remake it"
_CHUNK_BYTES = 1 << 20
_SYMMETRIC = "symmetric"
_DIVISOR = "divisor"
Read = TypeVar("Read")
#: From HDF5 1.10 on, object headers and chunk indices are checksummed.
_FORMAT = ("v110", "v110")


def _chunks(array: np.ndarray) -> tuple[int, ...]:
    """As few chunks of one size as `_CHUNK_BYTES` allows: the last one is stored in full."""
    n_rows = array.shape[0]
    n_chunks = min(n_rows, math.ceil(array.nbytes / _CHUNK_BYTES))
    return (math.ceil(n_rows / max(1, n_chunks)), *array.shape[1:])


def _image(arrays: Mapping[str, Stored], attributes: Attributes) -> memoryview:
    """The bytes of the file.

    The file is built in memory because HDF5 terminates the process if the disk is full when it
    closes a file.
    """
    image = BytesIO()
    with h5py.File(image, "w", libver=_FORMAT) as file:
        for key, value in attributes.items():
            file.attrs[key] = value
        for name, array in arrays.items():
            _store(file, name, array)
    return image.getbuffer()


def _store(file: h5py.File, name: str, array: Stored) -> None:
    attributes: dict[str, float] = {}
    if isinstance(array, Factored):
        data, attributes = array.rows, {_DIVISOR: array.divisor}
    elif is_symmetric(array):
        data, attributes = packed(array), {_SYMMETRIC: len(array)}
    else:
        data = array
    stored = file.create_dataset(name, data=data, chunks=_chunks(data), fletcher32=True)
    stored.attrs.update(attributes)


def _stored(dataset: h5py.Dataset) -> Stored:
    """What was written; a symmetric matrix with both of its halves."""
    array = np.asarray(dataset[...])
    if _DIVISOR in dataset.attrs:
        return Factored(array, float(dataset.attrs[_DIVISOR]))
    if _SYMMETRIC in dataset.attrs:
        return unpacked(array, int(dataset.attrs[_SYMMETRIC]))
    return array


def read_dataset(dataset: h5py.Dataset) -> np.ndarray:
    """A whole dataset, in memory; matrices that are stored in fewer numbers as matrices."""
    found = _stored(dataset)
    return found.matrix if isinstance(found, Factored) else found


def _hash(stored: Stored) -> str:
    return stored.sha256 if isinstance(stored, Factored) else hash_array(stored)


def write_arrays(
    path: Path, arrays: Mapping[str, Stored], attributes: Attributes | None = None
) -> str:
    """Write named arrays and file attributes atomically; return the hash of their content.

    Raises:
        ValueError: an array is empty or contains values that are not finite.
    """
    for name, stored in arrays.items():
        array = stored.rows if isinstance(stored, Factored) else stored
        if array.size == 0:
            raise ValueError(f"{path}: dataset {name!r} is empty; nothing was written")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{path}: dataset {name!r} is not finite; nothing was written")
    expected = hash_json({name: _hash(stored) for name, stored in arrays.items()})

    def verify(temporary: Path) -> None:
        if _hash_of(temporary) != expected:
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
    return _each(path, read_dataset, prefix)


def _each(path: Path, read: Callable[[h5py.Dataset], Read], prefix: str = "") -> dict[str, Read]:
    """What `read` makes of each dataset whose name starts with `prefix`."""
    found: dict[str, Read] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and name.startswith(prefix):
            found[name] = read(item)

    with _reading(path) as file:
        file.visititems(visit)
    return found


def _hash_of(path: Path) -> str:
    """The hash of a file's content, with one dataset in memory at a time."""
    return hash_json(_each(path, lambda dataset: _hash(_stored(dataset))))


def read_array(path: Path, name: str) -> np.ndarray:
    """One dataset, in memory.

    Raises:
        DamagedFileError: the dataset is missing or damaged.
    """
    with _reading(path) as file:
        if name not in file:
            raise DamagedFileError(path, f"dataset {name!r} is missing", _REMEDY)
        return read_dataset(file[name])
