"""Steering vectors and other arrays on disk: atomic, verified, with a hash of their content.

safetensors writes metadata in no fixed order. All metadata is stored under one key, so that equal
vectors give equal bytes.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from steer_assets.storage.files.atomic import atomic_path
from steer_assets.storage.files.hashing import hash_arrays
from steer_assets.storage.files.parquet import DamagedFileError

_ABOUT = "steer"
_HASH = "content_sha256"
_REMEDY = "delete it and run again to remake it"


def write_vectors(
    path: Path, vectors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write named vectors atomically, with `metadata` that describes them.

    Raises:
        ValueError: a vector is not finite.
    """
    for name, vector in vectors.items():
        if not np.isfinite(vector).all():
            raise ValueError(f"{path}: vector {name!r} is not finite; nothing was written")
    expected = hash_arrays(vectors)

    about = json.dumps({**metadata, _HASH: expected}, sort_keys=True)

    def verify(temporary: Path) -> None:
        if hash_arrays(read_vectors(temporary)) != expected:
            raise OSError(f"{path} read back differently from what was written")

    with atomic_path(path, verify) as temporary:
        save_file(dict(vectors), temporary, {_ABOUT: about})


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Vectors, and the metadata of their writer; empty metadata in a foreign file."""
    with safe_open(path, framework="np") as file:
        vectors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = (file.metadata() or {}).get(_ABOUT)
    return vectors, {} if about is None else dict(json.loads(about))


def read_vectors(path: Path) -> dict[str, np.ndarray]:
    """Vectors by id; see ``read_described``."""
    return read_described(path)[0]


def read_described(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Vectors by id, and the metadata stored with them.

    Raises:
        DamagedFileError: the file is truncated, not safetensors, or its values differ from those
            written.
        FileNotFoundError: there is no such file.
    """
    try:
        vectors, about = _read(path)
        noted = about.pop(_HASH, None)
        whole = noted is None or noted == hash_arrays(vectors)
    except (FileNotFoundError, PermissionError):
        raise
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        raise DamagedFileError(path, error, _REMEDY) from error
    if not whole:
        raise DamagedFileError(path, "its content is not what was written", _REMEDY)
    return vectors, about
