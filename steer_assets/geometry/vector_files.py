"""Steering vectors in files: safetensors, control-vector GGUF, and plain `.npy`.

- **safetensors**: one 1-d tensor per vector; the header's `vectors` entry holds, as JSON, each
  vector's layer and metadata. Files of other tools, without that entry, are read too.
  There, a tensor called `layer_N` or `direction.N` belongs to layer N.
- **Control-vector GGUF**: see `control_vector.py`; float32. `model_hint` and the text about the
  file are in the metadata of every vector.
- **.npy**: one vector; pickled objects are rejected.

Pickles are rejected; the message contains Python code that converts one.

A file is written to a temporary name beside its destination, read back, compared, flushed to disk
and renamed, so that an interrupted export leaves the old file or none.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.numpy import save_file

from steer_assets.geometry import control_vector, pickles
from steer_assets.geometry.errors import ShapeError, VectorFileError
from steer_assets.geometry.validation import as_direction

#: The architecture that a control vector was made for, in the metadata of its vectors.
MODEL_HINT = "model_hint"
#: The factor to add a vector with, in its metadata; absent if it is stored at its full length.
STRENGTH = "strength"
_LAYER_IN_NAME = re.compile(r"(?:layer_|direction\.)(\d+)")
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


@dataclass(frozen=True, eq=False)
class NamedVector:
    """A vector [d], its name, its layer (None if the file does not state it), text metadata."""

    name: str
    values: Float[np.ndarray, " d"]
    layer: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def checked(
    vector: NamedVector, *, hidden_size: int, n_layers: int, layer: int
) -> Float[np.ndarray, " d"]:
    """The vector as float64 [d], fit to be added at `layer` of a model of that size.

    Raises `ShapeError` for another width, a layer outside the model or one that contradicts the
    file's own (both numbers named); `NotFiniteError`; `DegenerateError` for zero norm.
    """
    if not 0 <= layer < n_layers:
        raise ShapeError(f"layer {layer} is outside 0..{n_layers - 1}")
    if vector.layer is not None and vector.layer != layer:
        raise ShapeError(f"vector {vector.name} belongs to layer {vector.layer}, not {layer}")
    return as_direction(vector.values, f"vector {vector.name}", width=hidden_size)


def select(vectors: Sequence[NamedVector], *, layer: int, name: str | None = None) -> NamedVector:
    """The one vector for `layer` (or of no stated layer), of `name` where one is given.

    Raises `VectorFileError`, which lists the vectors of the file, if none or several match.
    """
    found = [
        vector
        for vector in vectors
        if vector.layer in (None, layer) and (name is None or vector.name == name)
    ]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{vector.name} (layer {vector.layer})" for vector in vectors) or "nothing"
    wanted = f"layer {layer}" if name is None else f"name {name!r} and layer {layer}"
    raise VectorFileError(f"{len(found)} vectors answer to {wanted}; the file holds {listed}")


def read_vectors(path: Path, *, n_layers: int | None = None) -> list[NamedVector]:
    """Every vector of a `.safetensors`, `.gguf` or `.npy` file, at the precision it is stored in.

    n_layers: of the model, for the code that converts a pickle with one row per layer.

    Raises `VectorFileError` for another suffix, a damaged file, or one that holds something else;
    `FileNotFoundError`.
    """
    readers = {".safetensors": _read_safetensors, ".gguf": _read_gguf, ".npy": _read_npy}
    if path.suffix in pickles.SUFFIXES:
        raise VectorFileError(pickles.refusal(path, n_layers))
    if path.suffix not in readers:
        raise VectorFileError(
            f"{path.name}: vectors are read from {', '.join(readers)}, not {path.suffix!r}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"no vector file at {path}")
    vectors = readers[path.suffix](path)
    if not vectors:
        raise VectorFileError(f"{path.name} holds no vectors")
    return vectors


def write_safetensors(
    path: Path, vectors: Sequence[NamedVector], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write vectors, at the precision they have, and text metadata of the whole file.

    Raises `VectorFileError` for no vectors, repeated names or a `vectors` key in the metadata;
    `NotFiniteError` or `DegenerateError` for a vector that is not finite or zero.
    """
    if not vectors:
        raise VectorFileError("no vectors to write")
    if metadata and "vectors" in metadata:
        raise VectorFileError("the metadata key 'vectors' is taken by the vectors' own metadata")
    _require_distinct("name", [vector.name for vector in vectors])
    described = {v.name: {"layer": v.layer, "metadata": dict(v.metadata)} for v in vectors}
    header = {**(metadata or {}), "vectors": json.dumps(described, sort_keys=True)}
    tensors = {}
    for vector in vectors:
        as_direction(vector.values, f"vector {vector.name}")
        tensors[vector.name] = np.ascontiguousarray(vector.values)
    _publish(path, vectors, lambda temporary: save_file(tensors, temporary, metadata=header))


