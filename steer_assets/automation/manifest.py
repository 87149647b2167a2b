"""Validation of a model folder or GGUF file from its headers, without executing code.

Config, architecture, weights format, sizes, and checksums if a `SHA256SUMS` file is present. A file
that is still being copied is recognised by its headers, which declare more bytes than the file has.
"""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steer_assets.encodings import decoded
from steer_assets.lm.loading.sources import check_folder, first_part, gguf_in, parts_of
from steer_assets.storage.files.hashing import hash_file

_MAX_JSON = 16 << 20
_MAX_HEADER = 100 << 20
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
_SIZES = {"layers": 1000, "hidden size": 1 << 20, "vocabulary": 1 << 24}
_NAMES = {
    "layers": ("num_hidden_layers", "n_layer"),
    "hidden size": ("hidden_size", "n_embd"),
    "vocabulary": ("vocab_size",),
}
CHECKSUMS = "SHA256SUMS"


class ManifestError(ValueError):
    """A model that cannot be used; the message names the problem and the file."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Header information: kind of source, architecture, bytes, and a hash of all headers."""

    kind: str
    architecture: str
    bytes: int
    sha256: str


def _json_file(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_JSON:
        raise ManifestError(f"{path.name} is larger than {_MAX_JSON >> 20} MiB")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{path.name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ManifestError(f"{path.name} does not hold a JSON object")
    return value


def _check_config(config: dict[str, Any]) -> str:
    inner = config.get("text_config")
    text: dict[str, Any] = inner if isinstance(inner, dict) else config
    for what, names in _NAMES.items():
        value = next((text[name] for name in names if name in text), None)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _SIZES[what]:
            raise ManifestError(
                f"config.json: {names[0]} is {value!r}, expected 1 to {_SIZES[what]}"
            )
    declared = config.get("architectures") or [config.get("model_type")]
    if not isinstance(declared, list) or not isinstance(declared[0], str):
        raise ManifestError("config.json names neither architectures nor model_type")
    return declared[0]


def _spans(path: Path, header: dict[str, Any]) -> Iterator[tuple[int, int]]:
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            start, stop = entry["data_offsets"]
            n = 1
            for size in entry["shape"]:
                n *= size
            plausible = 0 <= start <= stop and (stop > start or n == 0)
        except (TypeError, KeyError, ValueError):
            plausible = False
        if not plausible:
            raise ManifestError(
                f"{path.name}: tensor {name[:80]!r} has no usable place in the file"
            )
        yield start, stop


def _check_safetensors(path: Path) -> bytes:
    """The header of a safetensors file; its tensors must fill the file exactly."""
    size = path.stat().st_size
    with path.open("rb") as file:
        raw = file.read(8)
        length = struct.unpack("<Q", raw)[0] if len(raw) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER, max(size - 8, 0)):
            raise ManifestError(f"{path.name} is not safetensors, or is cut short in its header")
        text = file.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{path.name} has a damaged header: {error}") from error
    if not isinstance(header, dict):
        raise ManifestError(f"{path.name} has a damaged header")
    end = 0
    for start, stop in sorted(_spans(path, header)):
        if start != end:
            raise ManifestError(f"{path.name}: tensors overlap or leave gaps at byte {start}")
        end = stop
    if 8 + length + end != size:
        raise ManifestError(
            f"{path.name} has {size} bytes where its header says {8 + length + end}"
        )
    return text


def _check_shards(folder: Path) -> None:
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return
    shards = _json_file(index).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise ManifestError(f"{index.name} has no weight_map")
    for shard in sorted({str(name) for name in shards.values()}):
        if shard != Path(shard).name or not shard.endswith(".safetensors"):
            raise ManifestError(
                f"{index.name} names {shard[:80]!r}, which is no file of the folder"
            )
        if not (folder / shard).is_file():
            raise ManifestError(f"{shard} is missing, {index.name} names it")


def _check_sums(folder: Path) -> None:
    sums = folder / CHECKSUMS
    if not sums.exists():
        return
    if sums.stat().st_size > _MAX_JSON:
        raise ManifestError(f"{CHECKSUMS} is larger than {_MAX_JSON >> 20} MiB")
    for line in decoded(sums.read_bytes(), errors="replace").splitlines():
        digest, _, name = line.partition(" ")
        name = name.strip().lstrip("*")
        if not name:
            continue
        if name != Path(name).name or not (folder / name).is_file():
            raise ManifestError(f"{CHECKSUMS} names {name[:80]!r}, which is no file of the folder")
        if hash_file(folder / name) != digest.lower():
            raise ManifestError(f"{name} does not have the checksum that {CHECKSUMS} gives")


def check_model_folder(folder: Path) -> Manifest:
    """Manifest of a folder of config, safetensors and tokenizer.

    Raises:
        ManifestError: it cannot be used; the message names the file.
    """
    if (folder / "config.json").is_file():
        config = _json_file(folder / "config.json")
    try:
        check_folder(folder)
    except ValueError as error:
        raise ManifestError(str(error)) from error
    architecture = _check_config(config)
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise ManifestError(f"no tokenizer: expected one of {', '.join(_TOKENIZERS)}")
    _check_shards(folder)
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        if not path.is_file():  # reading from a pipe would block the checks of all other models
            raise ManifestError(f"{path.name} is no file")
        digest.update(path.name.encode())
        digest.update(_check_safetensors(path))
        total += path.stat().st_size
    _check_sums(folder)
    return Manifest("folder", architecture, total, digest.hexdigest())


def check_gguf(path: Path) -> Manifest:
    """Manifest of a GGUF file of a language model, including all parts of a split file.

    Raises:
        ManifestError: it is not GGUF, is truncated, or has no tensors.
    """
    try:
        parts = parts_of(first_part(path))
    except ValueError as error:
        raise ManifestError(str(error)) from error
    found = [_check_part(part) for part in parts]
    if not any(names for _, names in found) or not found[0][0]:
        raise ManifestError(f"{path.name} holds no architecture or no tensors")
    digest = hashlib.sha256("\n".join(names for _, names in found).encode()).hexdigest()
    return Manifest("gguf", found[0][0], sum(part.stat().st_size for part in parts), digest)


def _check_part(path: Path) -> tuple[str, str]:
    """Architecture (empty except in the first part), and a description of each tensor."""
    with path.open("rb") as file:
        head = file.read(24)
    if len(head) < 24 or head[:4] != b"GGUF":
        raise ManifestError(f"{path.name} is not GGUF")
    if struct.unpack("<I", head[4:8])[0] not in (2, 3):
        raise ManifestError(f"{path.name} is GGUF of a version other than 2 and 3")
    from steer_assets.lm.loading.gguf_reader import Header  # slow to import, needed for GGUF only

    try:
        reader = Header(path)
        field = reader.get_field("general.architecture")
        architecture = str(field.contents()) if field is not None else ""
        names = "\n".join(f"{t.name} {t.tensor_type} {list(t.shape)}" for t in reader.tensors)
    except Exception as error:  # the reader raises arbitrary exceptions on a damaged file
        why = str(error) or type(error).__name__
        raise ManifestError(f"{path.name} is damaged or cut short: {why[:200]}") from error
    return architecture, names


def check_local(path: Path) -> Manifest:
    """Manifest of the folder or GGUF file at `path`.

    Raises:
        ManifestError: it is neither, or cannot be used.
    """
    try:
        path = gguf_in(path) if path.is_dir() else path
        if path.is_dir():
            return check_model_folder(path)
        if path.suffix == ".gguf" and any(part.is_file() for part in parts_of(path)):
            return check_gguf(path)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror or error}") from error
    raise ManifestError(f"{path} is neither a folder nor a .gguf file")
