"""Content hashes, from which data versions are built.

A data version must change exactly when the content does. It is therefore computed over values in a
canonical form (column by column, dataset by dataset), not over file bytes, which depend on
compression, run ids and times.
"""

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from steer_assets.paths import depot_address

#: Columns on the origin of a row, which are not part of its content.
PROVENANCE_COLUMNS = ("run_id", "code_version")
_CHUNK = 1 << 22
_SAMPLE = 1 << 20
#: A file written to this recently may be written to again within the same tick of its clock.
_SETTLED_S = 2.0
_Stamp = tuple[int, int, int, int, int]
_known: dict[Path, tuple[_Stamp, str]] = {}


def hash_json(value: Any) -> str:
    """Hash of a JSON-like value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, for detecting damage."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def hash_file_once(path: Path) -> str:
    """`hash_file`, computed again only where the file has changed since this process read it.

    Change is seen in device, inode, size and the times of content and status, the last of which no
    program can set. Every stage verifies its inputs, and a gigabyte of weights takes a second.
    """
    status = path.stat()
    times = (status.st_mtime_ns, status.st_ctime_ns)
    stamp = (status.st_dev, status.st_ino, status.st_size, *times)
    known = _known.get(path)
    if known is not None and known[0] == stamp:
        return known[1]
    digest = hash_file(path)
    if time.time() - max(times) / 1e9 > _SETTLED_S:
        _known[path] = (stamp, digest)
    return digest


def fingerprint(path: Path | None) -> str:
    """Hash of names, sizes and times of a local source; cheap for large folders.

    With a depot, of names, sizes and samples of content: copies on several hosts differ in time.
    """
    if path is None or not path.exists():
        return "absent"
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    if len(files) == 1:
        return hash_file(files[0])
    if depot_address():
        return hash_json([(p.name, p.stat().st_size, _sample(p)) for p in files])
    return hash_json([(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files])


def _sample(path: Path) -> str:
    """Hash of the first and the last mebibyte of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        digest.update(stream.read(_SAMPLE))
        stream.seek(max(0, path.stat().st_size - _SAMPLE))
        digest.update(stream.read(_SAMPLE))
    return digest.hexdigest()


def hash_array(array: np.ndarray) -> str:
    """Hash of an array's dtype, shape and values.

    Raises:
        TypeError: the array holds Python objects, whose bytes are addresses.
    """
    if array.dtype.hasobject:
        raise TypeError(f"an array of {array.dtype} has no canonical form")
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def hash_arrays(arrays: Mapping[str, np.ndarray]) -> str:
    """Hash of named arrays, independent of their order."""
    return hash_json({name: hash_array(array) for name, array in arrays.items()})


def flat(column: pl.Series) -> pl.Series:
    """The concatenated elements of a list column; any other column unchanged."""
    if not isinstance(column.dtype, pl.List):
        return column
    return column.drop_nulls().filter(column.drop_nulls().list.len() > 0).explode()


def _column_bytes(column: pl.Series) -> bytes:
    """The validity mask, then the values, with zeros or empty values in place of nulls.

    A column without nulls, which is the common case, avoids polars expressions: each costs a
    millisecond regardless of size.
    """
    whole = not column.null_count()
    valid = b"\x01" * len(column) if whole else column.is_not_null().to_numpy().tobytes()
    if isinstance(column.dtype, pl.List):
        lengths = column.list.len().fill_null(0).to_numpy().tobytes()
        return valid + lengths + _column_bytes(flat(column))
    if column.dtype == pl.String:
        filled = column if whole else column.fill_null("")
        texts = filled.to_list()
        content = "".join(texts).encode()
        # Lengths are in bytes; of ASCII, those in characters.
        sizes = map(len, texts if content.isascii() else (text.encode() for text in texts))
        return valid + np.fromiter(sizes, np.uint32, len(texts)).tobytes() + content
    if column.dtype.is_temporal():
        column = column.to_physical()
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        raise TypeError(f"column {column.name!r}: {column.dtype} has no canonical form")
    if not whole:
        column = column.fill_null(0 if column.dtype != pl.Boolean else False)
    return valid + column.to_numpy().tobytes()


def hash_frame(frame: pl.DataFrame, *, without: Collection[str] = PROVENANCE_COLUMNS) -> str:
    """Hash of a table's columns and values, by default without the provenance columns."""
    digest = hashlib.sha256()
    for column in frame.drop(without, strict=False):
        digest.update(f"\x00{column.name}\x00{column.dtype}\x00{len(column)}\x00".encode())
        digest.update(_column_bytes(column))
    return digest.hexdigest()