def write_control_vector(
    path: Path,
    vectors: Sequence[NamedVector],
    *,
    model_hint: str,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write one vector per layer as float32 control-vector GGUF; see `control_vector.write`.

    Raises `VectorFileError` as that does, and for a vector without layer, two at one layer, or
    values beyond float32; `NotFiniteError` or `DegenerateError` for a vector that is not finite or
    zero.
    """
    stored = {}
    for vector in vectors:
        if vector.layer is None:
            raise VectorFileError(f"vector {vector.name} has no layer")
        values = as_direction(vector.values, f"vector {vector.name}")
        if np.abs(values).max() > np.finfo(np.float32).max:
            raise VectorFileError(f"vector {vector.name} has values beyond float32")
        stored[vector.layer] = NamedVector(vector.name, values.astype(np.float32), vector.layer)
    _require_distinct("layer", [str(vector.layer) for vector in vectors])
    rows = {layer: vector.values for layer, vector in stored.items()}
    names = {layer: vector.name for layer, vector in stored.items()}

    def write(temporary: Path) -> None:
        control_vector.write(temporary, rows, names=names, model_hint=model_hint, about=metadata)

    _publish(path, list(stored.values()), write)


def _read_safetensors(path: Path) -> list[NamedVector]:
    try:
        with safe_open(path, framework="np") as file:
            header = file.metadata() or {}
        tensors = dict(deserialize(path.read_bytes()))
        described = json.loads(header.get("vectors", "{}"))
    except (SafetensorError, json.JSONDecodeError) as error:
        raise VectorFileError(f"{path.name} is not a readable safetensors file: {error}") from error
    vectors = []
    for name, tensor in sorted(tensors.items()):
        what = f"{path.name}: tensor {name}"
        flat = _decoded(tensor["data"], tensor["dtype"], what)
        values = _one_dimensional(flat.reshape(tensor["shape"]), what)
        entry = _description(described, name, path)
        named = _LAYER_IN_NAME.fullmatch(name)
        layer = entry.get("layer", int(named[1]) if named else None)
        vectors.append(NamedVector(name, values, layer, entry.get("metadata", {})))
    return vectors


def _description(described: Any, name: str, path: Path) -> dict[str, Any]:
    """The header's entry for one vector; empty for files of other tools."""
    entry = described.get(name, {}) if isinstance(described, dict) else None
    if not isinstance(entry, dict) or not isinstance(entry.get("layer"), int | None):
        raise VectorFileError(f"{path.name}: the header's 'vectors' entry is not of this format")
    return entry


def _decoded(data: bytes, dtype: str, what: str) -> np.ndarray:
    if dtype == "BF16":  # the upper half of a float32; NumPy has no such type
        halves = np.frombuffer(data, dtype="<u2").astype(np.uint32)
        return (halves << 16).view(np.float32)
    if dtype not in _FLOATS:
        raise VectorFileError(f"{what} has type {dtype}, expected a floating-point type")
    return np.frombuffer(data, dtype=_FLOATS[dtype])


def _read_gguf(path: Path) -> list[NamedVector]:
    found = control_vector.read(path)
    hint = {MODEL_HINT: found.model_hint} if found.model_hint else {}
    about = found.about | hint
    return [
        NamedVector(name, _one_dimensional(values, f"{path.name}: layer {layer}"), layer, about)
        for layer, name, values in found.rows
    ]


def _read_npy(path: Path) -> list[NamedVector]:
    try:
        values = np.load(path, allow_pickle=False)
    # NumPy parses the header as a Python literal, and tokenizer errors propagate.
    except (ValueError, EOFError, OSError, TypeError, MemoryError, TokenError) as error:
        raise VectorFileError(f"{path.name} is not a readable .npy file: {error}") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        raise VectorFileError(f"{path.name} does not hold an array of floating-point numbers")
    return [NamedVector(path.stem, _one_dimensional(values, path.name))]


def _one_dimensional(values: np.ndarray, what: str) -> Float[np.ndarray, " d"]:
    row = values[0] if values.ndim == 2 and values.shape[0] == 1 else values
    if row.ndim != 1 or not row.size:
        raise VectorFileError(f"{what} has shape {values.shape}, expected one vector [width]")
    return np.asarray(row)


def _require_distinct(what: str, keys: Sequence[str]) -> None:
    repeated = sorted({key for key in keys if keys.count(key) > 1})
    if repeated:
        raise VectorFileError(f"several vectors with {what} {', '.join(repeated)}")


def _publish(path: Path, vectors: Sequence[NamedVector], write: Callable[[Path], None]) -> None:
    """Write beside `path`, compare the values read back with `vectors`, and rename."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        write(temporary)
        # Both in the reader's order: safetensors by name, GGUF by layer, .npy has only one.
        key = (lambda v: v.name) if path.suffix == ".safetensors" else (lambda v: v.layer)
        for vector, read in zip(sorted(vectors, key=key), read_vectors(temporary), strict=True):
            if not np.array_equal(read.values, vector.values):
                raise VectorFileError(f"{path.name}: vector {vector.name} did not read back")
        temporary.chmod(0o644)  # safetensors makes files that their owner alone can read
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
