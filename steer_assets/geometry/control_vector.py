"""Control-vector GGUF, as llama.cpp (`--control-vector`) and repeng read and write it.

Architecture `controlvector`; one float32 tensor `direction.N` [d] per layer, added to the residual
stream at the output of block N, counted from 0: this project's layer N. Both tools omit block 0
(llama.cpp rejects a file that has it), so layer 0 cannot be written. EasySteer, a vLLM with
steering (arXiv 2509.25175), reads the same files with the same numbering. The keys
`steer_assets.vector_id.N` carry the vectors' names, other keys `steer_assets.NAME` text about the
file; other tools ignore them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize
from jaxtyping import Float

from steer_assets.geometry.errors import VectorFileError

ARCHITECTURE = "controlvector"
_HINT = f"{ARCHITECTURE}.model_hint"
_OWN = "steer_assets."
_NAMES = f"{_OWN}vector_id."


@dataclass(frozen=True, eq=False)
class ControlVector:
    """Layer, name (`direction.N` if the file has none) and values, by layer.

    model_hint: the architecture that it was made for; empty if the file does not state it.
    about: text that `write` was given, by name.
    """

    rows: list[tuple[int, str, np.ndarray]]
    model_hint: str
    about: dict[str, str]


def write(
    path: Path,
    rows: Mapping[int, Float[np.ndarray, " d"]],
    *,
    names: Mapping[int, str],
    model_hint: str,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write layer -> float32 vector, layer -> name, and text about the file by name.

    model_hint: the model's architecture, such as `llama` (`model_type` in its configuration).
    Raises `VectorFileError` for no vectors, a layer below 1, or vectors of different widths.
    """
    if not rows:
        raise VectorFileError("no vectors to write")
    if min(rows) < 1:
        raise VectorFileError(f"layer {min(rows)}: a control vector holds layers from 1 on")
    widths = {layer: row.shape[0] for layer, row in rows.items()}
    if len(set(widths.values())) > 1:
        raise VectorFileError(f"vectors of different widths by layer: {widths}")
    writer = gguf.GGUFWriter(path, ARCHITECTURE)
    writer.add_string(_HINT, model_hint)
    writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(rows))
    for name, text in (about or {}).items():
        writer.add_string(f"{_OWN}{name}", text)
    for layer in sorted(rows):
        writer.add_string(_name_key(layer), names[layer])
        writer.add_tensor(f"direction.{layer}", rows[layer])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read(path: Path) -> ControlVector:
    """All control vectors of a file.

    Raises `VectorFileError` for a damaged file, another architecture or other tensors.
    """
    try:
        reader = gguf.GGUFReader(path)
        # Text entries only; numeric entries are not needed.
        texts = {
            key: str(entry.contents())
            for key, entry in reader.fields.items()
            if entry.types == [gguf.GGUFValueType.STRING]
        }
        tensors = [(t.name, np.array(dequantize(t.data, t.tensor_type))) for t in reader.tensors]
    # The package raises these if a length or an offset in the file is invalid.
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        raise VectorFileError(f"{path.name} is not a readable GGUF file: {error}") from error
    kind = texts.get("general.architecture")
    if kind != ARCHITECTURE:
        raise VectorFileError(f"{path.name} holds a {kind!r} model, expected a {ARCHITECTURE!r}")
    found = []
    for tensor_name, values in tensors:
        prefix, _, number = tensor_name.partition(".")
        if prefix != "direction" or not number.isdecimal():
            raise VectorFileError(
                f"{path.name}: tensor {tensor_name!r}, expected 'direction.<layer>'"
            )
        layer = int(number)
        found.append((layer, texts.get(_name_key(layer), tensor_name), values))
    about = {
        key.removeprefix(_OWN): text
        for key, text in texts.items()
        if key.startswith(_OWN) and not key.startswith(_NAMES)
    }
    return ControlVector(sorted(found, key=lambda entry: entry[0]), texts.get(_HINT, ""), about)


def _name_key(layer: int) -> str:
    return f"{_NAMES}{layer}"
