"""Facts of a model folder, read from its files without building the model."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from steer_assets.lm.errors import SnapshotError
from steer_assets.lm.loading.sources import check_folder

# Fields that identify the run that wrote the config instead of the model.
_NOT_CONTENT = {"_name_or_path", "transformers_version"}
_TOKENIZER = ("tokenizer*", "*.jinja", "vocab*", "merges.txt", "special_tokens_map.json", "*.model")


@dataclass(frozen=True)
class SnapshotFacts:
    """Facts that identify a model.

    ``sha256`` covers weights, config and generation config; ``n_parameters`` counts tied weights
    once.
    """

    sha256: str
    tokenizer_sha256: str
    architecture: str
    n_layers: int
    hidden_size: int
    vocab_size: int
    n_parameters: int
    dtype: str


def facts(folder: Path) -> SnapshotFacts:
    """Facts of the model in ``folder``; raises SnapshotError if a file is damaged."""
    check_folder(folder)
    declared = json.loads((folder / "config.json").read_text())
    config: Any = AutoConfig.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    ).get_text_config()
    content = hashlib.sha256()
    kept = {key: value for key, value in declared.items() if key not in _NOT_CONTENT}
    content.update(json.dumps(kept, sort_keys=True).encode())
    generation = folder / "generation_config.json"
    if generation.is_file():  # it defines the stop tokens
        settings = {k: v for k, v in _json(generation).items() if k not in _NOT_CONTENT}
        content.update(json.dumps(settings, sort_keys=True).encode())
    n_parameters, dtypes = 0, Counter[str]()
    tensors = [t for path in folder.glob("*.safetensors") for t in _tensors(path)]
    for tensor in sorted(tensors, key=lambda t: t.name):
        content.update(f"{tensor.name} {tensor.dtype} {tensor.shape}".encode())
        tensor.hash_into(content)
        n_parameters += math.prod(tensor.shape)
        dtypes[tensor.dtype] += math.prod(tensor.shape)
    return SnapshotFacts(
        sha256=content.hexdigest(),
        tokenizer_sha256=_tokenizer_hash(folder),
        architecture=(declared.get("architectures") or [config.model_type])[0],
        n_layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        vocab_size=config.vocab_size,
        n_parameters=n_parameters,
        dtype=_DTYPES.get(dtypes.most_common(1)[0][0], "mixed"),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise SnapshotError(f"{path} is damaged ({error}); take the snapshot again") from error
    return found


_DTYPES = {"F64": "float64", "F32": "float32", "BF16": "bfloat16", "F16": "float16"}


@dataclass(frozen=True)
class _Stored:
    """One tensor of a safetensors file (format: 8-byte header length, JSON header, bytes)."""

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    def hash_into(self, digest: Any) -> None:
        with self.path.open("rb") as file:
            file.seek(self.start)
            left = self.stop - self.start
            while left:
                block = file.read(min(left, 1 << 24))
                if not block:
                    raise SnapshotError(f"{self.path} ends early; take the snapshot again")
                digest.update(block)
                left -= len(block)


def _tensors(path: Path) -> list[_Stored]:
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(size, 1 << 28)))
        base = 8 + size
        return [
            _Stored(
                path,
                name,
                entry["dtype"],
                tuple(entry["shape"]),
                base + entry["data_offsets"][0],
                base + entry["data_offsets"][1],
            )
            for name, entry in header.items()
            if name != "__metadata__"
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"{path} is damaged ({error}); take the snapshot again") from error


def _tokenizer_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _TOKENIZER for path in folder.glob(pattern)}):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
