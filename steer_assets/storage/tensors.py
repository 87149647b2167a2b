"""Steering vectors on disk: safetensors, atomic and read back."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from steer_assets.storage.atomic import atomic_path
from steer_assets.storage.hashing import hash_arrays
from steer_assets.storage.parquet import DamagedFileError


def write_vectors(
    path: Path, vectors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write named vectors atomically.

    Raises:
        ValueError: a vector is not finite.
    """
    for name, vector in vectors.items():
        if not np.isfinite(vector).all():
            raise ValueError(f"{path}: vector {name!r} is not finite; nothing was written")
    expected = hash_arrays(vectors)

    def verify(temporary: Path) -> None:
        if hash_arrays(load_file(temporary)) != expected:
            raise OSError(f"{path} read back differently from what was written")

    with atomic_path(path, verify) as temporary:
        save_file(dict(vectors), temporary, dict(metadata))


def read_vectors(path: Path) -> dict[str, np.ndarray]:
    """Vectors by id.

    Raises:
        DamagedFileError: the file is truncated or not safetensors.
        FileNotFoundError: there is no such file.
    """
    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedFileError(path, error, "delete it and run again to remake it") from error
